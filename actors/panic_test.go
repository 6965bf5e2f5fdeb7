package actors_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// A tripwire panics on the replica's own turn, in the first step after it was set that it is meant for. One replica has it.
type tripwire struct {
	on       atomic.Pointer[trigger]
	panicked atomic.Int32
	last     raft.Index // of the log, at the step before
}

// A trigger says whether to panic in a step, which began with a log that ended at last.
type trigger func(n *raft.Node, last raft.Index) bool

func (w *tripwire) set(on trigger) { w.on.Store(&on) }

func (w *tripwire) watch(_ raft.GroupID, n *raft.Node) {
	last := w.last
	w.last = n.LastIndex()
	if on := w.on.Load(); on != nil && (*on)(n, last) && w.on.CompareAndSwap(on, nil) {
		w.panicked.Add(1)
		panic("tripwire")
	}
}

func (w *tripwire) onHost(c *testCluster) {
	c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.Watch = w.watch }
}

// grown trips in the step that makes the log longer.
func grown(n *raft.Node, last raft.Index) bool { return n.LastIndex() > last }

// deposed trips in the step that ends a leadership.
func deposed(n *raft.Node, _ raft.Index) bool { return n.Role() != raft.Leader }

// answered waits for the outcome of a proposal.
func answered(t *testing.T, what string, p actors.Posted) error {
	t.Helper()
	select {
	case <-p.Done():
		return p.Err()
	case <-withDeadline(t).Done():
		t.Fatalf("%s was never answered", what)
		return nil
	}
}

// The replica panics with a request in its hands that it has noted nowhere: the caller is told that the outcome is unknown.
func TestRequestThatPanicsIsAnswered(t *testing.T) {
	var w tripwire
	c := newCluster(t, 1, w.onHost)
	c.propose("a")
	w.set(deposed)
	err := c.leader().group.StepDown(withDeadline(t))
	if !errors.Is(err, actors.ErrIndeterminate) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if w.panicked.Load() != 1 {
		t.Error("nothing panicked")
	}
	c.propose("b")
	c.converge([]string{"a", "b"})
}

// The same for an actor that asked.
func TestMessageThatPanicsIsAnswered(t *testing.T) {
	var w tripwire
	c := newCluster(t, 1, w.onHost)
	c.propose("a")
	w.set(deposed)
	answer, err := c.system.Root.RequestFuture(c.leader().group.PID(), &actors.StepDown{}, limit).Result()
	if err != nil {
		t.Fatal(err)
	}
	if refused, ok := answer.(*actors.Refused); !ok || !errors.Is(refused.Err, actors.ErrIndeterminate) {
		t.Errorf("got %T %+v", answer, answer)
	}
	if w.panicked.Load() != 1 {
		t.Error("nothing panicked")
	}
}

// A proposal for which there is no room in the block has the block sealed first, and that panics: neither those in the block nor this one
// wait for ever, and no caller that leaves meanwhile spins.
func TestProposalThatPanicsIsAnswered(t *testing.T) {
	var w tripwire
	entered, release := make(chan struct{}), make(chan struct{})
	c := newCluster(t, 1, w.onHost, func(c *testCluster) {
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) { cfg.MaxBlockBytes = 1000 }
	})
	c.propose("a")
	g := c.leader().group
	w.set(func(*raft.Node, raft.Index) bool { close(entered); <-release; return false })
	c.system.Root.Send(g.PID(), &actors.Read{}) // which takes a step
	<-entered
	w.set(grown)
	first, second := g.Post(make([]byte, 600)), g.Post(make([]byte, 600))
	close(release)
	for what, p := range map[string]actors.Posted{"what is in the block": first, "what waits for the next": second} {
		if err := answered(t, what, p); !errors.Is(err, actors.ErrIndeterminate) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if w.panicked.Load() != 1 {
		t.Error("nothing panicked")
	}
	c.propose("b")
}

// Proposals held during a transfer are let go one after the other; those behind one that panics are answered too.
func TestProposalsHeldBehindOneThatPanicsAreAnswered(t *testing.T) {
	var w tripwire
	system := newSystem()
	h, err := actors.StartHost(system, actors.HostConfig{
		Node: 1, Cluster: "t", Dir: t.TempDir(), Transport: onlyVotes(system), Log: quiet(), Watch: w.watch,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	g, err := actors.StartGroup(h, actors.GroupConfig{
		Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: steady, TransferTimeout: testTimeout.Min,
		MaxBlockBytes: 1000, StateMachine: func() actors.StateMachine { return &ledger{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "leads", func() bool { return g.Status().Role == raft.Leader })
	w.set(grown)
	system.Root.Send(g.PID(), &actors.TransferLeadership{To: 2}) // which takes nothing, so that this ends by its deadline
	var held []actors.Posted
	for range 4 {
		held = append(held, g.Post(make([]byte, 600)))
	}
	for i, p := range held {
		if err := answered(t, "a held proposal", p); err == nil || i == 3 && !errors.Is(err, actors.ErrStopped) {
			t.Errorf("proposal %d: %v", i, err)
		}
	}
	if w.panicked.Load() != 1 {
		t.Error("nothing panicked")
	}
}
