package raft

// A server whose snapshot cannot be read has a log and no state to apply it to: what came before the log is lost here. What it has voted for and
// acknowledged rests on its term, its vote and its log, which are whole, and so does whatever it votes for and acknowledges meanwhile. It only must not
// lead: it could neither answer anybody nor feed a follower that needs a snapshot. Its leader gives it another snapshot (docs/decisions/0023).

const stateless = "it waits for a snapshot to restore its state machine from"

// stateLost ends a leadership or a candidacy. Without a state nothing is applied.
func (n *Node) stateLost(wants Index) {
	if n.role != Follower && n.role != Learner {
		n.follow(n.hard.Term, None)
	}
	n.lost, n.wants, n.applied = true, wants, 0
}

// wanted notes whether a peer waits for a snapshot. It would not take over.
func (n *Node) wanted(p *peer, from Index) {
	p.wants = from
	if from > 0 && n.transfer == p.id {
		n.endTransfer(&InvalidTransferError{To: p.id, Reason: stateless})
	}
}
