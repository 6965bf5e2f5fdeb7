package actors_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// A second replica of a group is refused, and the first does not notice.
func TestSecondReplicaHarmsNotTheFirst(t *testing.T) {
	c := newCluster(t, 1)
	c.propose("a")
	second := c.system.Root.Spawn(actors.RaftGroup(c.nodes[1].host, actors.GroupConfig{
		Group: 1, Members: c.founders(), Apply: func(actors.Command) []byte { return nil }, NoRestart: true,
	}))
	answer, err := c.system.Root.RequestFuture(second, &actors.GetStatus{}, limit).Result()
	if err != nil {
		t.Fatal(err)
	}
	if s := answer.(actors.Status); !s.Stopped || s.Err == nil {
		t.Errorf("the second replica: %+v", s)
	}
	c.propose("b")
	if err := c.system.Root.StopFuture(second).Wait(); err != nil {
		t.Error(err)
	}
	c.propose("c")
	c.converge([]string{"a", "b", "c"})
}

// What is told rather than asked has nobody to answer, and panics nowhere.
func TestProposalWithoutASender(t *testing.T) {
	c := newCluster(t, 1)
	restarts := countRestarts(c)
	pid := c.leader().group.PID()
	c.system.Root.Send(pid, &actors.GetStatus{})
	c.system.Root.Send(pid, &actors.Propose{Data: []byte("told")})
	await(t, "it is applied", func() bool { return len(c.nodes[1].ledger.all()) == 1 })
	c.propose("asked")
	if restarts.Load() != 0 {
		t.Error("the replica restarted")
	}
}

func countRestarts(c *testCluster) *atomic.Int32 {
	var n atomic.Int32
	on(c, func(*actors.ReplicaRestarted) { n.Add(1) })
	return &n
}

// Without Restore a state machine cannot be reset: after a panic the replica stays down, also when an operator starts it again, rather than
// apply everything twice.
func TestApplyWithoutRestoreIsNeverReplayedOntoOldState(t *testing.T) {
	c := newCluster(t, 1)
	var paid atomic.Int32
	var armed atomic.Bool
	g, err := actors.StartGroup(c.nodes[1].host, actors.GroupConfig{
		Group: 7, Members: c.founders(), ElectionTimeout: testTimeout,
		Apply: func(cmd actors.Command) []byte {
			if armed.CompareAndSwap(true, false) {
				panic("once")
			}
			paid.Add(1)
			return nil
		},
		NoRestart: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "it leads", func() bool { return g.Status().Role == raft.Leader })
	if _, err := g.Propose(withDeadline(t), []byte("pay")); err != nil {
		t.Fatal(err)
	}
	armed.Store(true)
	if _, err := g.Propose(withDeadline(t), []byte("x")); !errors.Is(err, actors.ErrIndeterminate) {
		t.Errorf("got %v", err)
	}
	await(t, "it stays down and says why", func() bool {
		s := g.Status()
		return s.Phase == actors.Failed && contains(s.Err.Error(), "NoRestart")
	})
	if err := g.Restart(withDeadline(t)); err != nil {
		t.Error(err)
	}
	await(t, "it stays down, started again", func() bool {
		s := g.Status()
		return s.Phase == actors.Failed && contains(s.Err.Error(), "cannot be reset")
	})
	if n := paid.Load(); n != 1 {
		t.Errorf("one committed command was applied %d times to one state", n)
	}
}

// A subscriber's panic is its own.
func TestPanickingSubscriberCrashesNoReplica(t *testing.T) {
	c := newCluster(t, 1)
	c.propose("a")
	restarts := countRestarts(c)
	on(c, func(*actors.RoleChanged) { panic("subscriber") })
	if err := c.nodes[1].group.StepDown(withDeadline(t)); err != nil {
		t.Error(err)
	}
	await(t, "it leads again", func() bool { return c.nodes[1].group.Status().Role == raft.Leader })
	if restarts.Load() != 0 {
		t.Error("the replica restarted")
	}
}

// The program's StateMachine function panics once: the replica tries again.
func TestPanickingFactoryIsTriedAgain(t *testing.T) {
	var made atomic.Int32
	c := newCluster(t, 1, func(c *testCluster) {
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
			make := cfg.StateMachine
			cfg.StateMachine = func() actors.StateMachine {
				if made.Add(1) == 1 {
					panic("no connection")
				}
				return make()
			}
		}
	})
	c.propose("a")
	c.converge([]string{"a"})
}
