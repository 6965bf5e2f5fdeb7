package raft

// onInstall is InstallSnapshot of §7, once the snapshot is whole.
func (n *Node) onInstall(m *InstallSnapshot) {
	s := m.Snapshot
	if m.Term < n.hard.Term {
		n.send(n.from, &InstallSnapshotReply{Term: n.hard.Term}, false)
		return
	}
	n.obey(m.Term, m.Leader)
	if s.Index > n.commit {
		if t := n.commitID().Term; s.Term < t {
			n.broken("Leader Completeness", "entry %d of term %d is committed, and the leader's snapshot ends at %d in term %d", n.commit, t, s.Index, s.Term)
		}
		if n.log.has(EntryID{Index: s.Index, Term: s.Term}) {
			n.commit = s.Index // the log stays: it equals the snapshot up to here, and what follows is needed
		} else {
			n.reset(s)
		}
	}
	n.send(n.from, &InstallSnapshotReply{Term: n.hard.Term, Match: n.commit, Doubt: n.doubt()}, true)
}

// reset replaces the whole log by a snapshot: no entry after it may stay, since the log differs at it.
func (n *Node) reset(s SnapshotMeta) {
	n.recast(s.Index + 1)
	n.durable = s.Index
	n.log = Shape{Prev: EntryID{Index: s.Index, Term: s.Term}}
	n.changes = nil
	n.snapshot = s
	n.commit = s.Index
	n.out.Reset = &s
	n.refreshMembers()
}

// compacted forgets the log through e.Through, for which the caller has a durable snapshot.
func (n *Node) compacted(e Compacted) {
	s := e.Meta
	if s.Index > n.snapshot.Index {
		n.checkSnapshot(&s)
		if s.Membership.IsZero() {
			n.out.Refused = ErrMembershipUnknown
			return
		}
		n.snapshot = s
		n.durable = max(n.durable, s.Index) // after a crash the snapshot stands for the entries
	}
	through := min(e.Through, s.Index)
	if through <= n.log.Prev.Index {
		return
	}
	n.log.compact(through)
	k := 0
	for k < len(n.changes) && n.changes[k].Index <= through {
		k++
	}
	n.changes = append([]Change(nil), n.changes[k:]...)
}

// checkSnapshot makes sure that a snapshot of the caller's tells the truth about the log, in particular that
// it carries the membership of its own index and not a later one.
func (n *Node) checkSnapshot(s *SnapshotMeta) {
	if s.Index > n.commit {
		n.broken("State Machine Safety", "snapshot at %d, but only %d is committed", s.Index, n.commit)
	}
	if t, _ := n.log.TermAt(s.Index); t != s.Term {
		n.broken("State Machine Safety", "snapshot of entry %d in term %d, which is of term %d", s.Index, s.Term, t)
	}
	if m := n.MembershipAt(s.Index); s.Membership.IsZero() {
		s.Membership = m
	} else if !s.Membership.Equal(m) {
		n.broken("State Machine Safety", "snapshot at %d carries a membership that is not effective there", s.Index)
	}
}
