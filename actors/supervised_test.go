package actors_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// A parent's own supervision may restart a group, for a fault of its sibling's: the old replica ends in
// order, and the new one finds the group free, the log complete and the state machine reset.
func TestGroupThatItsParentRestartsComesBack(t *testing.T) {
	c := newCluster(t, 1)
	h := c.nodes[1].host
	l := &ledger{}
	props := actors.RaftGroup(h, actors.GroupConfig{
		Group: 9, Members: c.founders(), ElectionTimeout: testTimeout, StateMachine: func() actors.StateMachine { return l },
	})
	siblings := make(chan *actor.PID, 1)
	parent := c.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			ctx.Spawn(props)
			siblings <- ctx.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
				if ctx.Message() == "fail" {
					panic("sibling")
				}
			}))
		}
	}, actor.WithSupervisor(actor.NewAllForOneStrategy(10, time.Minute, func(any) actor.Directive { return actor.RestartDirective }))))
	defer func() {
		if err := c.system.Root.StopFuture(parent).Wait(); err != nil {
			t.Error(err)
		}
	}()
	leading := func(old *actors.Group) (g *actors.Group) {
		await(t, "a replica leads", func() bool {
			now, ok := h.Group(9)
			g = now
			return ok && now != old && now.Status().Role == raft.Leader
		})
		return g
	}
	old := leading(nil)
	if _, err := old.Propose(withDeadline(t), []byte("before")); err != nil {
		t.Fatal(err)
	}
	c.system.Root.Send(<-siblings, "fail")
	now := leading(old)
	if _, err := now.Propose(withDeadline(t), []byte("after")); err != nil {
		t.Fatal(err)
	}
	if got := l.all(); !equal(got, []string{"before", "after"}) {
		t.Errorf("applied %q", got)
	}
	if l.restores != 2 {
		t.Errorf("the state machine was reset %d times, want once a run", l.restores)
	}
	if s := old.Status(); !s.Stopped {
		t.Errorf("the old replica still shows %+v", s)
	}
}
