package raft

// A server that was taken out of the cluster while it did not hear of it goes on as a member of the membership that it knows. Nobody votes for it, and it
// never learns why (§6, third issue). So whoever knows better says so: the leader as the change is committed, everybody in answer to a prevote. A server
// that was told rests until a leader is heard, which is one of a membership that has it again.

// tellRemoved tells a server that is no member that the cluster goes on without it, if that is committed.
func (n *Node) tellRemoved(id NodeID) {
	m := &n.members
	if m.Index > 0 && m.Index <= n.commit && !m.Membership.Has(id) {
		n.send(id, &Removed{Index: m.Index}, false)
	}
}

// tellAllRemoved tells those whom what was committed after index i has taken out.
func (n *Node) tellAllRemoved(i Index) {
	if n.members.Index <= i {
		return
	}
	for _, id := range n.MembershipAt(i).IDs() {
		if id != n.cfg.ID {
			n.tellRemoved(id)
		}
	}
}

// onRemoved rests, unless this server has a later membership: then it cannot be told by that one. What is committed stays so, whoever says it: a server that
// is to lead a cluster that it is a member of holds a membership after it. What it has promised to a leader it keeps: the notice may be of a membership before
// that leader's.
func (n *Node) onRemoved(m *Removed) {
	if n.role == Leader || m.Index < n.members.Index || m.Index <= n.removed {
		return
	}
	n.removed = m.Index
	n.leader = None
	n.loseElection()
}

// Removed returns where the membership was set by which the cluster goes on without this server, as it was told and while it has heard neither of a leader
// nor of a later membership since; 0: nobody has said so.
func (n *Node) Removed() Index {
	if n.removed < n.members.Index {
		return 0
	}
	return n.removed
}
