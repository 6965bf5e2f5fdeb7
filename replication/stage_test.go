package replication

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
	timers []*handTimer // by time
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
	i := 0
	for i < len(s.timers) && s.timers[i].at <= t.at {
		i++
	}
	s.timers = slices.Insert(s.timers, i, t)
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
	for len(s.timers) > 0 && s.timers[0].at <= end {
		t := s.timers[0]
		s.now = max(s.now, t.at)
		t.Stop()
		t.f()
		s.run()
	}
	s.now = end
}

const group raft.GroupID = 9

// A bench is a syncer under a parent, with followers that get what it sends.
type bench struct {
	t         *testing.T
	stage     *handStage
	system    *actor.ActorSystem
	parent    *actor.PID
	syncer    *actor.PID
	inside    *syncer // its present incarnation, to look at between runs
	reader    *disk
	followers map[raft.NodeID]*follower
	heard     []any // by the parent, but for what answer takes
	answer    func(any) bool
	term      raft.Term // of matched
	matched   map[raft.NodeID]raft.Index
	logged    strings.Builder
}

func newBench(t *testing.T, cfg Config, nodes ...raft.NodeID) *bench {
	t.Helper()
	b := &bench{
		t: t, stage: &handStage{Live: stage.NewLive()}, reader: &disk{},
		followers: map[raft.NodeID]*follower{}, matched: map[raft.NodeID]raft.Index{},
	}
	log := slog.New(slog.NewTextHandler(&b.logged, nil))
	b.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return log }))
	for _, n := range nodes {
		b.follow(n)
	}
	cfg.Group, cfg.Stage, cfg.Reader, cfg.Log = group, b.stage, b.reader, log
	cfg.Sender = func(n raft.NodeID) *actor.PID {
		if f := b.followers[n]; f != nil {
			return f.pid
		}
		return nil
	}
	b.parent = b.spawn(func(c actor.Context) {
		switch m := c.Message().(type) {
		case *actor.Started:
			b.syncer = c.Spawn(Props(cfg).Configure(actor.WithProducer(func() actor.Actor {
				b.inside = newSyncer(cfg.withDefaults())
				return b.inside
			})))
		case *Matched:
			if m.Term != b.term {
				b.term = m.Term
				clear(b.matched)
			}
			for _, a := range m.Acks {
				if a.Term != m.Term || a.Index <= b.matched[a.From] {
					b.t.Errorf("acknowledged %+v in %+v, known %d", a, m, b.matched[a.From])
				}
				b.matched[a.From] = a.Index
			}
			b.heard = append(b.heard, m)
		case *OnDuty, *Refusal, *NeedSnapshot, *Halted:
			if b.answer == nil || !b.answer(m) {
				b.heard = append(b.heard, m)
			}
		}
	})
	b.stage.run()
	if len(b.take()) != 1 {
		t.Fatal("not reported for duty once")
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

func (b *bench) spawn(f actor.ReceiveFunc) *actor.PID {
	return b.system.Root.Spawn(stage.Props(b.stage, func() actor.Actor { return f }))
}

func (b *bench) send(ms ...any) {
	for _, m := range ms {
		b.system.Root.Send(b.syncer, m)
	}
}

// take returns what the parent heard since last time.
func (b *bench) take() []any {
	b.stage.run()
	out := b.heard
	b.heard = nil
	return out
}

// follow adds a node that records what it gets, and answers when told to.
func (b *bench) follow(n raft.NodeID) *follower {
	f := &follower{id: n, bench: b}
	f.pid = b.spawn(func(c actor.Context) {
		p, ok := c.Message().(*remote.Post)
		if !ok {
			return
		}
		m, ok := p.Envelope.Message.(*remote.AppendBlocks)
		if !ok || p.Envelope.Group != group || p.Lane != remote.Main {
			b.t.Errorf("node %d got %+v", n, p)
			return
		}
		f.got = append(f.got, m)
		f.at = append(f.at, b.stage.now)
		f.total++
		if f.auto {
			f.reply(m)
		}
	})
	b.followers[n] = f
	return f
}
