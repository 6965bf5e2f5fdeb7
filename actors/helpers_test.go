package actors_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// on calls heard with every event of type T, until the test ends.
func on[T any](c *testCluster, heard func(T)) {
	c.t.Helper()
	sub := c.system.EventStream.Subscribe(func(e any) {
		if m, ok := e.(T); ok {
			heard(m)
		}
	})
	c.t.Cleanup(func() { c.system.EventStream.Unsubscribe(sub) })
}

// fill proposes n commands, prefix and number, and returns them.
func (c *testCluster) fill(prefix string, n int) (data []string) {
	c.t.Helper()
	for i := range n {
		data = append(data, fmt.Sprint(prefix, i))
		c.propose(data[i])
	}
	return data
}

// change has whoever leads make a change, which is taken once the rules hold it to be safe.
func (c *testCluster) change(change actors.Change) raft.Membership {
	c.t.Helper()
	return made(c.t, change, func() *actors.Group { return c.leader().group })
}

// made makes a change, through whoever leads then: on a busy machine a leader may be lost at any time. What is unknown then may have been made, and
// cannot be made twice.
func made(t *testing.T, change actors.Change, leader func() *actors.Group) raft.Membership {
	t.Helper()
	ctx, maybe := withDeadline(t), false
	for {
		g := leader()
		m, err := g.ChangeMembers(ctx, change)
		var unsafe *raft.UnsafeChangeError
		var invalid *raft.InvalidChangeError
		var readmit *actors.ReadmitError
		switch {
		case err == nil:
			return m
		case maybe && (errors.As(err, &invalid) || errors.As(err, &readmit)):
			await(t, "the change is committed", func() bool { return settled(g) && !g.Status().Joint || g.Status().Role != raft.Leader })
			if s := g.Status(); s.Role == raft.Leader {
				return membership(s)
			}
			continue
		case errors.Is(err, actors.ErrIndeterminate) && ctx.Err() == nil:
			maybe = true
			continue
		case errors.As(err, &readmit) && strings.Contains(readmit.Reason, "has not called"), // nor can it have, where the leader has just started
			errors.As(err, &unsafe), errors.Is(err, raft.ErrTermNotCommitted), errors.Is(err, actors.ErrNotLeader), errors.Is(err, actors.ErrChangeInProgress),
			errors.Is(err, raft.ErrChangeInProgress):
			select {
			case <-time.After(time.Millisecond):
				continue
			case <-ctx.Done():
			}
		}
		t.Fatalf("%+v: %v", change, err)
	}
}

// membership is the one that a status tells of.
func membership(s actors.Status) (m raft.Membership) {
	for _, member := range s.Members {
		m.Members = append(m.Members, member.Member)
		if member.Voter {
			m.Voters = append(m.Voters, member.ID)
		} else {
			m.Learners = append(m.Learners, member.ID)
		}
	}
	return m
}

// addVoter adds node 4, which has joined, as a learner and then as a voter.
func (c *testCluster) addVoter(m raft.Member) raft.Membership {
	c.t.Helper()
	c.change(actors.Change{AddLearners: []raft.Member{m}})
	return c.change(actors.Change{Promote: []raft.NodeID{m.ID}})
}

// bounce stops all nodes, and only then starts them again.
func (c *testCluster) bounce() {
	c.t.Helper()
	for id := raft.NodeID(1); id <= raft.NodeID(c.size); id++ {
		c.stop(id)
	}
	for id := raft.NodeID(1); id <= raft.NodeID(c.size); id++ {
		c.startHost(id)
	}
	for id := raft.NodeID(1); id <= raft.NodeID(c.size); id++ {
		c.startGroup(id, c.founders())
	}
	c.leader()
}

// join starts node 4, which the cluster is to add, and returns what the others must know of it.
func (c *testCluster) join(tag string) raft.Member {
	c.t.Helper()
	c.startHost(4)
	c.startGroup(4, nil)
	return raft.Member{ID: 4, Addr: c.nodes[4].host.Addr(), Tag: tag}
}

// damage flips a bit in the middle of a file.
func damage(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
