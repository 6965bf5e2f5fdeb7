package actors_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
)

// What was recorded is told by the stop although its time is over too, and by every later stop.
func TestStopTellsWhatItKnows(t *testing.T) {
	c := newCluster(t, 1)
	n := c.nodes[1]
	boom := errors.New("boom")
	c.system.Root.Send(c.leader().group.PID(), &persister.StoreFailed{Err: boom})
	await(t, "the group fails", func() bool { return n.group.Status().Err != nil })
	if err := n.group.Stop(withDeadline(t)); !errors.Is(err, boom) {
		t.Errorf("the group: %v", err)
	}
	delete(c.nodes, 1)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range 50 {
		if err := n.host.Stop(over); !errors.Is(err, boom) {
			t.Fatalf("stop %d: %v", i+1, err)
		}
	}
}

// A family is an actor with a group and another child, which it restarts together.
type family struct {
	group *actor.Props
	born  chan *actor.PID // of the other child
}

func (f *family) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Started); ok {
		ctx.Spawn(f.group)
		f.born <- ctx.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			if c.Message() == "panic" {
				panic("sibling")
			}
		}))
	}
}

// Whoever spawned the group may restart it for reasons of its own, say the fault of a sibling. The old replica ends in order, those who wait
// for it are told, and the new one begins only then: it finds the group free, the log complete and the state machine reset.
func TestGroupRestartedByItsParent(t *testing.T) {
	c := newCluster(t, 1)
	restarts := countRestarts(c)
	h := c.nodes[1].host
	var made, alive, overlaps atomic.Int32
	l := &ledger{} // of one replica after the other
	entered, release := make(chan struct{}), make(chan struct{})
	l.onApply = func(cmd actors.Command) {
		if string(cmd.Data) == "slow" && made.Load() == 1 {
			alive.Add(1)
			close(entered)
			<-release
			alive.Add(-1)
		}
	}
	f := &family{born: make(chan *actor.PID, 2), group: actors.RaftGroup(h, actors.GroupConfig{
		Group: 9, Members: c.founders(), ElectionTimeout: testTimeout,
		StateMachine: func() actors.StateMachine {
			if alive.Load() > 0 {
				overlaps.Add(1)
			}
			made.Add(1)
			return l
		},
	})}
	parent := c.system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return f },
		actor.WithSupervisor(actor.NewAllForOneStrategy(1, time.Minute, func(any) actor.Directive { return actor.RestartDirective }))))
	sibling := <-f.born
	leads := func(g *actors.Group) *actors.Group {
		await(t, "group 9 leads", func() bool {
			now, ok := h.Group(9)
			if ok && now != g && now.Status().Role == raft.Leader {
				g = now
				return true
			}
			return false
		})
		return g
	}
	first := leads(nil)
	if _, err := first.Propose(withDeadline(t), []byte("a")); err != nil {
		t.Fatal(err)
	}
	slow := first.Post([]byte("slow"))
	<-entered
	c.system.Root.Send(sibling, "panic")
	await(t, "the old handle is over", func() bool {
		_, err := first.Read(withDeadline(t)) // behind the slow command
		return errors.Is(err, actors.ErrStopped)
	})
	close(release)
	if err := answered(t, "the slow proposal", slow); err != nil && !errors.Is(err, actors.ErrIndeterminate) {
		t.Errorf("the slow proposal: %v", err)
	}
	second := leads(first)
	if _, err := second.Propose(withDeadline(t), []byte("b")); err != nil {
		t.Fatal(err)
	}
	if got, want := l.all(), []string{"a", "slow", "b"}; !equal(got, want) {
		t.Errorf("the new replica applied %v, want %v", got, want)
	}
	if l.restores != 2 {
		t.Errorf("the state machine was reset %d times, want once a run", l.restores)
	}
	if s := first.Status(); !s.Stopped {
		t.Errorf("the old replica still shows %+v", s)
	}
	if n := made.Load(); n != 2 || overlaps.Load() != 0 || restarts.Load() != 0 {
		t.Errorf("%d state machines, %d begun before the old one was done, %d crash restarts", n, overlaps.Load(), restarts.Load())
	}
	if err := c.system.Root.StopFuture(parent).Wait(); err != nil {
		t.Error(err)
	}
	c.stop(1)
}
