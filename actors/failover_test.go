package actors_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

func TestAcknowledgedWritesSurviveTheLeader(t *testing.T) {
	c := newCluster(t, 3)
	var want []string
	for round := range 3 {
		want = append(want, c.fill(fmt.Sprint(round, "-"), 10)...)
		old := c.leader().id
		c.stop(old)
		data := fmt.Sprint("without ", old)
		c.propose(data)
		want = append(want, data)
		c.restart(old)
	}
	c.converge(want)
}

func TestAllStoppedAtOnceLoseNothing(t *testing.T) {
	c := newCluster(t, 3)
	want := c.fill("", 20)
	c.bounce()
	c.converge(want)
}

func TestStepDownAndTransfer(t *testing.T) {
	c := newCluster(t, 3)
	c.propose("a")
	lead := c.leader()
	if err := lead.group.StepDown(withDeadline(t)); err != nil {
		t.Fatal(err)
	}
	target := c.follower()
	if err := c.leader().group.Transfer(withDeadline(t), target.id); err != nil {
		t.Fatal(err)
	}
	if got := c.leader().id; got != target.id {
		t.Errorf("%d leads, want %d", got, target.id)
	}
	c.propose("b")
	c.converge([]string{"a", "b"})
}

// A transfer to a node that is not heard is refused at once, and proposals do not wait beside it.
func TestTransferToADeadNodeIsRefused(t *testing.T) {
	c := newCluster(t, 3)
	c.propose("before")
	dead := c.follower().id
	c.stop(dead)
	var silent *raft.SilentTargetError
	await(t, "the transfer is refused by a leader that has missed the node", func() bool {
		lead := c.leader() // on a busy machine it may be another one by now
		missed := slices.ContainsFunc(lead.group.Status().Members, func(m actors.MemberStatus) bool { return m.ID == dead && !m.Active })
		return missed && errors.As(lead.group.Transfer(withDeadline(t), dead), &silent)
	})
	if silent.To != dead || silent.Silence < testTimeout.Min {
		t.Errorf("%+v", silent)
	}
	c.propose("after")
	c.converge([]string{"before", "after"})
}

func TestManyClientsThroughFailover(t *testing.T) {
	c := newCluster(t, 3)
	ctx := withDeadline(t)
	var acked sync.Map
	var count atomic.Int64
	victim := c.leader()
	survivors := []*testNode{}
	for _, n := range c.nodes {
		if n != victim {
			survivors = append(survivors, n)
		}
	}
	half := make(chan struct{})
	var once sync.Once
	var wg sync.WaitGroup
	for client := range 16 {
		wg.Go(func() {
			for i := range 20 {
				data := fmt.Sprintf("%d/%d", client, i)
				if err := proposeAnywhere(ctx, survivors, data); err == nil {
					acked.Store(data, true)
				} else if !errors.Is(err, actors.ErrIndeterminate) {
					t.Errorf("%s: %v", data, err)
				}
				if count.Add(1) == 100 {
					once.Do(func() { close(half) })
				}
			}
		})
	}
	// The clients know the survivors only, so nothing is acknowledged until the victim is gone; before that they are refused.
	c.stop(victim.id)
	<-half
	wg.Wait()
	seen := map[string]int{}
	var longest int
	for _, n := range survivors {
		n := n
		await(t, "survivors agree", func() bool { return len(n.ledger.all()) == len(survivors[0].ledger.all()) })
		longest = max(longest, len(n.ledger.all()))
	}
	for _, data := range survivors[0].ledger.all() {
		seen[data]++
	}
	acked.Range(func(k, _ any) bool {
		if seen[k.(string)] != 1 {
			t.Errorf("acknowledged %v was applied %d times", k, seen[k.(string)])
		}
		return true
	})
	if longest == 0 {
		t.Error("nothing was applied")
	}
}

func TestPanicInApplyRestartsThatReplicaOnly(t *testing.T) {
	var armed atomic.Bool
	c := newCluster(t, 3, func(c *testCluster) {
		c.config = func(id raft.NodeID, cfg *actors.GroupConfig) {
			l := cfg.StateMachine().(*ledger)
			if id == 1 {
				l.onApply = func(cmd actors.Command) {
					if string(cmd.Data) == "poison" && armed.CompareAndSwap(true, false) {
						panic("user bug")
					}
				}
			}
		}
	})
	restarted := make(chan *actors.ReplicaRestarted, 1)
	on(c, func(r *actors.ReplicaRestarted) { restarted <- r })
	if err := c.leader().group.Transfer(withDeadline(t), 2); err != nil {
		t.Fatal(err)
	}
	c.propose("a")
	armed.Store(true)
	c.propose("poison")
	c.propose("b")
	if r := <-restarted; r.Node != 1 {
		t.Errorf("node %d restarted", r.Node)
	}
	c.converge([]string{"a", "poison", "b"})
	if got := c.nodes[1].ledger.restores; got != 2 {
		t.Errorf("node 1 restored %d times, want 2", got)
	}
}

func TestReplicaThatKeepsCrashingStaysDownWithAReason(t *testing.T) {
	c := newCluster(t, 3, func(c *testCluster) {
		c.config = func(id raft.NodeID, cfg *actors.GroupConfig) {
			if id == 1 {
				cfg.StateMachine().(*ledger).onApply = func(actors.Command) { panic("always") }
			}
		}
	})
	failed := make(chan *actors.ReplicaFailed, 1)
	on(c, func(f *actors.ReplicaFailed) { failed <- f })
	ctx := withDeadline(t)
	if err := proposeAnywhere(ctx, []*testNode{c.nodes[2], c.nodes[3], c.nodes[1]}, "x"); err != nil && !errors.Is(err, actors.ErrIndeterminate) {
		t.Fatal(err)
	}
	if f := <-failed; f.Node != 1 {
		t.Fatalf("%+v", f)
	}
	s := c.nodes[1].group.Status()
	if !s.Stopped || s.Err == nil {
		t.Errorf("status %+v", s)
	}
	if _, err := c.nodes[1].group.Propose(ctx, []byte("y")); !errors.Is(err, actors.ErrStopped) {
		t.Errorf("got %v, want ErrStopped", err)
	}
	if err := proposeAnywhere(ctx, []*testNode{c.nodes[2], c.nodes[3]}, "z"); err != nil {
		t.Errorf("the others do not go on: %v", err)
	}
	c.nodes[1].ledger.onApply = nil
	if err := c.nodes[1].group.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	await(t, "the replica is back", func() bool { return len(c.nodes[1].ledger.all()) >= 1 && !c.nodes[1].group.Status().Stopped })
}

// The leader's own state machine panics on a command: its client is told that the outcome is unknown, and the command is applied by all in the end.
func TestClientOfAPanickingLeaderIsToldUnknown(t *testing.T) {
	var armed atomic.Bool
	c := newCluster(t, 3, func(c *testCluster) {
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
			cfg.StateMachine().(*ledger).onApply = func(cmd actors.Command) {
				if string(cmd.Data) == "poison" && armed.CompareAndSwap(true, false) {
					panic("user bug")
				}
			}
		}
	})
	c.propose("a")
	armed.Store(true)
	lead := c.leader()
	// A follower may apply first and take the panic; then the leader answers.
	if _, err := lead.group.Propose(withDeadline(t), []byte("poison")); err != nil && !errors.Is(err, actors.ErrIndeterminate) {
		t.Errorf("got %v, want ErrIndeterminate", err)
	}
	if armed.Load() {
		t.Error("nobody panicked")
	}
	c.propose("b")
	c.converge([]string{"a", "poison", "b"})
}
