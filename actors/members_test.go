package actors_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
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
	c.change(actors.Change{AddLearners: []raft.Member{member}})
	c.converge([]string{"a"})
	await(t, "node 4 knows that it learns", func() bool { return c.nodes[4].group.Status().RoleName() == "learner" })
	await(t, "the leader knows that node 4 has caught up", func() bool {
		s := c.leader().group.Status()
		return slices.ContainsFunc(s.Members, func(m actors.MemberStatus) bool { return m.ID == 4 && m.Match >= s.Last })
	})
	c.change(actors.Change{Promote: []raft.NodeID{4}})
	if _, err := c.leader().group.ChangeMembers(ctx, actors.Change{Remove: []raft.NodeID{9}}); err == nil {
		t.Error("a node that is no member was removed")
	}
	var invalid *raft.InvalidChangeError
	await(t, "nobody who is no learner is promoted", func() bool { // whoever leads by then may have to commit first
		_, err := c.leader().group.ChangeMembers(ctx, actors.Change{Promote: []raft.NodeID{9}})
		return errors.As(err, &invalid)
	})
	// The leader removes itself: it leads until the commit, then another takes over.
	old := c.leader()
	m := c.change(actors.Change{Remove: []raft.NodeID{old.id}})
	if len(m.Voters) != 3 {
		t.Fatalf("voters %v", m.Voters)
	}
	c.stop(old.id)
	c.propose("b")
	c.converge([]string{"a", "b"})
}

func TestJointChangeToOtherNodes(t *testing.T) {
	c := newCluster(t, 3)
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
	c.change(actors.Change{AddLearners: target})
	m := c.change(actors.Change{Voters: target})
	if fmt.Sprint(m.Voters) != "[4 5 6]" || len(m.Outgoing) != 0 {
		t.Fatalf("membership %+v", m)
	}
	for _, old := range all {
		c.stop(old.ID)
	}
	c.propose("after")
	c.converge(append(want, "after"))
}

// A leader's Status says how it feeds each member, and nobody else's does.
func TestStatusSaysHowMembersAreFed(t *testing.T) {
	c := newCluster(t, 3)
	c.fill("a", 10)
	leader := c.leader()
	fed := func() (n int) {
		s := leader.group.Status()
		for _, m := range s.Members {
			if p := m.Progress; p.Mode == raft.Stream && p.Match == s.Last && p.Next == s.Last+1 && p.Messages == 0 && p.Bytes == 0 && p.Window > 0 {
				n++
			} else if m.ID == leader.id && p != (raft.ProgressStatus{}) {
				t.Errorf("the leader feeds itself: %v", p)
			}
		}
		return n
	}
	await(t, "both followers stream and have all, and it leads no more", func() bool {
		leader = c.leader()
		return fed() == 2 && leader.group.StepDown(withDeadline(t)) == nil
	})
	if s := leader.group.Status(); s.Role != raft.Leader && fed() != 0 {
		t.Errorf("one that does not lead feeds: %+v", s)
	}
}
