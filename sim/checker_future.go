package sim

import "github.com/troupe-raft/troupe/raft"

// A standing is the membership that a stored log goes by, and through which entry it was read.
type standing struct {
	through raft.EntryID
	change  raft.Change // the latest in the log; Index 0: none
}

// standing is the membership that a server would go by that restarts from this image: the latest in its log, committed or not (§6).
func (c *checker) standing(m *image) raft.Membership {
	s := &m.standing
	if t, ok := m.termAt(s.through.Index); !ok || t != s.through.Term || s.through.Index < m.snapshot.Index {
		*s = standing{through: raft.EntryID{Index: m.snapshot.Index}}
	}
	last := m.last()
	for k := m.blockOf(s.through.Index + 1); k >= 0 && k < len(m.blocks); k++ {
		b := m.blocks[k]
		for i := max(b.First(), s.through.Index+1); i <= b.Last(); i++ {
			if in := c.changed[raft.EntryID{Index: i, Term: b.Term()}]; in != nil {
				s.change = raft.Change{Index: i, Membership: *in}
			}
		}
	}
	s.through = last
	if s.change.Index > m.snapshot.Index {
		return s.change.Membership
	}
	return m.snapshot.Membership
}

// electable: were all servers to crash at this moment and to restart from their disks, nobody could be elected, by the membership of its own log,
// that lacks what is committed. It is Leader Completeness (§5.4.3) of every future, not only of the one that this run happens to take.
func (c *checker) electable() {
	top := raft.EntryID{Index: raft.Index(len(c.log))}
	if top.Index == 0 {
		return
	}
	top.Term = c.log[top.Index-1].term
	for _, id := range c.sim.ids {
		m := c.sim.nodes[id].disk.image(groupID)
		if !c.sim.votes(id) || c.holding(m, top) {
			continue
		}
		members, last := c.standing(m), m.last()
		votes := func(voter raft.NodeID) bool {
			n := c.sim.nodes[voter]
			if !c.sim.votes(voter) || n.disk.image(groupID).life > 0 {
				return false
			}
			theirs := n.disk.image(groupID).last()
			return theirs.Term < last.Term || theirs.Term == last.Term && theirs.Index <= last.Index // §5.4.1
		}
		if members.IsVoter(id) && quorum(members, votes) {
			c.fail("leader completeness", "node %d, whose log ends at %d of term %d, could be elected by %v without committed entry %d of term %d",
				id, last.Index, last.Term, members.Voters, top.Index, top.Term)
		}
	}
}
