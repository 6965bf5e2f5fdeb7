package actors_test

import (
	"sync/atomic"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// A stopper holds a replica in the middle of its turn, once it is set to a node, the next time that the node steps as a leader.
type stopper struct {
	node    atomic.Uint64
	held    chan struct{}
	release chan struct{}
}

func newStopper() *stopper {
	return &stopper{held: make(chan struct{}), release: make(chan struct{})}
}

func (s *stopper) onHosts(c *testCluster) {
	c.host = func(id raft.NodeID, cfg *actors.HostConfig) {
		cfg.Watch = func(_ raft.GroupID, n *raft.Node) {
			if n.Role() == raft.Leader && s.node.CompareAndSwap(uint64(id), 0) {
				close(s.held)
				<-s.release
			}
		}
	}
}

// hold waits until the replica of a node is held.
func (s *stopper) hold(t *testing.T, n *testNode) {
	t.Helper()
	s.node.Store(uint64(n.id))
	select {
	case <-s.held:
	case <-withDeadline(t).Done():
		t.Fatal("the leader takes no step")
	}
}

// without are the nodes but one.
func (c *testCluster) without(n *testNode) (rest []*testNode) {
	for _, other := range c.nodes {
		if other != n {
			rest = append(rest, other)
		}
	}
	return rest
}

// A leader whose actor is stuck loses its heartbeats, so that another is elected although its node is as alive as ever. When it wakes up it
// learns that it is deposed, by its own mailbox.
func TestStuckLeaderIsReplaced(t *testing.T) {
	s := newStopper()
	c := newCluster(t, 3, s.onHosts)
	c.propose("a")
	old := c.leader()
	term := old.group.Status().Term
	t.Cleanup(func() { // before the nodes stop
		select {
		case <-s.release:
		default:
			close(s.release)
		}
	})
	s.hold(t, old)
	if err := proposeAnywhere(withDeadline(t), c.without(old), "b"); err != nil {
		t.Fatalf("beside a leader that is stuck: %v", err)
	}
	if s := old.group.Status(); s.Term != term || s.Role != raft.Leader {
		t.Errorf("the stuck replica took a turn: %+v", s)
	}
	close(s.release)
	await(t, "the old leader follows", func() bool { s := old.group.Status(); return s.Role == raft.Follower && s.Term > term })
	c.propose("c")
	c.converge([]string{"a", "b", "c"})
}
