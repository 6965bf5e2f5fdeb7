package raft

// startTransfer hands leadership to another voter (thesis §3.10): nothing new is proposed, the target is
// brought up to date, then told not to wait for its election timer. One that has been silent is not waited for.
func (n *Node) startTransfer(to NodeID) {
	switch {
	case n.role != Leader:
		n.out.Refused = n.notLeader()
		return
	case n.transfer != None:
		n.out.Refused = ErrTransferring
		return
	case to == n.cfg.ID:
		n.out.Refused = &InvalidTransferError{To: to, Reason: "it leads already"}
		return
	case n.peer(to) == nil || !(Membership{Voters: n.members.Membership.Voters}).IsVoter(to):
		n.out.Refused = &InvalidTransferError{To: to, Reason: "it is not a voter"}
		return
	}
	if !n.peer(to).counts() {
		n.out.Refused = &InvalidTransferError{To: to, Reason: "it has gone back and is not trusted yet"}
		return
	}
	if n.peer(to).wants > 0 {
		n.out.Refused = &InvalidTransferError{To: to, Reason: stateless}
		return
	}
	if p := n.peer(to); n.tooSilent(p) {
		n.out.Refused = &SilentTargetError{To: to, Silence: n.now - p.heard}
		return
	}
	n.transfer = to
	n.noLease = true // the target's election does not wait for leases to end
	n.urgeTarget(to)
}

// tooSilent reports whether p was not heard for as long as a follower waits for its leader at least.
func (n *Node) tooSilent(p *peer) bool { return n.now-p.heard >= n.cfg.ElectionMin }

// urgeTarget tells the target of a transfer to start its election if it has the whole log. It is
// repeated with each of its answers, since the message may be lost.
func (n *Node) urgeTarget(id NodeID) {
	if n.role != Leader || n.transfer == None || n.transfer != id {
		return
	}
	if p := n.peer(id); p != nil && p.match == n.log.Last() {
		n.send(id, &TimeoutNow{Term: n.hard.Term, Leader: n.cfg.ID}, false)
	}
}

// endTransfer reports how a running transfer ended. Afterwards proposals are taken again, if still leading.
func (n *Node) endTransfer(err error) {
	if n.transfer == None {
		return
	}
	n.out.Transfer = &TransferDone{To: n.transfer, Err: err}
	n.transfer = None
}

// onTimeoutNow starts an election in the leader's stead: no prevote, and voters do not refuse for having heard it.
func (n *Node) onTimeoutNow(m *TimeoutNow) {
	if m.Term > n.hard.Term {
		n.follow(m.Term, None)
		return
	}
	if m.Term == n.hard.Term && n.role == Follower && n.leader == m.Leader {
		n.startElection(true)
	}
}
