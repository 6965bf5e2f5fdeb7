package actors_test

import (
	"fmt"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

func smallSnapshots(c *testCluster) {
	c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
		cfg.SnapshotEvery, cfg.TrailingEntries = 20, 5
	}
}

func TestSnapshotsAreTakenAtTheThresholdEverywhere(t *testing.T) {
	c := newCluster(t, 3, smallSnapshots)
	want := c.fill("", 100)
	for id, n := range c.nodes {
		await(t, fmt.Sprintf("node %d compacts its log", id), func() bool {
			s := n.group.Status()
			return s.Snapshot >= 80 && s.First > s.Snapshot-20 && s.First <= s.Snapshot
		})
	}
	c.bounce()
	c.converge(want)
}

func TestFollowerThatLagsGetsASnapshot(t *testing.T) {
	c := newCluster(t, 3, smallSnapshots)
	want := c.fill("before ", 10)
	away := c.follower().id
	c.stop(away)
	want = append(want, c.fill("while it is away ", 100)...)
	for id, n := range c.nodes {
		await(t, fmt.Sprintf("node %d compacts beyond what the other has", id), func() bool { return n.group.Status().First > 30 })
	}
	installed := make(chan *actors.SnapshotTaken, 100)
	on(c, func(s *actors.SnapshotTaken) {
		if s.Installed {
			installed <- s
		}
	})
	c.restart(away)
	if s := <-installed; s.Node != away {
		t.Errorf("installed on node %d", s.Node)
	}
	want = append(want, c.fill("after ", 10)...)
	c.converge(want)
	// And it restarts from what it installed.
	c.stop(away)
	c.restart(away)
	c.converge(append(want, c.fill("last ", 5)...))
}

func TestNewNodeIsFedFromASnapshot(t *testing.T) {
	c := newCluster(t, 3, smallSnapshots)
	want := c.fill("", 100)
	await(t, "the leader compacts", func() bool { return c.leader().group.Status().First > 50 })
	m := c.addVoter(c.join("four"))
	if len(m.Voters) != 4 {
		t.Fatalf("voters %v", m.Voters)
	}
	c.propose("after")
	c.converge(append(want, "after"))
	s := c.nodes[4].group.Status()
	if len(s.Members) != 4 || s.Members[3].Tag != "four" {
		t.Errorf("node 4 knows %+v", s.Members)
	}
}

func TestForcedSnapshot(t *testing.T) {
	c := newCluster(t, 1)
	c.propose("a")
	lead := c.leader()
	index, err := lead.group.Snapshot(withDeadline(t))
	if err != nil || index != 2 {
		t.Fatalf("snapshot at %d: %v", index, err)
	}
	again, err := lead.group.Snapshot(withDeadline(t))
	if err != nil || again != index {
		t.Fatalf("with nothing new: %d, %v", again, err)
	}
	await(t, "the status shows it", func() bool { return lead.group.Status().Snapshot == index })
}

// A snapshot that rotted on the disk must stop the replica, with the file's name, not start it empty.
func TestDamagedSnapshotIsNamed(t *testing.T) {
	c := newCluster(t, 1)
	c.propose("a")
	if _, err := c.leader().group.Snapshot(withDeadline(t)); err != nil {
		t.Fatal(err)
	}
	c.propose("b")
	await(t, "the snapshot is kept", func() bool { return c.leader().group.Status().Snapshot > 0 })
	c.stop(1)
	path := findSnapshot(t, c.dir)
	damage(t, path)
	n := c.restart(1)
	await(t, "the replica fails", func() bool { return n.group.Status().Err != nil })
	if got := n.group.Status().Err.Error(); !contains(got, path) {
		t.Errorf("error %q does not name %s", got, path)
	}
	if got := n.ledger.all(); len(got) != 0 {
		t.Errorf("it applied %v", got)
	}
}

// A node that is fed from the log's first entry does not know the founders until it reads of its own addition: it takes no
// snapshot that nobody could start from.
func TestNewNodeTakesNoSnapshotBeforeItKnowsTheMembers(t *testing.T) {
	c := newCluster(t, 3, func(c *testCluster) {
		c.config = func(id raft.NodeID, cfg *actors.GroupConfig) {
			cfg.SnapshotEvery = actors.NoSnapshots
			if id == 4 {
				cfg.SnapshotEvery, cfg.TrailingEntries = 5, 1
			}
		}
	})
	want := c.fill("", 50)
	c.change(actors.Change{AddVoters: []raft.Member{c.join("")}, Force: true}) // at once, though it has none of the log
	want = append(want, c.fill("after ", 20)...)
	c.converge(want)
	// Snapshotter's pause after a refusal is a second: then it succeeds.
	index, err := c.nodes[4].group.Snapshot(withDeadline(t))
	if err != nil || index == 0 {
		t.Fatalf("snapshot %d, %v", index, err)
	}
	c.stop(4)
	c.startHost(4)
	c.startGroup(4, nil)
	c.propose("last")
	c.converge(append(want, "last"))
	if m := c.nodes[4].group.Status().Members; len(m) != 4 {
		t.Errorf("after its restart node 4 knows %v", m)
	}
}
