package actors_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// nowhere is an address at which nobody listens.
const nowhere = "127.0.0.1:1"

// unsafe demands that a change is refused, at once, for the servers named.
func (c *testCluster) unsafe(change actors.Change, servers ...raft.NodeID) {
	c.t.Helper()
	ctx := withDeadline(c.t)
	for {
		_, err := c.leader().group.ChangeMembers(ctx, change)
		if (errors.Is(err, raft.ErrTermNotCommitted) || errors.Is(err, actors.ErrNotLeader)) && ctx.Err() == nil {
			continue
		}
		var unsafe *raft.UnsafeChangeError
		if !errors.As(err, &unsafe) {
			c.t.Fatalf("%+v: %v", change, err)
		}
		var named []raft.NodeID
		for _, u := range unsafe.Servers {
			named = append(named, u.ID)
		}
		if !slices.Equal(named, servers) {
			c.t.Errorf("%+v: %v, want servers %v", change, err, servers)
		}
		return
	}
}

// Members who do not exist cannot end a healthy cluster, and what was added by mistake can be taken back.
func TestMistypedMembersEndNothing(t *testing.T) {
	c := newCluster(t, 3)
	c.propose("a")
	members := func(ids ...raft.NodeID) (out []raft.Member) {
		for _, id := range ids {
			out = append(out, raft.Member{ID: id, Addr: nowhere})
		}
		return out
	}
	c.unsafe(actors.Change{Voters: members(7, 8, 9)}, 7, 8, 9)
	c.unsafe(actors.Change{AddVoters: members(4)}, 4)
	c.change(actors.Change{AddLearners: members(4)})
	c.unsafe(actors.Change{Promote: []raft.NodeID{4}}, 4)
	c.propose("b")
	c.change(actors.Change{Remove: []raft.NodeID{4}})
	c.propose("c")
	c.converge([]string{"a", "b", "c"})
}

// With one of three down, its replacement comes in, and it goes out.
func TestDeadVoterIsReplaced(t *testing.T) {
	c := newCluster(t, 3)
	c.propose("a")
	dead := c.follower().id
	c.stop(dead)
	if m := c.addVoter(c.join("")); !m.IsVoter(4) {
		t.Fatalf("%+v", m)
	}
	m := c.change(actors.Change{Remove: []raft.NodeID{dead}})
	if m.Has(dead) || len(m.Voters) != 3 {
		t.Fatalf("%+v", m)
	}
	c.propose("b")
	c.converge([]string{"a", "b"})
}

// AddVoter adds a learner; as long as that does not answer it stays one, and the error says why. Called again, it goes on.
func TestAddVoterWaitsForTheLearner(t *testing.T) {
	c := newCluster(t, 1)
	c.propose("a")
	lead := c.leader()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := lead.group.AddVoter(ctx, raft.Member{ID: 4, Addr: nowhere})
	var unsafe *raft.UnsafeChangeError
	if !errors.As(err, &unsafe) && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	await(t, "it learns", func() bool { return len(lead.group.Status().Members) == 2 && !lead.group.Status().Members[1].Voter })
	m, err := lead.group.AddVoter(withDeadline(t), c.join(""))
	if err != nil || !m.IsVoter(4) {
		t.Fatalf("%+v: %v", m, err)
	}
	c.propose("b")
	c.converge([]string{"a", "b"})
}

// The operator who looked at an older membership is told that it has moved on.
func TestChangeBasedOnAnOlderMembership(t *testing.T) {
	c := newCluster(t, 1)
	c.propose("a")
	lead := c.leader()
	seen := lead.group.Status()
	c.change(actors.Change{AddLearners: []raft.Member{{ID: 2, Addr: nowhere}}})
	_, err := lead.group.ChangeMembers(withDeadline(t), actors.Change{Promote: []raft.NodeID{9}, BasedOn: seen.Commit})
	var moved *raft.MovedOnError
	if !errors.As(err, &moved) || moved.Changed != lead.group.Status().MembersIndex {
		t.Fatal(err)
	}
	now := lead.group.Status()
	if _, err := lead.group.ChangeMembers(withDeadline(t), actors.Change{Remove: []raft.NodeID{2}, BasedOn: now.MembersIndex}); err != nil {
		t.Fatal(err)
	}
}
