package raft

// propose appends count commands of the caller's (§5.3).
func (n *Node) propose(count int) {
	switch {
	case n.role != Leader:
		n.out.Refused = n.notLeader()
	case n.transfer != None:
		n.out.Refused = ErrTransferring
	case count <= 0:
		n.out.Refused = ErrNothingProposed
	default:
		run := n.appendOwn(Index(count), Command, nil)
		n.out.Proposed = &run
	}
}

// appendOwn appends entries that this leader makes (Leader Append-Only: it never does anything else to its log).
func (n *Node) appendOwn(count Index, kind Kind, m *Membership) Run {
	last := n.log.Last()
	run := Run{First: last + 1, Last: last + count, Term: n.hard.Term}
	n.log.extend(run)
	n.out.Append = append(n.out.Append, Appended{Run: run, Kind: kind, Membership: m})
	if m != nil {
		n.changes = append(n.changes, Change{Index: run.First, Membership: *m})
		n.refreshMembers()
	}
	return run
}

// onAppend is AppendEntries of Figure 2, receiver's side.
func (n *Node) onAppend(m *AppendEntries) {
	if m.Term < n.hard.Term {
		n.send(n.from, &AppendEntriesReply{Term: n.hard.Term, Prev: m.Prev.Index}, false)
		return
	}
	n.obey(m.Term, m.Leader)
	if m.Prev.Index >= n.log.Prev.Index && !n.log.has(m.Prev) {
		n.refuseAppend(m)
		return
	} // an older Prev is compacted, hence committed, hence equal
	end := m.Prev.Index
	if k := len(m.Runs); k > 0 {
		end = m.Runs[k-1].Last
	}
	n.merge(m)
	// Not the follower's own last index: what lies after end may still differ from the leader's log.
	n.commit = max(n.commit, min(m.Commit, end))
	// The leader has all that is committed (Leader Completeness), so the logs match there in any case.
	n.send(n.from, &AppendEntriesReply{
		Term: n.hard.Term, Success: true, Match: max(end, n.commit), Prev: m.Prev.Index, Doubt: n.doubt(),
	}, true)
}

func (n *Node) refuseAppend(m *AppendEntries) {
	if m.Prev.Index <= n.commit {
		n.broken("Leader Completeness", "entry %d is committed, and the leader has another one of term %d there", m.Prev.Index, m.Prev.Term)
	}
	hint, ok := n.log.lastAtMost(m.Prev.Index, m.Prev.Term)
	if !ok || hint.Index < n.commit {
		hint = n.commitID()
	}
	n.send(n.from, &AppendEntriesReply{Term: n.hard.Term, Prev: m.Prev.Index, Hint: hint, Doubt: n.doubt()}, false)
}

// merge takes the entries of m that are missing here. Only a conflict removes any (§5.3), so that an
// old message, whose entries are all here, changes nothing.
func (n *Node) merge(m *AppendEntries) {
	from := Index(0)
	for _, r := range m.Runs {
		if from == 0 {
			if r.Last < n.log.Prev.Index {
				continue
			}
			if p := n.log.Prev; r.First <= p.Index && r.Term != p.Term {
				n.broken("Leader Completeness", "entry %d is compacted with term %d, and the leader has it with term %d", p.Index, p.Term, r.Term)
			}
			at := n.log.firstMissing(r, max(r.First, n.log.Prev.Index+1))
			if at > r.Last {
				continue
			}
			n.truncate(at)
			from, r.First = at, at
		}
		n.log.extend(r)
		n.out.Append = append(n.out.Append, Appended{Run: r})
	}
	if from == 0 {
		return
	}
	for _, c := range m.Changes {
		if c.Index >= from {
			n.changes = append(n.changes, c)
		}
	}
	n.refreshMembers()
}

// truncate removes the entries from index from on, if any.
func (n *Node) truncate(from Index) {
	last := n.log.Last()
	if from > last {
		return
	}
	if from <= n.commit {
		n.broken("Leader Completeness", "entry %d is to be replaced but %d is committed", from, n.commit)
	}
	n.recast(from)
	n.log.truncate(from)
	k := len(n.changes)
	for k > 0 && n.changes[k-1].Index >= from {
		k--
	}
	n.changes = n.changes[:k]
}

// recast notes that the entries from index from on are about to be replaced: acknowledgements of earlier writes
// of this term, which name only an index, must not confirm the new ones.
func (n *Node) recast(from Index) {
	if n.cut == 0 || from < n.cut {
		n.cut = from
	}
	n.cutLast = max(n.cutLast, n.log.Last())
	n.durable = min(n.durable, from-1)
}

// persisted notes what reached the disk.
func (n *Node) persisted(p Persisted) {
	if p.Term > n.hard.Term || p.Hard.Term > n.hard.Term {
		return
	}
	h := p.Hard
	n.promise.kept, h.Promise = h.Promise, 0
	if h.Term > n.onDisk.Term || h.Term == n.onDisk.Term && h.Vote != None {
		n.onDisk = h
	}
	if p.Term == n.hard.Term {
		last := p.Last
		if n.cut != 0 && last >= n.cut && last <= n.cutLast {
			last = n.cut - 1
		}
		n.durable = max(n.durable, min(last, n.log.Last()))
	}
	switch n.role {
	case Candidate:
		n.countVotes()
	case Leader:
		n.advanceCommit()
		n.vouch()
	}
}
