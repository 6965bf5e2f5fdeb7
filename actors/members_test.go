package actors_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func findSnapshot(t *testing.T, dir string) string {
	t.Helper()
	var found string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".troupe") {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no snapshot below %s: %v", dir, err)
	}
	return found
}

func TestAddPromoteRemove(t *testing.T) {
	c := newCluster(t, 3)
	ctx := withDeadline(t)
	c.propose("a")
	member := c.join("")
	if _, err := c.leader().group.ChangeMembers(ctx, actors.Change{AddLearners: []raft.Member{member}}); err != nil {
		t.Fatal(err)
	}
	c.converge([]string{"a"})
	await(t, "node 4 knows that it learns", func() bool { return c.nodes[4].group.Status().RoleName() == "learner" })
	if _, err := c.leader().group.ChangeMembers(ctx, actors.Change{Promote: []raft.NodeID{4}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.leader().group.ChangeMembers(ctx, actors.Change{Remove: []raft.NodeID{9}}); err == nil {
		t.Error("a node that is no member was removed")
	}
	var invalid *raft.InvalidChangeError
	if _, err := c.leader().group.ChangeMembers(ctx, actors.Change{Promote: []raft.NodeID{9}}); !errors.As(err, &invalid) {
		t.Errorf("got %v", err)
	}
	// The leader removes itself: it leads until the commit, then another takes over.
	old := c.leader()
	m, err := old.group.ChangeMembers(ctx, actors.Change{Remove: []raft.NodeID{old.id}})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Voters) != 3 {
		t.Fatalf("voters %v", m.Voters)
	}
	c.stop(old.id)
	c.propose("b")
	c.converge([]string{"a", "b"})
}

func TestJointChangeToOtherNodes(t *testing.T) {
	c := newCluster(t, 3)
	ctx := withDeadline(t)
	want := c.fill("", 10)
	var all []raft.Member
	for id := raft.NodeID(1); id <= 3; id++ {
		all = append(all, raft.Member{ID: id, Addr: c.addrs[id]})
	}
	var target []raft.Member
	for id := raft.NodeID(4); id <= 6; id++ {
		c.startHost(id)
		c.startGroup(id, nil)
		target = append(target, raft.Member{ID: id, Addr: c.addrs[id]})
	}
	m, err := c.leader().group.ChangeMembers(ctx, actors.Change{Voters: target})
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(m.Voters) != "[4 5 6]" || len(m.Outgoing) != 0 {
		t.Fatalf("membership %+v", m)
	}
	for _, old := range all {
		c.stop(old.ID)
	}
	c.propose("after")
	c.converge(append(want, "after"))
}
