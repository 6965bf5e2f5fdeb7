package actors_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/snapshotter"
)

// A follower is started whose newest snapshot has rotted, and the log before it is gone. It says so, is given another one, and is a member like
// any other again: it leads, and starts the next time without help.
func TestReplicaOutlivesItsRottenSnapshot(t *testing.T) {
	c := newCluster(t, 3, snapshotsOnDemand)
	want := c.fill("a", 20)
	c.converge(want)
	n := c.follower()
	index := c.rot(n)
	c.stop(n.id)
	unusable, taken := make(chan *actors.SnapshotUnusable, 100), make(chan *actors.SnapshotTaken, 100)
	on(c, func(e *actors.SnapshotUnusable) { unusable <- e })
	on(c, func(e *actors.SnapshotTaken) {
		if e.Installed {
			taken <- e
		}
	})
	n = c.restart(n.id)
	if e := receive(t, unusable); e.Node != n.id || e.Index != index || e.Err == nil {
		t.Errorf("told %+v, not of node %d's snapshot at %d", e, n.id, index)
	}
	if e := receive(t, taken); e.Node != n.id || e.Index < index {
		t.Errorf("told %+v, not of another snapshot of node %d's", e, n.id)
	}
	want = append(want, c.fill("b", 5)...)
	c.converge(want)
	await(t, "it is a follower like any other", func() bool { s := n.group.Status(); return s.Trouble == nil && s.Role == raft.Follower })
	if err := c.leader().group.Transfer(withDeadline(t), n.id); err != nil {
		t.Error(err)
	}
	c.stop(n.id)
	n = c.restart(n.id)
	c.converge(append(want, c.fill("c", 5)...))
	if s := n.group.Status(); s.Trouble != nil {
		t.Error(s.Trouble)
	}
	select {
	case e := <-unusable:
		t.Errorf("told %+v again", e)
	default:
	}
}

// While there is nobody to ask, such a replica waits and does not lead, however long its log is. Started once more it finds the same again. With
// others it goes on.
func TestReplicaWithoutAStateDoesNotLead(t *testing.T) {
	c := newCluster(t, 3, snapshotsOnDemand)
	want := c.fill("a", 20)
	c.converge(want)
	n := c.follower()
	index := c.rot(n)
	ids := c.founders()
	for _, id := range ids {
		c.stop(id)
	}
	for range 2 {
		n = c.restart(n.id)
		var lost *actors.StateLostError
		var file *snapshotter.FileError
		await(t, "the replica says what it lacks", func() bool { return errors.As(n.group.Status().Trouble, &lost) })
		if s := n.group.Status(); lost.Index != index || !errors.As(lost, &file) || s.Stopped || s.Err != nil || s.Applied != 0 || s.Role != raft.Learner || s.CaughtUp {
			t.Errorf("%v: %+v", lost, s)
		}
		if _, err := n.group.Propose(withDeadline(t), []byte("x")); !errors.Is(err, raft.ErrNotLeader) {
			t.Errorf("a proposal: %v", err)
		}
		if _, err := n.group.Snapshot(withDeadline(t)); err == nil {
			t.Error("it took a snapshot of nothing")
		}
		c.stop(n.id)
	}
	for _, id := range ids {
		c.restart(id)
	}
	if lead := c.leader(); lead.id == n.id && lead.group.Status().Trouble != nil {
		t.Errorf("node %d leads without a state", n.id)
	}
	c.converge(append(want, c.fill("b", 5)...))
}

// The only voter has nobody to ask: it fails, and names the file.
func TestOnlyVoterFailsWithItsRottenSnapshot(t *testing.T) {
	c := newCluster(t, 1, snapshotsOnDemand)
	c.fill("a", 20)
	n := c.leader()
	c.rot(n)
	path := findSnapshot(t, filepath.Join(c.dir, fmt.Sprint(n.id)))
	c.stop(n.id)
	n = c.restart(n.id)
	await(t, "it fails", func() bool { return n.group.Status().Phase == actors.Failed })
	if file := (*snapshotter.FileError)(nil); !errors.As(n.group.Status().Err, &file) || file.Path != path {
		t.Errorf("%v, want %s named", n.group.Status().Err, path)
	}
	delete(c.nodes, n.id)
	if err := n.host.Stop(withDeadline(t)); err == nil {
		t.Error("Stop says nothing of it")
	}
}

// A bomb is a state machine whose next Apply on one node panics.
type bomb struct {
	actors.StateMachine
	id     uint64
	panics *atomic.Uint64
}

func (b *bomb) Apply(c actors.Command) []byte {
	if b.panics.CompareAndSwap(b.id, 0) {
		panic("a bug")
	}
	return b.StateMachine.Apply(c)
}

// The state machine of a leader panics, and the snapshot that it is to be restored from has rotted. Others lead, and help.
func TestCrashedLeaderOutlivesItsRottenSnapshot(t *testing.T) {
	var panics atomic.Uint64 // the node that does
	c := newCluster(t, 3, snapshotsOnDemand, func(c *testCluster) {
		quietly := c.config
		c.config = func(id raft.NodeID, cfg *actors.GroupConfig) {
			quietly(id, cfg)
			machine := cfg.StateMachine()
			cfg.StateMachine = func() actors.StateMachine { return &bomb{StateMachine: machine, panics: &panics, id: uint64(id)} }
		}
	})
	want := c.fill("a", 20)
	c.converge(want)
	lead := c.leader()
	c.rot(lead)
	unusable := make(chan *actors.SnapshotUnusable, 100)
	on(c, func(e *actors.SnapshotUnusable) { unusable <- e })
	panics.Store(uint64(lead.id))
	want = append(want, c.fill("b", 5)...)
	if e := receive(t, unusable); e.Node != lead.id {
		t.Errorf("told %+v, not of node %d", e, lead.id)
	}
	c.converge(want)
	await(t, "it says that all is well", func() bool { return lead.group.Status().Trouble == nil })
}
