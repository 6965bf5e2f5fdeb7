package raft

import (
	"cmp"
	"fmt"
	"slices"
)

// MaxVoters bounds Membership.Voters and Membership.Outgoing. More voters make nothing safer that five or seven do not, and every one of
// them slows each commit; learners, which have no vote, are not bounded.
const MaxVoters = 9

// Joint reports whether the cluster is between two memberships, C(old,new) of §6.
func (m Membership) Joint() bool { return len(m.Outgoing) > 0 }

// IsVoter reports whether id has a vote, in either half of a joint membership.
func (m Membership) IsVoter(id NodeID) bool {
	return slices.Contains(m.Voters, id) || slices.Contains(m.Outgoing, id)
}

// IsLearner reports whether id receives the log without a vote.
func (m Membership) IsLearner(id NodeID) bool {
	return slices.Contains(m.Learners, id) && !m.IsVoter(id)
}

// Has reports whether id is in the cluster in any capacity.
func (m Membership) Has(id NodeID) bool { return m.IsVoter(id) || slices.Contains(m.Learners, id) }

// IsZero reports whether m names nobody: a server with it waits to be added to a cluster.
func (m Membership) IsZero() bool {
	return len(m.Voters) == 0 && len(m.Outgoing) == 0 && len(m.Learners) == 0
}

// IDs returns everybody named in m, in ascending order.
func (m Membership) IDs() []NodeID {
	ids := slices.Concat(m.Voters, m.Outgoing, m.Learners)
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Member returns what is known of id.
func (m Membership) Member(id NodeID) (Member, bool) {
	for _, e := range m.Members {
		if e.ID == id {
			return e, true
		}
	}
	return Member{}, false
}

// Equal reports whether both name the same servers in the same capacities and know the same of them.
func (m Membership) Equal(o Membership) bool {
	return slices.Equal(m.Voters, o.Voters) && slices.Equal(m.Outgoing, o.Outgoing) &&
		slices.Equal(m.Learners, o.Learners) && slices.Equal(m.Members, o.Members)
}

// Validate says what makes m unusable as a membership of a cluster; the error is an *InvalidChangeError.
func (m Membership) Validate() error {
	bad := func(format string, args ...any) error {
		return &InvalidChangeError{Reason: fmt.Sprintf(format, args...)}
	}
	if len(m.Voters) == 0 {
		return bad("there must be at least one voter")
	}
	if max(len(m.Voters), len(m.Outgoing)) > MaxVoters {
		return bad("there may be at most %d voters", MaxVoters)
	}
	for _, l := range [...]struct {
		name string
		ids  []NodeID
	}{{"voters", m.Voters}, {"outgoing voters", m.Outgoing}, {"learners", m.Learners}} {
		for i, id := range l.ids {
			if id == None {
				return bad("server 0 among the %s", l.name)
			}
			if i > 0 && id <= l.ids[i-1] {
				return bad("the %s are not in ascending order without duplicates", l.name)
			}
		}
	}
	for _, id := range m.Learners {
		if slices.Contains(m.Voters, id) {
			return bad("server %d is both voter and learner", id)
		}
	}
	for i, e := range m.Members {
		if i > 0 && e.ID <= m.Members[i-1].ID {
			return bad("the members are not in ascending order without duplicates")
		}
		if !m.Has(e.ID) {
			return bad("server %d is described but neither voter nor learner", e.ID)
		}
	}
	return nil
}

// sorted returns a copy of m in the order that a Membership keeps. Members that m does not describe keep
// the description they have in known.
func (m Membership) sorted(known []Member) Membership {
	s := Membership{Voters: slices.Clone(m.Voters), Outgoing: slices.Clone(m.Outgoing), Learners: slices.Clone(m.Learners)}
	slices.Sort(s.Voters)
	slices.Sort(s.Outgoing)
	slices.Sort(s.Learners)
	s.Members = slices.Clone(m.Members)
	for _, e := range known {
		if _, ok := m.Member(e.ID); !ok && s.Has(e.ID) {
			s.Members = append(s.Members, e)
		}
	}
	slices.SortStableFunc(s.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	return s
}

// changeMembership appends the first entry of a change to target (§6; thesis §4.1-4.3).
func (n *Node) changeMembership(e ChangeMembership) {
	next, err := n.plan(e)
	if err != nil {
		n.out.Refused = err
		return
	}
	run := n.appendOwn(1, Reconfigure, &next)
	n.out.Proposed = &run
	n.advanceCommit() // the new quorum may be smaller
}

// plan checks a change and returns the membership to append for it: the target itself when a majority of
// either side overlaps every majority of the other, the joint one otherwise.
func (n *Node) plan(e ChangeMembership) (Membership, error) {
	now := n.members.Membership
	switch {
	case n.role != Leader:
		return now, n.notLeader()
	case n.transfer != None:
		return now, ErrTransferring
	case n.commit < n.termFirst:
		return now, ErrTermNotCommitted
	case now.Joint() || n.members.Index > n.commit:
		return now, ErrChangeInProgress
	case len(e.Target.Outgoing) > 0:
		return now, &InvalidChangeError{Reason: "a target has no outgoing voters"}
	}
	if err := n.CheckBasis(e.BasedOn); err != nil {
		return now, err
	}
	next := e.Target.sorted(now.Members)
	if err := next.Validate(); err != nil {
		return now, err
	}
	if next.Equal(now) {
		return now, &InvalidChangeError{Reason: "nothing to change"}
	}
	if differing(now.Voters, next.Voters) > 1 {
		next.Outgoing = now.Voters
		next = next.sorted(now.Members)
	}
	if !e.Force {
		if err := n.admit(&now, &next, e.Located); err != nil {
			return now, err
		}
	}
	return next, nil
}

// CheckBasis returns a *MovedOnError if the membership was changed after index i, or i is not in the log yet. 0 is any index.
func (n *Node) CheckBasis(i Index) error {
	if i == 0 || i >= n.members.Index && i <= n.log.Last() {
		return nil
	}
	return &MovedOnError{BasedOn: i, Changed: n.members.Index, Last: n.log.Last()}
}

// differing counts the servers that only one of a and b names.
func differing(a, b []NodeID) (count int) {
	for _, id := range a {
		if !slices.Contains(b, id) {
			count++
		}
	}
	for _, id := range b {
		if !slices.Contains(a, id) {
			count++
		}
	}
	return count
}

// leaveJoint appends C(new) once C(old,new) is committed (§6). Whoever leads then does it, so that
// a change survives the leader that began it.
func (n *Node) leaveJoint() {
	next := n.members.Membership
	next.Outgoing = nil
	next.Members = slices.DeleteFunc(slices.Clone(next.Members), func(e Member) bool { return !next.Has(e.ID) })
	n.appendOwn(1, Reconfigure, &next)
}

// retire ends the leadership of a server that the committed membership gives no vote (§6, second issue).
// A last heartbeat tells the others that the entry is committed, lest they keep it for uncommitted.
func (n *Node) retire() {
	for _, id := range n.members.Membership.IDs() {
		if id != n.cfg.ID {
			n.send(id, &Heartbeat{Term: n.hard.Term, Leader: n.cfg.ID, Round: n.round, Sent: n.now, Commit: n.commitID()}, false)
		}
	}
	n.follow(n.hard.Term, None)
	if !n.members.Membership.Has(n.cfg.ID) {
		n.removed = n.members.Index
	}
}

// MembershipAt returns the membership that was effective once entry i was appended: what a snapshot at
// i must carry. It is zero when that is not known: a compacted entry would have to tell, or the founding membership
// of a cluster that this server joined later. No snapshot can be taken at i then.
func (n *Node) MembershipAt(i Index) Membership {
	for k := len(n.changes) - 1; k >= 0; k-- {
		if n.changes[k].Index <= i {
			return n.changes[k].Membership
		}
	}
	known := i >= n.snapshot.Index || i >= n.log.Prev.Index && (len(n.changes) == 0 || n.changes[0].Index > n.snapshot.Index)
	if known {
		return n.snapshot.Membership
	}
	return Membership{}
}

// refreshMembers recomputes the effective membership: the latest in the log, committed or not (§6).
func (n *Node) refreshMembers() {
	next := Change{Index: n.snapshot.Index, Membership: n.snapshot.Membership}
	if k := len(n.changes); k > 0 {
		next = n.changes[k-1]
	}
	changed := !next.Membership.Equal(n.members.Membership)
	moved := next.Index != n.members.Index
	n.members = next
	if changed || moved && next.Index > n.snapshot.Index { // below the snapshot it moves by compaction only
		c := next
		n.out.Membership = &c
	}
	if changed && n.role == Leader {
		n.refreshPeers()
	}
}

// refreshPeers makes n.peers the other members, in ascending order. Newcomers start with nothing matched.
func (n *Node) refreshPeers() {
	var peers []peer
	for _, id := range n.members.Membership.IDs() {
		if id == n.cfg.ID {
			continue
		}
		m, _ := n.members.Membership.Member(id)
		p := n.peer(id)
		switch {
		case p == nil:
			p = &peer{id: id, store: m.Store, heard: n.now, lease: never, sent: never, told: never, vitals: n.newcomer()}
		case p.store != m.Store: // what it acknowledged was in another folder; that it did is remembered, and it is reminded
			p.store, p.match, p.lease, p.sent, p.round, p.vitals = m.Store, 0, never, never, 0, n.newcomer()
		}
		peers = append(peers, *p)
	}
	n.peers = peers
}
