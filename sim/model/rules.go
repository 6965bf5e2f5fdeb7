package model

import (
	"fmt"

	"github.com/troupe-raft/troupe/raft"
)

// judge looks at what one server's step did to that server.
func (st *step) judge(ev event) {
	a, b := st.s.node, st.before.node
	if ev.kind != crash && ev.kind != lose {
		if a.CommitIndex() < b.CommitIndex() {
			st.blame("Commit Monotonic", "server %d: from %d to %d", st.s.id, b.CommitIndex(), a.CommitIndex())
		}
		if a.Term() < b.Term() {
			st.blame("Terms Monotonic", "server %d: from %d to %d", st.s.id, b.Term(), a.Term())
		}
	}
	if a.Role() == raft.Leader && b.Role() == raft.Leader && a.Term() == b.Term() {
		for i := max(a.FirstIndex(), b.FirstIndex()); i <= b.LastIndex(); i++ {
			was, _ := b.TermAt(i)
			if is, ok := a.TermAt(i); !ok || is != was {
				st.blame("Leader Append-Only", "leader %d of term %d replaces entry %d of term %d", st.s.id, a.Term(), i, was)
			}
		}
	}
	st.judgeChanges()
}

// judgeChanges: of two memberships that follow each other, every quorum of the one meets every quorum of the other (§6).
func (st *step) judgeChanges() {
	n := st.s.node
	before := n.MembershipAt(n.FirstIndex() - 1)
	for _, ch := range n.ChangesIn(n.FirstIndex(), n.LastIndex()) {
		if !before.IsZero() && !overlap(before, ch.Membership, st.c.scope.Servers) {
			st.blame("Quorum Overlap", "server %d has voters %v and %v, then %v and %v",
				st.s.id, before.Voters, before.Outgoing, ch.Membership.Voters, ch.Membership.Outgoing)
		}
		before = ch.Membership
	}
}

// overlap tries all pairs of sets of servers.
func overlap(a, b raft.Membership, servers int) bool {
	for x := range 1 << servers {
		for y := range 1 << servers {
			if x&y == 0 && isQuorum(a, x) && isQuorum(b, y) {
				return false
			}
		}
	}
	return true
}

// isQuorum reports whether the servers in set, as bits, decide for m. It is written anew, so that it does not share a fault
// with package raft.
func isQuorum(m raft.Membership, set int) bool {
	majority := func(ids []raft.NodeID) bool {
		count := 0
		for _, id := range ids {
			count += set >> (id - 1) & 1
		}
		return 2*count > len(ids)
	}
	return majority(m.Voters) && (len(m.Outgoing) == 0 || majority(m.Outgoing))
}

// judgeLeaving looks at a message when it leaves: a term, a vote and an acknowledged entry are on disk before they are spoken of
// (Figure 2), and a vote is never given to two.
func (st *step) judgeLeaving(l letter) {
	s, d := st.s, &st.s.disk
	term := l.message.MsgTerm()
	vote, voteTerm := raft.None, term
	switch m := l.message.(type) {
	case *raft.RequestVote:
		if m.PreVote {
			term--
		} else {
			vote = s.id
		}
	case *raft.RequestVoteReply:
		if m.Granted && !m.PreVote {
			vote, voteTerm = l.to, m.Asked
		}
	case *raft.AppendEntriesReply:
		if m.Success && m.Match > max(d.last(), d.snapshot.Index) {
			st.blame("Sync Before Speaking", "server %d acknowledges %d, on disk is %d", s.id, m.Match, d.last())
		}
	}
	if term > d.hard.Term {
		st.blame("Sync Before Speaking", "server %d speaks of term %d, on disk is %d: %s", s.id, term, d.hard.Term, say(l.message))
	}
	if vote == raft.None {
		return
	}
	if voteTerm != d.hard.Term {
		return // the term is over: it never comes back to this disk
	}
	if d.hard.Vote != vote {
		st.blame("Sync Before Speaking", "server %d votes for %d in term %d, on disk is a vote for %d", s.id, vote, voteTerm, d.hard.Vote)
	}
	if s.spoken != raft.None && s.spoken != vote {
		st.blame("Vote Once", "server %d voted for %d in term %d, and now for %d", s.id, s.spoken, voteTerm, vote)
	}
	s.spoken = vote
}

// judgeState looks at a new state of the cluster, in which server who is what changed last.
func (c *checker) judgeState(st *state, who int) error {
	g := &c.ghosts[st.ghost]
	var all [maxServers]*server
	for i := range c.scope.Servers {
		all[i] = c.servers[c.sites[st.site[i]].server]
	}
	for i := range c.scope.Servers {
		s := all[i]
		if err := c.judgeCommitted(s, g); err != nil {
			return err
		}
		if i == who {
			continue
		}
		if err := c.matchLogs(s, all[who]); err != nil {
			return err
		}
	}
	return c.judgePending(all[who], g)
}

// judgeCommitted: what a server takes for committed is what was committed (State Machine Safety); a leader has everything that was
// committed in earlier terms (Leader Completeness); while a lease lasts nobody else commits (thesis §6.4.1).
func (c *checker) judgeCommitted(s *server, g *ghost) error {
	n := s.node
	for i := max(s.first, 1); i <= n.CommitIndex(); i++ {
		t, _ := s.termAt(i)
		if int(i) > int(g.length) || t != raft.Term(g.log[i-1].term) {
			return c.violation("State Machine Safety", "server %d takes entry %d of term %d for committed, committed is %v", s.id, i, t, g)
		}
	}
	if n.Role() != raft.Leader {
		return nil
	}
	for i := max(s.first, 1); int(i) <= int(g.length); i++ {
		e := g.log[i-1]
		if raft.Term(e.by) >= n.Term() {
			continue
		}
		if t, ok := s.termAt(i); !ok || t != raft.Term(e.term) {
			return c.violation("Leader Completeness", "server %d leads term %d without entry %d of term %d, which was committed in term %d: log %s",
				s.id, n.Term(), i, e.term, e.by, terms(s.first, s.log))
		}
	}
	if s.lease && int(n.CommitIndex()) < int(g.length) {
		return c.violation("Lease", "server %d of term %d would read at %d under its lease, committed is %v", s.id, n.Term(), n.CommitIndex(), g)
	}
	return nil
}

func (s *server) termAt(i raft.Index) (raft.Term, bool) {
	if i > s.first && i <= s.first+raft.Index(len(s.log)) {
		return s.log[i-s.first-1], true
	}
	return s.node.TermAt(i)
}

// matchLogs: two logs that have an entry in common are the same before it (Log Matching), memberships included. A snapshot carries
// the membership that is effective at its index.
func (c *checker) matchLogs(a, b *server) error {
	same := false
	low := max(a.first, b.first)
	top := raft.Index(0)
	for i := min(a.first+raft.Index(len(a.log)), b.first+raft.Index(len(b.log))); i > low; i-- {
		x, y := a.log[i-a.first-1], b.log[i-b.first-1]
		if x == y && !same {
			same, top = true, i
		}
		if same && x != y {
			return c.violation("Log Matching", "logs %s of %d and %s of %d", terms(a.first, a.log), a.id, terms(b.first, b.log), b.id)
		}
	}
	x, y := a.node.ChangesIn(low+1, top), b.node.ChangesIn(low+1, top)
	differ := len(x) != len(y)
	for i := 0; !differ && i < len(x); i++ {
		differ = x[i].Index != y[i].Index || !x[i].Membership.Equal(y[i].Membership)
	}
	if differ {
		return c.violation("Log Matching", "servers %d and %d have the same log through %d and the changes %v and %v", a.id, b.id, top, x, y)
	}
	for _, p := range [2][2]*server{{a, b}, {b, a}} {
		snap := p[0].node.Snapshot()
		if snap.Index == 0 || snap.Index > p[1].node.CommitIndex() {
			continue
		}
		if m := p[1].node.MembershipAt(snap.Index); !m.IsZero() && !m.Equal(snap.Membership) {
			return c.violation("Snapshot Membership", "the snapshot of %d at %d has voters %v, effective at %d are %v", p[0].id, snap.Index, snap.Membership.Voters, p[1].id, m.Voters)
		}
	}
	return nil
}

// judgePending: memberships change one at a time. Of those in a log, at most one is beyond what was ever committed.
func (c *checker) judgePending(s *server, g *ghost) error {
	if open := s.node.ChangesIn(raft.Index(g.length)+1, s.node.LastIndex()); len(open) > 1 {
		return c.violation("One Change At A Time", "server %d has %d changes in its log after %d, all that was ever committed", s.id, len(open), g.length)
	}
	return nil
}

// A Violation is a property that does not hold, and the shortest way there.
type Violation struct {
	Property string
	Detail   string
	Trace    []string // a line for each event
}

func (v *Violation) Error() string { return fmt.Sprintf("%s: %s", v.Property, v.Detail) }

// violation is nil when the property is one that is not looked at.
func (c *checker) violation(property, format string, args ...any) error {
	if c.scope.blind[property] {
		return nil
	}
	return &Violation{Property: property, Detail: fmt.Sprintf(format, args...)}
}
