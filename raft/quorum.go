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
	store uint64        // its Member.Store
	match Index         // its log equals ours through here, on its disk
	heard time.Duration // when it last answered in this term; at first when it became our peer
	lease time.Duration // until when it votes for nobody else, by what it promised
	sent  time.Duration // the latest Heartbeat.Sent it answered
	round uint64        // the latest Heartbeat.Round it answered

	applied Index // by its answer to the latest heartbeat: how far its state machine has come
	wants   Index // likewise: HeartbeatReply.Wants

	vitals vitals

	seen    Index         // the most it ever acknowledged in this term
	doubt   uint64        // its Config.Life when it last said that it is in doubt; 0: never in this term
	told    time.Duration // Heartbeat.Sent of that answer
	fence   Index         // the entry that was made then; 0: it has to wait
	trusted bool          // the fence holds: it counts again
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
	return quorum(&n.members.Membership, n.counted)
}

// counted is the last index that counts as being on a member's disk.
func (n *Node) counted(id NodeID) Index {
	if id == n.cfg.ID {
		return n.durable
	}
	if p := n.peer(id); p != nil && p.counts() {
		return p.match
	}
	return 0
}

// quorumHeard is the latest time since which a quorum has answered. A leader that loses its quorum steps down for others to be elected.
// Where those in doubt are so many that nobody could be, they count here, and the leader stays to trust them again.
func (n *Node) quorumHeard() time.Duration {
	return quorum(&n.members.Membership, func(id NodeID) time.Duration {
		if id == n.cfg.ID {
			return n.now
		}
		p := n.peer(id)
		if !p.counts() && n.othersSuffice() {
			return never
		}
		return p.heard
	})
}

// othersSuffice reports whether the members that are not in doubt are a quorum.
func (n *Node) othersSuffice() bool {
	return quorum(&n.members.Membership, func(id NodeID) int {
		if id == n.cfg.ID || n.peer(id).counts() {
			return 1
		}
		return 0
	}) == 1
}

// quorumLease is until when a quorum votes for nobody else, and no longer than ElectionMin.
func (n *Node) quorumLease() time.Duration {
	return quorum(&n.members.Membership, func(id NodeID) time.Duration {
		if id == n.cfg.ID {
			return n.now + n.cfg.ElectionMin
		}
		return n.peer(id).lease
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
