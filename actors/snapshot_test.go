package actors_test

import (
	"fmt"
	"os"
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
	var want []string
	for i := range 100 {
		c.propose(fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
	}
	for id, n := range c.nodes {
		await(t, fmt.Sprintf("node %d compacts its log", id), func() bool {
			s := n.group.Status()
			return s.Snapshot >= 80 && s.First > s.Snapshot-20 && s.First <= s.Snapshot
		})
	}
	for id := raft.NodeID(1); id <= 3; id++ {
		c.stop(id)
	}
	for id := raft.NodeID(1); id <= 3; id++ {
		c.startHost(id)
	}
	for id := raft.NodeID(1); id <= 3; id++ {
		c.startGroup(id, c.founders())
	}
	c.leader()
	c.converge(want)
}

func TestFollowerThatLagsGetsASnapshot(t *testing.T) {
	c := newCluster(t, 3, smallSnapshots)
	var want []string
	propose := func(n int) {
		for range n {
			data := fmt.Sprint(len(want))
			c.propose(data)
			want = append(want, data)
		}
	}
	propose(10)
	away := c.follower().id
	c.stop(away)
	propose(100)
	for id, n := range c.nodes {
		await(t, fmt.Sprintf("node %d compacts beyond what the other has", id), func() bool { return n.group.Status().First > 30 })
	}
	installed := make(chan *actors.SnapshotTaken, 100)
	sub := c.system.EventStream.Subscribe(func(e any) {
		if s, ok := e.(*actors.SnapshotTaken); ok && s.Installed {
			installed <- s
		}
	})
	defer c.system.EventStream.Unsubscribe(sub)
	c.restart(away)
	if s := <-installed; s.Node != away {
		t.Errorf("installed on node %d", s.Node)
	}
	propose(10)
	c.converge(want)
	// And it restarts from what it installed.
	c.stop(away)
	c.restart(away)
	propose(5)
	c.converge(want)
}

func TestNewNodeIsFedFromASnapshot(t *testing.T) {
	c := newCluster(t, 3, smallSnapshots)
	var want []string
	for i := range 100 {
		c.propose(fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
	}
	await(t, "the leader compacts", func() bool { return c.leader().group.Status().First > 50 })
	c.startHost(4)
	c.startGroup(4, nil)
	member := raft.Member{ID: 4, Addr: c.nodes[4].host.Addr(), Tag: "four"}
	m, err := c.leader().group.ChangeMembers(withDeadline(t), actors.Change{AddVoters: []raft.Member{member}})
	if err != nil {
		t.Fatal(err)
	}
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
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
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
	var want []string
	for i := range 50 {
		c.propose(fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
	}
	c.startHost(4)
	c.startGroup(4, nil)
	member := raft.Member{ID: 4, Addr: c.nodes[4].host.Addr()}
	if _, err := c.leader().group.ChangeMembers(withDeadline(t), actors.Change{AddVoters: []raft.Member{member}}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		c.propose(fmt.Sprint("after ", i))
		want = append(want, fmt.Sprint("after ", i))
	}
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
