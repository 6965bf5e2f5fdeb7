package sim

import (
	"reflect"
	"slices"
	"sort"
	"time"

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

// lateness is how late a follower may hear what its leader has committed, and its status tell what it knows, beside twice what it may lag by.
const lateness = 1500 * time.Millisecond

// keepsUp: who is said to have caught up has applied all that was committed a while ago. A node that did not run, or that was lied to, may say so for longer.
func (c *checker) keepsUp(l *life) {
	if l.group == nil || l.view.node == nil || len(l.forged) > 0 {
		return
	}
	st, within := l.group.Status(), max(c.sim.limits.caughtUp, l.node.timeout.Max)
	if !st.CaughtUp || st.Role == raft.Leader || l.view.role == raft.Leader || l.slow(within) {
		return
	}
	due := c.sim.clock.Now() - 2*within - lateness
	known := sort.Search(len(c.log), func(i int) bool { return c.log[i].at > due })
	if st.Applied < raft.Index(known) {
		c.fail("who has caught up has what was committed", "node %d has applied %d, entry %d was committed %v before", l.node.id, st.Applied, known, c.sim.clock.Now()-c.log[known-1].at)
	}
}

// caughtUp reports whether all members that run say that they have caught up.
func (s *Sim) caughtUp() bool {
	ids, _ := s.members()
	return !slices.ContainsFunc(ids, func(id raft.NodeID) bool {
		n := s.nodes[id]
		return n.life != nil && !n.gone && n.life.running() && !n.life.group.Status().CaughtUp
	})
}
