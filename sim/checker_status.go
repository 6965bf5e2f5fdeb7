package sim

import (
	"reflect"

	"github.com/troupe-raft/troupe/raft"
)

// shown looks at what a replica shows of itself, now and then: that its status is what its rules hold, that its own invariants stand, and that
// a clone of it is equal and shares nothing.
func (c *checker) shown(l *life, n *raft.Node) {
	if c.sim.stage.Steps()%8 != 0 {
		return
	}
	if err := n.Check(); err != nil {
		c.fail("the rules' own invariants stand", "node %d: %v", n.ID(), err)
	}
	st := n.Status()
	c.sim.trace.note("node %d is a %v", n.ID(), st.Role)
	if st.ID != n.ID() || st.Role != n.Role() || st.Term != n.Term() || st.Leader != n.Leader() || st.Commit != n.CommitIndex() ||
		st.First != n.FirstIndex() || st.Last != n.LastIndex() || st.Durable != n.Durable() || st.Snapshot != n.Snapshot().Index ||
		!st.Membership.Equal(n.Membership()) || st.Doubt != n.InDoubt(n.ID()) {
		c.fail("a status shows what the rules hold", "node %d: %+v", n.ID(), st)
	}
	for id, match := range st.Match {
		if theirs, heard, ok := n.Follower(id); !ok || theirs != match || heard != st.Heard[id] {
			c.fail("a status shows what the rules hold", "node %d: match of node %d: %+v", n.ID(), id, st)
		}
	}
	before, clone := st.Clone(), n.Clone()
	if !reflect.DeepEqual(clone.Status(), st) {
		c.fail("a clone is equal", "node %d: %+v, the clone %+v", n.ID(), st, clone.Status())
	}
	clone.Step(l.stage.Clock().Now(), raft.StepDown{})
	if !reflect.DeepEqual(n.Status(), before) {
		c.fail("a clone shares nothing", "node %d: %+v, before a step of its clone %+v", n.ID(), n.Status(), before)
	}
}
