package raft

// A ballot is a vote, or a prevote, that somebody cast on this server's candidacy.
type ballot struct {
	from    NodeID
	granted bool
}

// hearsLeader reports whether a leader was heard less than ElectionMin ago: reason enough to refuse any
// other one (thesis §4.2.3), and the promise that leases rest on (thesis §6.4.1). A leader hears
// itself as long as it has its quorum.
func (n *Node) hearsLeader() bool {
	if n.role == Leader {
		return n.now-n.quorumHeard() < n.cfg.ElectionMin
	}
	return n.now < n.promise.binds || n.contact != never && n.now-n.contact < n.cfg.ElectionMin
}

// elapsed acts on lost patience: a leader checks its quorum (thesis §6.2), a voter campaigns.
func (n *Node) elapsed() {
	if n.role != Leader {
		n.campaign()
		return
	}
	n.out.Patience = WaitAfresh
	if n.now-n.quorumHeard() >= n.cfg.ElectionMin {
		n.follow(n.hard.Term, None)
	}
}

// campaign asks for prevotes (thesis §9.6). Nobody's term changes by it.
func (n *Node) campaign() {
	switch {
	case n.role == Leader:
		return
	case !n.mayLead():
		n.out.Patience = StopWaiting
		return
	}
	n.role = PreCandidate
	n.leader = None
	n.askVotes(&RequestVote{Term: n.hard.Term + 1, PreVote: true})
	n.countPrevotes()
}

// startElection enters the next term with a vote for itself and asks for the others' (§5.2).
func (n *Node) startElection(transfer bool) {
	n.enterTerm(n.hard.Term+1, n.cfg.ID)
	n.role = Candidate
	n.askVotes(&RequestVote{Term: n.hard.Term, Transfer: transfer})
}

// askVotes sends m to the other voters and casts the candidate's own vote.
func (n *Node) askVotes(m *RequestVote) {
	n.out.Patience = WaitAfresh
	n.ballots = append(n.ballots[:0], ballot{from: n.cfg.ID, granted: true})
	m.Candidate, m.Last, m.Founders = n.cfg.ID, n.log.LastID(), n.Founders()
	voters := Membership{Voters: n.members.Membership.Voters, Outgoing: n.members.Membership.Outgoing}
	for _, id := range voters.IDs() {
		if id != n.cfg.ID {
			n.send(id, m, true)
		}
	}
}

func (n *Node) onRequestVote(m *RequestVote) {
	if m.PreVote {
		n.tellRemoved(n.from)
		grant := m.Term > n.hard.Term && !n.hard.Doubt && !n.hearsLeader() && n.upToDate(m.Last)
		n.cast(m, m.Term <= n.hard.Term, n.hearsLeader(), true)
		n.send(n.from, &RequestVoteReply{Term: n.hard.Term, Asked: m.Term, Granted: grant, PreVote: true}, grant)
		return
	}
	held := !m.Transfer && n.hearsLeader()
	if m.Term > n.hard.Term && !held {
		n.follow(m.Term, None)
	}
	free := n.hard.Vote == None || n.hard.Vote == m.Candidate
	grant := m.Term == n.hard.Term && !n.hard.Doubt && !held && free && n.upToDate(m.Last)
	n.cast(m, m.Term < n.hard.Term, held, free)
	if grant {
		n.hard.Vote = m.Candidate
		n.out.Patience = WaitAfresh
	}
	n.send(n.from, &RequestVoteReply{Term: n.hard.Term, Asked: m.Term, Granted: grant}, grant)
}

// cast tells what the answer to a candidate rests on.
func (n *Node) cast(m *RequestVote, stale, held, free bool) {
	c := &Cast{Candidate: m.Candidate, Term: m.Term, PreVote: m.PreVote, Last: m.Last, Own: n.log.LastID()}
	switch {
	case stale:
		c.Why = StaleTerm
	case held:
		c.Why = HasLeader
	case n.hard.Doubt:
		c.Why = HasDoubt
	case !free:
		c.Why = HasVoted
	case !n.upToDate(m.Last):
		c.Why = LogIsOlder
	}
	n.out.Cast = c
}

// upToDate is the restriction of §5.4.1: the candidate's log must not be older than this one.
func (n *Node) upToDate(last EntryID) bool {
	own := n.log.LastID()
	return last.Term > own.Term || last.Term == own.Term && last.Index >= own.Index
}

// onVoteReply counts a vote. A prevote's refusal carries the voter's real term too: without it a server
// with the longer log and one with the newer term could refuse each other for ever.
func (n *Node) onVoteReply(m *RequestVoteReply) {
	if m.Term > n.hard.Term {
		n.follow(m.Term, None)
		return
	}
	role, asked := Candidate, n.hard.Term
	if m.PreVote {
		role, asked = PreCandidate, n.hard.Term+1
	}
	if n.role != role || m.Asked != asked || !n.members.Membership.IsVoter(n.from) {
		return
	}
	for _, b := range n.ballots {
		if b.from == n.from {
			return
		}
	}
	n.ballots = append(n.ballots, ballot{from: n.from, granted: m.Granted})
	if m.PreVote {
		n.countPrevotes()
	} else {
		n.countVotes()
	}
}

// tally is what a quorum holds: 2 grants, 1 nothing yet, 0 the election is lost.
func (n *Node) tally() int {
	return quorum(&n.members.Membership, func(id NodeID) int {
		for _, b := range n.ballots {
			if b.from == id && b.granted {
				return 2
			} else if b.from == id {
				return 0
			}
		}
		return 1
	})
}

func (n *Node) countPrevotes() {
	switch n.tally() {
	case 2:
		if !n.hearsLeader() { // it would break its own promise by voting for itself
			n.startElection(false)
		}
	case 0:
		n.loseElection()
	}
}

// countVotes ends an election that is decided. The candidate's own vote must be on disk: alone in its cluster it could
// otherwise lead the same term twice, with a crash between.
func (n *Node) countVotes() {
	switch n.tally() {
	case 2:
		if n.onDisk == n.hard {
			n.lead()
		}
	case 0:
		n.loseElection()
	}
}

// loseElection returns to waiting, with the patience that is running already.
func (n *Node) loseElection() {
	n.role = Follower
	n.ballots = n.ballots[:0]
}

// lead makes the winner the leader. Its no-op is what lets it learn which entries are committed (§5.4.2, §8).
func (n *Node) lead() {
	n.role, n.leader, n.ledTerm = Leader, n.cfg.ID, n.hard.Term
	n.backers = nil
	for _, b := range n.ballots {
		if b.granted {
			n.backers = append(n.backers, b.from)
		}
	}
	n.ballots = n.ballots[:0]
	n.contact = never
	n.noLease = false
	n.steady = steadiness{since: never}
	n.refreshPeers()
	n.termFirst = n.appendOwn(1, NoOp, nil).First
	n.round++
	n.out.Beat = n.round
	n.out.Patience = WaitAfresh
}

// obey accepts the leader of a term that is at least this server's own.
func (n *Node) obey(term Term, leader NodeID) {
	if term == n.hard.Term {
		if n.ledTerm == term {
			n.broken("Election Safety", "server %d claims the term that this server led", leader)
		}
		if n.leader != None && n.leader != leader {
			n.broken("Election Safety", "both %d and %d lead", n.leader, leader)
		}
	}
	n.follow(term, leader)
	n.contact, n.removed = n.now, 0
	n.out.Patience = WaitAfresh
}
