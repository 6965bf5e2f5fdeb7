package raft

// Successor chooses who shall lead in the stead of a leader whose state machine is stuck: a voter whose own state machine has come to goal at
// least, which the leader's has not, that answers and could take over at once, as its log is the leader's or nearly so (Transfer). Of several it is
// the one that has applied most. None when nobody has come so far: where the state machines of all are slow another leader would be of no
// use, and the next one after it neither.
func (n *Node) Successor(goal Index) NodeID {
	if n.role != Leader || n.transfer != None {
		return None
	}
	var best *peer
	for _, id := range n.members.Membership.Voters {
		p := n.peer(id)
		switch {
		case id == n.cfg.ID, p == nil, !p.counts(), p.applied < max(goal, 1), !n.alive(id), n.tooSilent(p):
		case p.match < n.log.Last() && !n.lately(p.vitals.level):
		case best == nil, p.applied > best.applied, p.applied == best.applied && p.match > best.match:
			best = p
		}
	}
	if best == nil {
		return None
	}
	return best.id
}
