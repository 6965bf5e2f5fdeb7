package raft

import (
	"cmp"
	"time"
)

// never is earlier than every time that Step is given.
const never time.Duration = -1 << 63

// majority returns the greatest value that a majority of ids reaches: half of them rounded down, plus
// one. So 1 of 1, 2 of 2, 2 of 3, 3 of 4, 3 of 5. It is T's zero value when ids is empty.
func majority[T cmp.Ordered](ids []NodeID, value func(NodeID) T) T {
	var room [MaxVoters]T
	top := room[:0] // descending
	for _, id := range ids {
		v := value(id)
		i := len(top)
		top = append(top, v)
		for ; i > 0 && top[i-1] < v; i-- {
			top[i] = top[i-1]
		}
		top[i] = v
	}
	if len(top) == 0 {
		var zero T
		return zero
	}
	return top[len(ids)/2]
}

// quorum returns the greatest value that a quorum of m reaches: a majority of Voters and, in joint
// consensus, one of Outgoing too (§6).
func quorum[T cmp.Ordered](m *Membership, value func(NodeID) T) T {
	q := majority(m.Voters, value)
	if len(m.Outgoing) > 0 {
		q = min(q, majority(m.Outgoing, value))
	}
	return q
}

// A peer is what a leader knows of another member, for the rules: it is forgotten with the leadership.
type peer struct {
	id    NodeID
	match Index         // its log equals ours through here, on its disk
	heard time.Duration // when it last answered in this term; at first when it became our peer
	sent  time.Duration // the latest Heartbeat.Sent it answered
	round uint64        // the latest Heartbeat.Round it answered
}

func (n *Node) peer(id NodeID) *peer {
	for i := range n.peers {
		if n.peers[i].id == id {
			return &n.peers[i]
		}
	}
	return nil
}

// quorumMatch is the last index that a quorum has on disk. The leader counts itself only as far as its
// own disk is, and not at all when it has no vote: quorum asks for voters only.
func (n *Node) quorumMatch() Index {
	return quorum(&n.members.Membership, func(id NodeID) Index {
		if id == n.cfg.ID {
			return n.durable
		}
		return n.peer(id).match
	})
}

// quorumHeard is the latest time since which a quorum has answered.
func (n *Node) quorumHeard() time.Duration {
	return quorum(&n.members.Membership, func(id NodeID) time.Duration {
		if id == n.cfg.ID {
			return n.now
		}
		return n.peer(id).heard
	})
}

// quorumSent is the latest time such that a quorum answered heartbeats sent at or after it.
func (n *Node) quorumSent() time.Duration {
	return quorum(&n.members.Membership, func(id NodeID) time.Duration {
		if id == n.cfg.ID {
			return n.now
		}
		return n.peer(id).sent
	})
}

// quorumRound is the latest read round that a quorum has answered.
func (n *Node) quorumRound() uint64 {
	return quorum(&n.members.Membership, func(id NodeID) uint64 {
		if id == n.cfg.ID {
			return n.round
		}
		return n.peer(id).round
	})
}
