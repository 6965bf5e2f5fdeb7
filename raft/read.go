package raft

// A pendingRead waits until a quorum has answered a heartbeat of its round or a later one.
type pendingRead struct {
	id    uint64
	round uint64
	index Index // the commit index when it arrived
}

// read finds a read point by ReadIndex (thesis §6.4): the commit index at arrival, valid once a quorum confirms,
// by heartbeats sent afterwards, that nobody else leads.
func (n *Node) read(id uint64) {
	if n.role != Leader {
		n.out.Reads = append(n.out.Reads, ReadDone{ID: id, Err: n.notLeader()})
		return
	}
	n.round++
	n.reads = append(n.reads, pendingRead{id: id, round: n.round, index: n.commit})
	n.answerReads()
	if len(n.reads) > 0 {
		n.out.Beat = n.round
	}
}

// leaseRead answers at once while the lease lasts, and like read otherwise.
func (n *Node) leaseRead(id uint64) {
	if until, ok := n.LeaseUntil(); ok && n.now < until {
		n.out.Reads = append(n.out.Reads, ReadDone{ID: id, Index: n.commit})
		return
	}
	n.read(id)
}

// answerReads ends the reads that are confirmed. A leader knows what was committed before it only once
// the no-op of its own term is (§8); reads wait for that, and see at least that.
func (n *Node) answerReads() {
	if len(n.reads) == 0 || n.commit < n.termFirst {
		return
	}
	confirmed := n.quorumRound()
	k := 0
	for k < len(n.reads) && n.reads[k].round <= confirmed {
		r := n.reads[k]
		n.out.Reads = append(n.out.Reads, ReadDone{ID: r.id, Index: max(r.index, n.termFirst)})
		k++
	}
	n.reads = n.reads[:copy(n.reads, n.reads[k:])]
}

func (n *Node) failReads(err error) {
	for _, r := range n.reads {
		n.out.Reads = append(n.out.Reads, ReadDone{ID: r.id, Err: err})
	}
	n.reads = nil
}
