package raft

// onMatched notes how far a peer's disk has our log.
func (n *Node) onMatched(from NodeID, term Term, match Index) {
	p := n.answered(from, term)
	if p == nil || match > n.log.Last() { // nobody can have more of this log than its leader
		return
	}
	if match > p.match {
		p.match = match
		n.advanceCommit()
	}
	n.urgeTarget(from)
}

// advanceCommit is the commit rule of Figure 2: what a quorum has on disk is committed if it is of the
// leader's own term, and everything before with it. Copies alone commit nothing older (§5.4.2, Figure 8).
func (n *Node) advanceCommit() {
	if n.role != Leader {
		return
	}
	at := n.quorumMatch()
	if at <= n.commit {
		return
	}
	if t, _ := n.log.TermAt(at); t != n.hard.Term {
		return
	}
	n.commit = at
	n.answerReads()
	if n.members.Index > n.commit {
		return
	}
	if n.members.Membership.Joint() {
		n.leaveJoint()
		n.advanceCommit() // the quorum may have become smaller
	} else if !n.members.Membership.IsVoter(n.cfg.ID) {
		n.retire()
	}
}

// onHeartbeat counts as hearing the leader. Its commit index is believed once the entry itself is here:
// then the log before it is the leader's (Log Matching).
func (n *Node) onHeartbeat(m *Heartbeat) {
	if m.Leader != n.from || m.Term == 0 || m.Commit.Term > m.Term {
		return
	}
	if m.Term >= n.hard.Term {
		n.obey(m.Term, m.Leader)
		if m.Commit.Index > n.commit && n.log.has(m.Commit) {
			n.commit = m.Commit.Index
		}
	}
	n.send(n.from, &HeartbeatReply{Term: n.hard.Term, Round: m.Round, Sent: m.Sent}, false)
}

func (n *Node) onHeartbeatReply(m *HeartbeatReply) {
	p := n.answered(n.from, m.Term)
	if p == nil {
		return
	}
	if m.Sent <= n.now {
		p.sent = max(p.sent, m.Sent)
	}
	if m.Round > p.round && m.Round <= n.round {
		p.round = m.Round
		n.answerReads()
	}
	n.urgeTarget(n.from)
}
