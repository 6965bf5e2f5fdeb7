package replication

import (
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// A cast is a live syncer whose followers are functions and whose parent fills a channel.
type cast struct {
	system  *actor.ActorSystem
	stage   *stage.Live
	syncer  *actor.PID
	matched chan *Matched
}

func newCast(tb testing.TB, reader *disk, answer map[raft.NodeID]func(c actor.Context, syncer *actor.PID, m *remote.AppendBlocks)) *cast {
	tb.Helper()
	x := &cast{stage: stage.NewLive(), matched: make(chan *Matched, 64)}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	x.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return log }))
	followers := map[raft.NodeID]*actor.PID{}
	spawn := func(f actor.ReceiveFunc) *actor.PID {
		return x.system.Root.Spawn(stage.Props(x.stage, func() actor.Actor { return f }))
	}
	for n, f := range answer {
		followers[n] = spawn(func(c actor.Context) {
			if p, ok := c.Message().(*remote.Post); ok {
				f(c, x.syncer, p.Envelope.Message.(*remote.AppendBlocks))
			}
		})
	}
	ready := make(chan struct{})
	parent := spawn(func(c actor.Context) {
		switch m := c.Message().(type) {
		case *actor.Started:
			x.syncer = c.Spawn(Props(Config{
				Group: group, Stage: x.stage, Reader: reader, Log: log,
				Sender: func(n raft.NodeID) *actor.PID { return followers[n] },
			}))
		case *OnDuty:
			close(ready)
		case *Matched:
			x.matched <- m
		}
	})
	<-ready
	tb.Cleanup(func() {
		if err := x.system.Root.StopFuture(parent).Wait(); err != nil {
			tb.Error(err)
		}
		for _, pid := range followers {
			if err := x.system.Root.StopFuture(pid).Wait(); err != nil {
				tb.Error(err)
			}
		}
		x.stage.Close()
	})
	return x
}

// confirm answers that everything in m is on disk.
func confirm(n raft.NodeID) func(actor.Context, *actor.PID, *remote.AppendBlocks) {
	return func(c actor.Context, syncer *actor.PID, m *remote.AppendBlocks) {
		match := m.Prev.Index
		if n := len(m.Blocks); n > 0 {
			match = m.Blocks[n-1].Last()
		}
		c.Send(syncer, &Reply{From: n, Message: &raft.AppendEntriesReply{Term: m.Term, Success: true, Match: match}})
	}
}

func (x *cast) await(tb testing.TB, n raft.NodeID, index raft.Index) {
	tb.Helper()
	for {
		select {
		case m := <-x.matched:
			for _, a := range m.Acks {
				if a.From == n && a.Index >= index {
					return
				}
			}
		case <-time.After(10 * time.Second):
			tb.Fatalf("node %d does not get to %d", n, index)
		}
	}
}

// A disk that hangs for one follower holds up neither the other nor the syncer.
func TestSlowDiskHoldsUpNobodyElse(t *testing.T) {
	release := make(chan struct{})
	reader := &disk{blocks: blocks(run(1, 1, 5)), fault: func(raft.Index) ([]*entry.Block, error) {
		<-release
		return nil, nil
	}}
	behind := func(c actor.Context, syncer *actor.PID, m *remote.AppendBlocks) {
		if m.Prev.Index == 5 && len(m.Blocks) == 1 && m.Blocks[0].Last() == 6 { // the first probe
			c.Send(syncer, &Reply{From: 3, Message: &raft.AppendEntriesReply{Term: m.Term, Prev: m.Prev.Index}})
			return
		}
		confirm(3)(c, syncer, m)
	}
	x := newCast(t, reader, map[raft.NodeID]func(actor.Context, *actor.PID, *remote.AppendBlocks){2: confirm(2), 3: behind})
	root := x.system.Root
	root.Send(x.syncer, &Lead{Term: 2, Leader: 1, Shape: shape(run(1, 1, 5)), Peers: []raft.NodeID{2, 3}})
	for i := raft.Index(6); i < 100; i++ {
		root.Send(x.syncer, &Extend{Term: 2, Blocks: []*entry.Block{block(2, i, 1, 1)}})
		x.await(t, 2, i)
	}
	close(release)
	x.await(t, 3, 99)
}

// Idle groups hold no goroutine: what runs beside the test is the stage's parked workers and nothing per group.
func TestIdleGroupsHaveNoGoroutine(t *testing.T) {
	x := newCast(t, &disk{}, map[raft.NodeID]func(actor.Context, *actor.PID, *remote.AppendBlocks){2: confirm(2)})
	x.system.Root.Send(x.syncer, &Lead{Term: 2, Leader: 1, Peers: []raft.NodeID{2}})
	x.system.Root.Send(x.syncer, &Extend{Term: 2, Blocks: []*entry.Block{block(2, 1, 1, 1)}})
	x.await(t, 2, 1)
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() { // its last turn may still be ending
		got := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(got, "troupe/replication.(*") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("runs in an idle group:\n%s", got)
		}
	}
}

// One round: the leader appends a block, two followers get it, answer, and the parent hears of both.
func BenchmarkRound(b *testing.B) {
	x := newCast(b, &disk{}, map[raft.NodeID]func(actor.Context, *actor.PID, *remote.AppendBlocks){2: confirm(2), 3: confirm(3)})
	root := x.system.Root
	root.Send(x.syncer, &Lead{Term: 2, Leader: 1, Peers: []raft.NodeID{2, 3}})
	extends := make([]*Extend, b.N+1)
	for i := range extends {
		extends[i] = &Extend{Term: 2, Blocks: []*entry.Block{block(2, raft.Index(i+1), 1, 100)}}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, m := range extends {
		root.Send(x.syncer, m)
		for acks := 0; acks < 2; {
			acks += len((<-x.matched).Acks)
		}
	}
}

// The same without actors around: what the syncer itself costs, on one goroutine.
func BenchmarkSettle(b *testing.B) {
	s := newSyncer(Config{
		Stage: benchStage{}, Reader: &disk{}, Sender: func(raft.NodeID) *actor.PID { return nil },
	}.withDefaults())
	s.term, s.leader, s.ready = 2, 1, true
	s.setPeers([]raft.NodeID{2, 3})
	s.timer.running, s.timer.at = benchTimer{}, -1
	extends := make([]*Extend, b.N)
	for i := range extends {
		extends[i] = &Extend{Term: 2, Blocks: []*entry.Block{block(2, raft.Index(i+1), 1, 100)}}
	}
	reply := &Reply{Message: &raft.AppendEntriesReply{Term: 2, Success: true}}
	c := quiet{}
	b.ReportAllocs()
	b.ResetTimer()
	for i, m := range extends {
		s.extend(m)
		s.unsettled++
		s.settle(c)
		for n := raft.NodeID(2); n < 4; n++ {
			reply.From, reply.Message.Match = n, raft.Index(i+1)
			s.reply(c, reply)
		}
		s.unsettled++
		s.settle(c)
	}
	if got := s.peers[1].reported; int(got) != b.N {
		b.Fatalf("reported %d of %d", got, b.N)
	}
}

type benchStage struct{ stage.Stage }

func (benchStage) Clock() stage.Clock { return benchClock{} }

type benchClock struct{ stage.Clock }

func (benchClock) Now() time.Duration { return 0 }

type benchTimer struct{}

func (benchTimer) Stop() bool { return true }

// quiet is a context that hears nothing.
type quiet struct{ actor.Context }

func (quiet) Parent() *actor.PID   { return nil }
func (quiet) Send(*actor.PID, any) {}
