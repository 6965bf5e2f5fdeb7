package raft

import "time"

// onMatched notes how far a peer's disk has our log.
func (n *Node) onMatched(from NodeID, term Term, match Index, doubt uint64) {
	p := n.answered(from, term)
	if p == nil || match > n.log.Last() { // of what the syncer clips to the log, and the rules refuse, nothing is beyond
		return
	}
	p.seen = max(p.seen, match)
	if doubt != 0 && doubt != p.doubt { // an earlier start, or one whose heartbeat will tell
		return
	}
	if match > p.match {
		p.match = match
		n.noteLife(p)
		n.advanceCommit()
		n.vouch()
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
	before := n.commit
	n.commit = at
	n.answerReads()
	if n.members.Index > n.commit {
		return
	}
	n.tellAllRemoved(before)
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
	if m.Term < n.hard.Term { // it confirms and promises nothing to whoever leads the term that the answer is of
		n.send(n.from, &HeartbeatReply{Term: n.hard.Term, Last: n.log.Last(), Doubt: n.doubt()}, n.hard.Doubt)
		return
	}
	n.obey(m.Term, m.Leader)
	if m.Commit.Index > n.commit && n.log.has(m.Commit) {
		n.commit = m.Commit.Index
	}
	n.answerBeat(m.Round, m.Sent)
}

// answerBeat tells the leader what it has. Of a doubt it does not speak before a crash would remember it.
func (n *Node) answerBeat(round uint64, sent time.Duration) {
	n.send(n.from, &HeartbeatReply{
		Term: n.hard.Term, Round: round, Sent: sent, Last: n.log.Last(), Doubt: n.doubt(), Applied: n.applied, Promise: n.stated(),
		Wants: n.wants,
	}, n.hard.Doubt)
}

func (n *Node) onHeartbeatReply(m *HeartbeatReply) {
	p := n.answered(n.from, m.Term)
	if p == nil {
		return
	}
	switch {
	case m.Doubt != 0 && m.Sent >= p.told:
		n.doubted(p, m)
	case m.Doubt == 0 && p.trusted && m.Sent > p.told: // it is in doubt no more: the next doubt is another one, with a fence of its own
		p.told, p.doubt, p.fence, p.trusted = m.Sent, 0, 0, false
	}
	if m.Doubt == 0 && m.Last < p.seen {
		n.recall(p)
	}
	if !p.counts() || m.Doubt != 0 && m.Doubt != p.doubt {
		return
	}
	if m.Sent <= n.now && m.Sent >= n.steady.since {
		p.lease = max(p.lease, m.Sent+min(m.Promise, n.cfg.ElectionMin))
	}
	if m.Sent <= n.now && m.Sent >= p.sent { // a restart takes its state machine back: the latest word counts
		p.sent, p.applied = m.Sent, m.Applied
		n.wanted(p, m.Wants)
	}
	if m.Round > p.round && m.Round <= n.round {
		p.round = m.Round
		n.answerReads()
	}
	n.urgeTarget(n.from)
}
