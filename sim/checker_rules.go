package sim

import (
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A view is what a life's rules looked like at their last step.
type view struct {
	node    *raft.Node // which incarnation
	role    raft.Role
	term    raft.Term
	commit  raft.Index
	last    raft.EntryID
	durable raft.EntryID
	log     lineage
	members raft.Membership        // in force, by the log
	lost    bool                   // the state machine has no state
	lasts   func(raft.Clocks) bool // whether it has a lease, at its own clocks
}

// stepped is called after every step of a replica's rules.
func (c *checker) stepped(l *life, n *raft.Node) {
	v := &l.view
	if v.node != n { // a new run of the replica, from its disk
		*v = view{node: n, term: n.Term(), lasts: n.LeaseLasts}
		v.log, v.commit = c.loaded(l)
	}
	if n.Term() < v.term {
		c.fail("term monotone", "node %d goes back from term %d to %d", n.ID(), v.term, n.Term())
	}
	if n.CommitIndex() < v.commit {
		c.fail("commit monotone", "node %d goes back from %d to %d", n.ID(), v.commit, n.CommitIndex())
	}
	c.stateless(l, n)
	before := v.log.effective()
	c.traced(l, n)
	c.stable(l, n)
	if n.Role() == raft.Leader {
		c.leading(l, n, before.Membership)
	}
	if n.CommitIndex() > v.commit {
		c.commit(l, n, v.commit+1, n.CommitIndex(), before)
	}
	v.role, v.term, v.commit = n.Role(), n.Term(), n.CommitIndex()
	v.members = v.log.effective().Membership
	t, _ := n.TermAt(n.LastIndex())
	v.last = raft.EntryID{Index: n.LastIndex(), Term: t}
	if l.holdsLease() {
		c.leases++
		c.exclusive(l)
	}
	c.shown(l, n)
}

// stateless: whoever has no state does not lead, and does not try to.
func (c *checker) stateless(l *life, n *raft.Node) {
	switch lost := n.Stateless(); {
	case lost && n.Role() != raft.Follower && n.Role() != raft.Learner:
		c.fail("whoever leads has a state", "node %d is a %v", n.ID(), n.Role())
	case lost && !l.view.lost:
		l.losses++
		c.sim.bereft(n.ID())
	case !lost && l.view.lost:
		c.sim.count(regains)
	}
	l.view.lost = n.Stateless()
}

// holdsLease reports whether a lease read would be answered now.
func (l *life) holdsLease() bool {
	clock := l.stage.Clock()
	return l.view.role == raft.Leader && l.view.lasts(raft.Clocks{Now: clock.Now(), Wall: time.Duration(clock.Wall().UnixNano())})
}

// leading checks what a leader must be and keep. Before is the membership that was in force when the step began.
func (c *checker) leading(l *life, n *raft.Node, before raft.Membership) {
	v, term := &l.view, n.Term()
	if who, ok := c.leaders[term]; ok && who != n.ID() {
		c.fail("election safety", "nodes %d and %d both lead term %d", who, n.ID(), term)
		return
	}
	fresh := v.role != raft.Leader || v.term != term
	if fresh {
		c.elections++
		c.leaders[term] = n.ID()
		c.reigns[term] = v.log.shape
		c.elected(l, n, before)
		c.complete(n)
		c.exclusiveElection(l, term)
	}
	c.members(v, n, before, fresh)
}

// elected: a leader has the spoken or its own stored votes of a quorum of every part of the membership (§5.2, §6).
func (c *checker) elected(l *life, n *raft.Node, m raft.Membership) {
	own := l.node.disk.image(groupID).hard
	votes := func(id raft.NodeID) bool {
		if id == n.ID() {
			return own.Term == n.Term() && own.Vote == id && !own.Doubt
		}
		for lost := range len(c.sim.nodes[id].lost) + 1 {
			if c.votes[ballot{id, lost, n.Term()}] == n.ID() {
				return true
			}
		}
		return false
	}
	if !quorum(m, votes) {
		c.fail("leaders are elected by a quorum", "node %d leads term %d without the votes of a quorum of %v; on its disk is %v", n.ID(), n.Term(), m, own)
	}
}

// complete: a leader's log holds everything that leaders of earlier terms committed (§5.4, Leader Completeness). Late votes may make somebody
// the leader of a term that has passed: it need not have what was committed since.
func (c *checker) complete(n *raft.Node) {
	top := raft.Index(len(c.log))
	for top > 0 && c.log[top-1].by >= n.Term() {
		top--
	}
	if top == 0 || top < n.FirstIndex()-1 {
		return
	}
	if t, ok := n.TermAt(top); !ok || t != c.log[top-1].term {
		c.fail("leader completeness", "node %d leads term %d without committed entry %d of term %d; its log ends at %d", n.ID(), n.Term(), top, c.log[top-1].term, n.LastIndex())
	}
}

// members: one change at a time, and any majority of one membership meets any of the next (§6).
func (c *checker) members(v *view, n *raft.Node, before raft.Membership, fresh bool) {
	known := max(n.CommitIndex(), raft.Index(len(c.log))) // a new leader may not know yet what is committed
	pending := 0
	for _, e := range v.log.changes {
		if e.Index > known {
			pending++
		}
	}
	if pending > 1 {
		c.fail("one membership change at a time", "leader %d of term %d has %d uncommitted ones", n.ID(), n.Term(), pending)
	}
	if now := v.log.effective().Membership; !now.Equal(before) {
		if !fresh {
			c.changes++
			c.admitted(n, before, now)
		}
		if !overlap(before, now) {
			c.fail("quorum overlap", "leader %d moves from %v to %v", n.ID(), before, now)
		}
	}
}

// overlap reports whether every quorum of a meets every quorum of b, by trying all.
func overlap(a, b raft.Membership) bool {
	ids := map[raft.NodeID]bool{}
	for _, m := range [...]raft.Membership{a, b} {
		for _, id := range m.Voters {
			ids[id] = true
		}
		for _, id := range m.Outgoing {
			ids[id] = true
		}
	}
	var all []raft.NodeID
	for id := range ids {
		all = append(all, id)
	}
	if len(a.Voters) == 0 || len(b.Voters) == 0 {
		return true // nobody could decide anything before
	}
	for set := range 1 << len(all) {
		in := func(id raft.NodeID) bool {
			for i, x := range all {
				if x == id {
					return set>>i&1 == 1
				}
			}
			return false
		}
		out := func(id raft.NodeID) bool { return !in(id) }
		if quorum(a, in) && quorum(b, out) {
			return false
		}
	}
	return true
}

// quorum reports whether those who satisfy in are a majority of every part of m.
func quorum(m raft.Membership, in func(raft.NodeID) bool) bool {
	for _, part := range [...][]raft.NodeID{m.Voters, m.Outgoing} {
		count := 0
		for _, id := range part {
			if in(id) {
				count++
			}
		}
		if len(part) > 0 && count <= len(part)/2 {
			return false
		}
	}
	return true
}

// commit checks that a replica's commit index moves over what is, or may become, committed for ever.
func (c *checker) commit(l *life, n *raft.Node, from, to raft.Index, before raft.Change) {
	known := raft.Index(len(c.log))
	if to > n.LastIndex() {
		c.fail("commit within the log", "node %d commits %d, its log ends at %d", n.ID(), to, n.LastIndex())
		return
	}
	for i := from; i <= min(to, known); i++ {
		t, ok := n.TermAt(i)
		if ok && t != c.log[i-1].term {
			c.fail("state machine safety", "node %d commits entry %d of term %d; of term %d it was committed before", n.ID(), i, t, c.log[i-1].term)
			return
		}
		if !ok && i >= n.FirstIndex() {
			c.fail("commit within the log", "node %d commits entry %d, which its log of %d to %d lacks", n.ID(), i, n.FirstIndex(), n.LastIndex())
			return
		}
	}
	if to <= known {
		return
	}
	// A leader that has just committed its own removal leads no more.
	if n.Role() != raft.Leader && (l.view.role != raft.Leader || l.view.term != n.Term()) {
		c.fail("commit by leaders only", "node %d follows and commits %d before any leader did", n.ID(), to)
		return
	}
	c.byQuorum(n, to, l.view.log.effective().Membership)
	if before.Index >= from && before.Index <= to { // a joint membership's own entry, which the next one may follow in the same step
		c.byQuorum(n, before.Index, before.Membership)
	}
	c.commits++
	for i := known + 1; i <= to; i++ {
		t, ok := n.TermAt(i)
		if !ok {
			c.fail("leader completeness", "leader %d commits entry %d, which it does not have", n.ID(), i)
			return
		}
		c.settle(raft.EntryID{Index: i, Term: t}, n.Term())
	}
	c.exclusiveCommit(l, n.Term())
	c.electable()
}

// settle makes the next entry part of what is committed, by the leader of a term.
func (c *checker) settle(id raft.EntryID, by raft.Term) {
	k := c.entries[id]
	members := &c.founding
	if id.Index > 1 {
		members = c.log[id.Index-2].members
	}
	if k.kind == raft.Reconfigure {
		members = c.changed[id]
		c.settled, c.settledAt = *members, id.Index
	}
	c.log = append(c.log, committed{term: id.Term, by: by, members: members, at: c.sim.clock.Now(), known: k})
	if why, ok := c.refused[k.data]; ok && k.kind == raft.Command {
		c.fail("a refused write never happens", "entry %d was committed; its client was told %q", id.Index, why)
	}
}

// byQuorum: entry to is of the leader's own term (§5.4.2), or before one that is, and on the disks of a majority of every part of
// the membership.
func (c *checker) byQuorum(n *raft.Node, to raft.Index, m raft.Membership) {
	id := raft.EntryID{Index: to}
	id.Term, _ = n.TermAt(to)
	if top, _ := n.TermAt(n.CommitIndex()); top != n.Term() {
		c.fail("commit of the own term", "leader %d of term %d commits entry %d of term %d by counting", n.ID(), n.Term(), to, id.Term)
	}
	durable := func(node raft.NodeID) bool {
		x := c.sim.nodes[node]
		return x != nil && c.held(x, id)
	}
	if !quorum(m, durable) {
		c.fail("commit within a durable quorum", "leader %d commits entry %d of term %d, which no quorum of %v has on disk", n.ID(), to, id.Term, m)
	}
}

// exclusive: while one server has a lease, no other one has (thesis §6.4.1).
func (c *checker) exclusive(holder *life) {
	if other := c.leaseBeside(holder); other != nil {
		c.fail("one lease at a time", "node %d of term %d and node %d of term %d", holder.node.id, holder.view.term, other.node.id, other.view.term)
	}
}

// exclusiveElection: nobody is elected while a server of an older term has a lease. Who wins an old term by late votes can commit nothing.
func (c *checker) exclusiveElection(by *life, term raft.Term) {
	if other := c.leaseBeside(by); other != nil && other.view.term < term {
		c.fail("no election under a lease", "node %d is elected in term %d while node %d holds the lease of term %d", by.node.id, term, other.node.id, other.view.term)
	}
}

// exclusiveCommit: nobody commits while a server of an older term still answers reads by its lease.
func (c *checker) exclusiveCommit(by *life, term raft.Term) {
	if other := c.leaseBeside(by); other != nil && other.view.term < term {
		c.fail("no commit under a lease", "node %d commits in term %d while node %d holds the lease of term %d", by.node.id, term, other.node.id, other.view.term)
	}
}

// leaseBeside is another server that holds a lease at this moment, or nil.
func (c *checker) leaseBeside(l *life) *life {
	for _, id := range c.sim.ids {
		if other := c.sim.nodes[id].life; other != nil && other != l && other.holdsLease() {
			return other
		}
	}
	return nil
}
