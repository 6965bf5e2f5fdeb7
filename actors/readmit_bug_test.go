package actors_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// changeAnyhow is change where not everybody is led: a node that was taken out is not.
func changeAnyhow(t *testing.T, groups map[raft.NodeID]*actors.Group, what actors.Change) raft.Membership {
	t.Helper()
	return made(t, what, func() (lead *actors.Group) {
		await(t, "somebody leads", func() bool {
			for _, g := range groups {
				if g.Status().Role == raft.Leader {
					lead = g
				}
			}
			return lead != nil
		})
		return lead
	})
}

// A member that was taken out and put in again, as it is and without ever losing its connections, is known by its folder as before: it does not
// lose that unnoticed.
func TestMemberPutBackIsKnown(t *testing.T) {
	c := newCluster(t, 3)
	told := listen(c)
	c.converge(c.fill("a", 3))
	lead, back := c.leader().id, c.follower().id
	third := c.third(lead, back)
	groups := map[raft.NodeID]*actors.Group{lead: c.nodes[lead].group, third: c.nodes[third].group}
	changeAnyhow(t, groups, actors.Change{Remove: []raft.NodeID{back}})
	await(t, "both have heard that", func() bool { return settled(groups[lead]) && settled(groups[third]) })
	changeAnyhow(t, groups, actors.Change{AddLearners: []raft.Member{{ID: back, Addr: c.addrs[back]}}})
	changeAnyhow(t, groups, actors.Change{Promote: []raft.NodeID{back}})
	await(t, "all have met it", func() bool { return c.remembers(lead, back) && c.remembers(third, back) })
	c.stop(back)
	c.wipe(back)
	c.restart(back)
	told.told(t, lead, back, raft.Wiped)
	told.told(t, third, back, raft.Wiped)
	told.told(t, back, back, raft.Wiped)
}

// remembers reports whether a node has another one in its PEERS.
func (c *testCluster) remembers(id, other raft.NodeID) bool {
	b, err := os.ReadFile(filepath.Join(c.folder(id), "PEERS"))
	return err == nil && strings.Contains(string(b), fmt.Sprintf(`"node":%d,`, other))
}

// settled: the membership in force is known to be committed.
func settled(g *actors.Group) bool {
	s := g.Status()
	return s.Commit >= s.MembersIndex
}

// A node that one group has let back in counts in another one once that has, too, and not before: also in one that was founded since, for
// which nobody can tell. Until then that is said.
func TestReadmittedInEachGroup(t *testing.T) {
	c := newCluster(t, 3)
	told := listen(c)
	c.converge(c.fill("a", 3))
	lead, back := c.leader().id, c.follower().id
	third := c.third(lead, back)
	c.stop(back)
	c.wipe(back)
	c.restart(back)
	told.told(t, lead, back, raft.Wiped)
	c.readmit(back)
	c.stop(back) // whoever starts now greets as the one that was let in
	c.restart(back)
	await(t, "all have met it", func() bool { return c.knows(lead, back) && c.knows(third, back) })

	groups := map[raft.NodeID]*actors.Group{}
	for id, n := range c.nodes {
		g, err := actors.StartGroup(n.host, actors.GroupConfig{Group: 2, Members: c.founders(), ElectionTimeout: testTimeout,
			StateMachine: func() actors.StateMachine { return &ledger{} }, Addrs: c.addrs})
		if err != nil {
			t.Fatal(err)
		}
		groups[id] = g
	}
	for _, id := range []raft.NodeID{lead, third} {
		await(t, fmt.Sprintf("node %d says that it does not count", id), func() bool { return troubleOf(groups[id], back) != nil })
	}
	if m := changeAnyhow(t, groups, actors.Change{Readmit: []raft.NodeID{back}}); !m.IsLearner(back) {
		t.Errorf("readmitted as %+v", m)
	}
	changeAnyhow(t, groups, actors.Change{Promote: []raft.NodeID{back}})
	for _, id := range []raft.NodeID{lead, third} {
		await(t, fmt.Sprintf("node %d says nothing against it", id), func() bool { return troubleOf(groups[id], back) == nil })
	}
	delete(groups, third)
	c.stop(third)
	await(t, "it counts", func() bool {
		for _, g := range groups {
			if _, err := g.Propose(withDeadline(t), []byte("x")); err == nil {
				return true
			}
		}
		return false
	})
}

func troubleOf(g *actors.Group, id raft.NodeID) error {
	for _, m := range g.Status().Members {
		if m.ID == id {
			return m.Trouble
		}
	}
	return nil
}

// TestReadmitOfWhoDoesNotAnswer: a member that is down is to be started; by which folder the leader knew it is beside the point.
func TestReadmitOfWhoDoesNotAnswer(t *testing.T) {
	c := newCluster(t, 3)
	c.fill("a", 3)
	f := c.follower()
	await(t, "all know each other", func() bool { return member(c.leader(), f.id).Active })
	readmit := func() string {
		_, err := c.leader().group.ChangeMembers(t.Context(), actors.Change{Readmit: []raft.NodeID{f.id}})
		return fmt.Sprint(err)
	}
	if said := readmit(); !strings.Contains(said, "the leader knows it by the folder that it runs on") {
		t.Errorf("while it runs: %s", said)
	}
	c.stop(f.id)
	await(t, "it is missed", func() bool { return !member(c.leader(), f.id).Active })
	if said := readmit(); !strings.Contains(said, "it does not answer: start it") {
		t.Errorf("while it is down: %s", said)
	}
}
