package actors_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

func snapshotsOnDemand(c *testCluster) {
	c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
		cfg.TrailingEntries, cfg.SnapshotEvery = 1, actors.NoSnapshots
	}
}

// rot has a node take a snapshot, waits until the log before it is gone, and damages the file.
func (c *testCluster) rot(n *testNode) raft.Index {
	c.t.Helper()
	index, err := n.group.Snapshot(withDeadline(c.t))
	if err != nil {
		c.t.Fatal(err)
	}
	await(c.t, "the log is compacted", func() bool { return n.group.Status().First == index })
	damage(c.t, findSnapshot(c.t, filepath.Join(c.dir, fmt.Sprint(n.id))))
	return index
}

// The leader's newest snapshot has rotted on its disk, and its log before it is gone. A newcomer is fed all the same.
func TestNewcomerIsFedAlthoughTheSnapshotRotted(t *testing.T) {
	c := newCluster(t, 1, snapshotsOnDemand)
	want := c.fill("a", 20)
	lead := c.leader()
	c.rot(lead)
	c.change(actors.Change{AddLearners: []raft.Member{c.join("")}})
	c.converge(append(want, c.fill("b", 5)...))
}

// Nothing was applied since the snapshot that rotted: the one that replaces it has the same index. Both facts are told.
func TestRottenSnapshotIsReplacedAtItsIndex(t *testing.T) {
	c := newCluster(t, 1, snapshotsOnDemand)
	lead := c.leader() // it has the only vote, so that no other node leads meanwhile
	c.change(actors.Change{AddLearners: []raft.Member{c.join("")}})
	want := c.fill("a", 5)
	c.converge(want)
	c.stop(4)
	want = append(want, c.fill("b", 20)...)
	index := c.rot(lead)
	unusable, taken := make(chan *actors.SnapshotUnusable, 100), make(chan *actors.SnapshotTaken, 100)
	on(c, func(e *actors.SnapshotUnusable) { unusable <- e })
	on(c, func(e *actors.SnapshotTaken) { taken <- e })
	c.startHost(4)
	c.startGroup(4, nil)
	if e := receive(t, unusable); e.Node != lead.id || e.Index != index || e.Err == nil {
		t.Errorf("told %+v, not of node %d's snapshot at %d", e, lead.id, index)
	}
	if e := receive(t, taken); e.Node != lead.id || e.Index != index || e.Installed {
		t.Errorf("told %+v, not of another snapshot at %d of node %d", e, index, lead.id)
	}
	c.converge(append(want, c.fill("c", 5)...))
}

// receive waits for what must come.
func receive[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(limit):
		t.Fatalf("no %T within %v", got, limit)
	}
	return got
}
