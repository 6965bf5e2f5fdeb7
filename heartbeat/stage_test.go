package heartbeat

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// A handStage runs actors only when told to, one after the other on the test's goroutine, and moves time by
// hand: what a test sends between two runs waits in the mailboxes together.
type handStage struct {
	*stage.Live
	ready  []func()
	now    time.Duration
	timers []*handTimer
}

type handTimer struct {
	stage *handStage
	at    time.Duration
	f     func()
}

func (s *handStage) Clock() stage.Clock           { return s }
func (s *handStage) Dispatcher() actor.Dispatcher { return s }
func (s *handStage) Schedule(f func())            { s.ready = append(s.ready, f) }
func (s *handStage) Throughput() int              { return 300 }
func (s *handStage) Now() time.Duration           { return s.now }
func (s *handStage) Wall() time.Time              { return time.Unix(0, int64(s.now)) }

func (s *handStage) AfterFunc(d time.Duration, f func()) stage.Timer {
	t := &handTimer{stage: s, at: s.now + d, f: f}
	s.timers = append(s.timers, t)
	return t
}

// Stop implements stage.Timer.
func (t *handTimer) Stop() bool {
	i := slices.Index(t.stage.timers, t)
	if i >= 0 {
		t.stage.timers = slices.Delete(t.stage.timers, i, i+1)
	}
	return i >= 0
}

func (s *handStage) run() {
	for len(s.ready) > 0 {
		f := s.ready[0]
		s.ready = s.ready[1:]
		f()
	}
}

// advance lets time pass and timers fire.
func (s *handStage) advance(d time.Duration) {
	s.run()
	end := s.now + d
	for len(s.timers) > 0 && s.timers[0].at <= end { // there is only ever one
		t := s.timers[0]
		s.now = max(s.now, t.at)
		t.Stop()
		t.f()
		s.run()
	}
	s.now = end
}

const interval = 50 * time.Millisecond

// A bench is a heartbeat under a parent, with peers that record what they get.
type bench struct {
	t      *testing.T
	stage  *handStage
	system *actor.ActorSystem
	parent *actor.PID
	beat   *actor.PID
	duty   int
	told   []any // to the parent, but for OnDuty
	peers  map[raft.NodeID]*actor.PID
	pulses map[raft.NodeID][]*remote.Pulse
	logged strings.Builder
}

func newBench(t *testing.T, nodes ...raft.NodeID) *bench {
	t.Helper()
	b := &bench{
		t: t, stage: &handStage{Live: stage.NewLive()},
		peers: map[raft.NodeID]*actor.PID{}, pulses: map[raft.NodeID][]*remote.Pulse{},
	}
	log := slog.New(slog.NewTextHandler(&b.logged, nil))
	b.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return log }))
	spawn := func(f actor.ReceiveFunc) *actor.PID {
		return b.system.Root.Spawn(stage.Props(b.stage, func() actor.Actor { return f }))
	}
	for _, n := range nodes {
		b.peers[n] = spawn(func(c actor.Context) {
			if p, ok := c.Message().(*remote.Post); ok {
				b.pulses[n] = append(b.pulses[n], p.Envelope.Message.(*remote.Pulse))
			}
		})
	}
	b.parent = spawn(func(c actor.Context) {
		switch m := c.Message().(type) {
		case *actor.Started:
			b.beat = c.Spawn(Props(Config{
				Stage: b.stage, Interval: interval, MaxBeats: 100, Node: 1, Log: log,
				Sender: func(n raft.NodeID) *actor.PID { return b.peers[n] },
			}))
		case *OnDuty:
			b.duty++
		case *Stalled:
			b.told = append(b.told, *m)
		case *Resumed:
			b.told = append(b.told, *m)
		case func(actor.Context):
			m(c)
		}
	})
	b.stage.run()
	if b.duty != 1 {
		t.Fatalf("reported for duty %d times, want 1", b.duty)
	}
	t.Cleanup(func() {
		b.system.Root.Stop(b.parent)
		b.stage.run()
		if len(b.stage.timers) != 0 {
			t.Error("a timer outlives its actor")
		}
	})
	return b
}

func (b *bench) send(ms ...any) {
	for _, m := range ms {
		b.system.Root.Send(b.beat, m)
	}
}

// heard returns what node got since last time, and checks that each beat of this leader was sent now.
func (b *bench) heard(node raft.NodeID) []*remote.Pulse {
	b.t.Helper()
	b.stage.run()
	got := b.pulses[node]
	b.pulses[node] = nil
	for _, p := range got {
		for _, beat := range p.Beats {
			if beat.Leader != 1 {
				b.t.Errorf("beat in the name of %d", beat.Leader)
			}
		}
	}
	return got
}

// beats expects one pulse for node and returns its beats, by group.
func (b *bench) beats(node raft.NodeID) map[raft.GroupID]raft.Heartbeat {
	b.t.Helper()
	got := b.heard(node)
	if len(got) != 1 {
		b.t.Fatalf("node %d got %d pulses, want 1", node, len(got))
	}
	return byGroup(b.t, got)
}

func byGroup(t *testing.T, pulses []*remote.Pulse) map[raft.GroupID]raft.Heartbeat {
	t.Helper()
	out := map[raft.GroupID]raft.Heartbeat{}
	for _, p := range pulses {
		for _, beat := range p.Beats {
			if _, twice := out[beat.Group]; twice {
				t.Errorf("group %d twice", beat.Group)
			}
			out[beat.Group] = beat.Heartbeat
		}
	}
	return out
}

func (b *bench) silence(nodes ...raft.NodeID) {
	b.t.Helper()
	for _, n := range nodes {
		if got := b.heard(n); len(got) != 0 {
			b.t.Fatalf("node %d got %d pulses, want none", n, len(got))
		}
	}
}
