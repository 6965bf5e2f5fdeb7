package actors_test

import (
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// TestRemovedNodeRests: a node that was taken out while it was down, or while it ran, be it a voter or a learner, is told, rests, and says so. Added again it takes part.
func TestRemovedNodeRests(t *testing.T) {
	for name, test := range map[string]struct{ learner, down bool }{
		"voter, down": {false, true}, "voter, up": {false, false}, "learner, up": {true, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3)
			want := c.fill("a", 3)
			c.converge(want)
			id := c.follower().id
			if test.learner {
				c.change(actors.Change{Voters: c.members(c.foundersBut(id)...), Learners: c.members(id)})
			}
			if test.down {
				c.stop(id)
			}
			c.change(actors.Change{Remove: []raft.NodeID{id}})
			if test.down {
				c.restart(id)
			}
			out := c.nodes[id]
			await(t, "it is told", func() bool { s := out.group.Status(); return s.Removed > 0 && s.RoleName() == "removed" })
			term := out.group.Status().Term
			c.leaderless(id)
			if s := out.group.Status(); s.RoleName() != "removed" || s.Term != term {
				t.Errorf("it does not rest: %s in term %d, before %d", s.RoleName(), s.Term, term)
			}
			delete(c.nodes, id) // it knows of no leader
			c.change(actors.Change{AddLearners: c.members(id)})
			c.nodes[id] = out
			await(t, "it takes part again", func() bool { return out.group.Status().Removed == 0 })
			c.change(actors.Change{Promote: []raft.NodeID{id}})
			c.converge(append(want, c.fill("b", 3)...))
		})
	}
}

// members are nodes with their addresses.
func (c *testCluster) members(ids ...raft.NodeID) (list []raft.Member) {
	for _, id := range ids {
		list = append(list, raft.Member{ID: id, Addr: c.addrs[id]})
	}
	return list
}

// foundersBut are the founders but one.
func (c *testCluster) foundersBut(but raft.NodeID) (ids []raft.NodeID) {
	for _, id := range c.founders() {
		if id != but {
			ids = append(ids, id)
		}
	}
	return ids
}
