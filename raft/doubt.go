package raft

// A server has gone back when its disk holds less than it once did: an older copy was put in its place, or nothing. Votes and
// acknowledgements that it gave are forgotten there, and nobody but those who got them can know. The leader that got the
// acknowledgements reminds it (Recall); a server that finds out is in doubt, durably: it has no vote, and nothing that it answers counts.
//
// What it has forgotten is made harmless by an entry that the leader makes once it knows, the fence. When that is committed without the
// server, nobody can be elected any more by a vote of the server's that was given before: whoever asked for it lacks the fence, which a
// member of every quorum has (§5.4.1). When the server holds the fence it holds all that was ever committed with its help, and a term as
// high as any in which somebody may still win by such a vote. Then the leader trusts it again (Trust). docs/decisions/0013 has the proof.

// doubt is what a server in doubt adds to its answers, zero when it is not.
func (n *Node) doubt() uint64 {
	if !n.hard.Doubt {
		return 0
	}
	return n.life()
}

// life names this start and, within it, the doubts that have ended: no Trust is for a later one, and no fence of an earlier one is.
func (n *Node) life() uint64 { return max(n.cfg.Life, 1) + n.trusted }

// counts reports whether the peer's answers do.
func (p *peer) counts() bool { return p.doubt == 0 || p.trusted }

// recall reminds a peer of the most it ever acknowledged in this term: its answer gave reason to. That may have been an old answer, so
// the peer judges, who has the entry or has not.
func (n *Node) recall(p *peer) {
	term, _ := n.log.TermAt(p.seen)
	n.send(p.id, &Recall{
		Term: n.hard.Term, Leader: n.cfg.ID, Sent: n.now, Entry: EntryID{Index: p.seen, Term: term},
	}, false)
}

// onRecall: in one term a log never loses what it had of its leader's. One that lacks it is not the log that acknowledged it.
func (n *Node) onRecall(m *Recall) {
	if m.Term < n.hard.Term {
		return
	}
	n.obey(m.Term, m.Leader)
	if n.lacks(m.Entry) {
		n.hard.Doubt = true
		n.answerBeat(0, m.Sent)
	}
}

// goneBack: whoever says so remembers what this server has forgotten.
func (n *Node) goneBack() {
	n.follow(n.hard.Term, None)
	n.hard.Doubt = true
}

// lacks reports whether the log surely does not hold the entry. A term of 0 is not known.
func (n *Node) lacks(id EntryID) bool {
	term, known := n.log.TermAt(id.Index)
	return id.Index > n.log.Last() || known && id.Term != 0 && term != id.Term
}

// onRefused looks at what a follower refused: what it has acknowledged in this term it cannot lack.
func (n *Node) onRefused(m *AppendEntriesReply) {
	if p := n.answered(n.from, m.Term); p != nil && m.Doubt == 0 && m.Prev <= p.seen && p.seen > 0 {
		n.recall(p)
	}
}

// doubted notes that a peer answers in doubt. From the first such answer of one start on nothing counts that it acknowledged before, and
// the fence is made; while leadership is being transferred nothing may be appended, and a later answer has it made.
func (n *Node) doubted(p *peer, m *HeartbeatReply) {
	p.told = m.Sent
	if p.doubt != m.Doubt {
		if p.counts() {
			n.out.Doubts = append(n.out.Doubts, DoubtChange{Server: p.id, InDoubt: true})
		}
		p.doubt, p.fence, p.trusted = m.Doubt, 0, false
		p.match, p.lease, p.sent, p.round = 0, never, never, 0
		if n.transfer == p.id {
			n.endTransfer(&InvalidTransferError{To: p.id, Reason: "it has gone back"})
		}
	}
	switch {
	case p.trusted:
		n.trust(p) // the first one was lost
	case p.fence == 0 && n.transfer == None:
		p.fence = n.appendOwn(1, NoOp, nil).First
	}
}

// vouch trusts the peers whose fence holds and who hold it themselves.
func (n *Node) vouch() {
	if n.role != Leader {
		return
	}
	again := false
	for i := range n.peers {
		p := &n.peers[i]
		if p.counts() || p.fence == 0 || p.match < p.fence || !n.fenced(p) {
			continue
		}
		p.trusted, again = true, true
		n.out.Doubts = append(n.out.Doubts, DoubtChange{Server: p.id})
		n.trust(p)
	}
	if again {
		n.advanceCommit()
	}
}

// fenced reports whether a member of every quorum, other than p, has p's fence on disk: it is committed without p, or everybody else
// has it, which are fewer than a quorum where there are two voters.
func (n *Node) fenced(p *peer) bool {
	if n.commit >= p.fence {
		return true
	}
	held := func(m Membership) bool {
		others := 0
		for _, ids := range [...][]NodeID{m.Voters, m.Outgoing} {
			for _, id := range ids {
				if id != p.id && n.counted(id) < p.fence {
					return false
				} else if id != p.id {
					others++
				}
			}
		}
		return others > 0
	}
	for _, c := range n.changes {
		if c.Index > n.commit && !held(c.Membership) {
			return false
		}
	}
	return held(n.MembershipAt(n.commit))
}

func (n *Node) trust(p *peer) {
	unaided := true
	for _, id := range n.backers {
		unaided = unaided && id != p.id
	}
	n.send(p.id, &Trust{
		Term: n.hard.Term, Leader: n.cfg.ID, Life: p.doubt, Entry: EntryID{Index: p.fence, Term: n.hard.Term}, Unaided: unaided,
	}, false)
}

// onTrust ends the doubt. If this server voted for another one in the leader's term, or may have helped the leader to its election
// after it went back, the term may have two leaders: it waits for one of a later term, in which it has no vote.
func (n *Node) onTrust(m *Trust) {
	if m.Term != n.hard.Term {
		return
	}
	n.obey(m.Term, m.Leader)
	held := m.Entry.Index < n.log.Prev.Index || n.log.has(m.Entry) && m.Entry.Index <= n.durable
	alone := m.Unaided || n.hard.Vote == None || n.hard.Vote == m.Leader
	if n.hard.Doubt && m.Life == n.life() && held && alone {
		n.hard.Doubt = false
		n.trusted++
	}
}
