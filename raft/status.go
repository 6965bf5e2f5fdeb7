package raft

import (
	"maps"
	"slices"
	"time"
)

// ID returns the server's own id.
func (n *Node) ID() NodeID { return n.cfg.ID }

// Role returns what the server is.
func (n *Node) Role() Role { return n.role }

// Term returns the current term, which may not be durable yet.
func (n *Node) Term() Term { return n.hard.Term }

// Leader returns who leads the current term, None while unknown.
func (n *Node) Leader() NodeID { return n.leader }

// CommitIndex returns the last index known to be committed. It never falls.
func (n *Node) CommitIndex() Index { return n.commit }

// LastIndex returns the index of the last entry.
func (n *Node) LastIndex() Index { return n.log.Last() }

// FirstIndex returns the index of the first entry that is not compacted; LastIndex()+1 when the log is empty.
func (n *Node) FirstIndex() Index { return n.log.First() }

// TermAt returns the term of entry i; false when it is compacted or not there yet. FirstIndex()-1 is known still.
func (n *Node) TermAt(i Index) (Term, bool) { return n.log.TermAt(i) }

// Durable returns the last index that the caller has confirmed to be on disk.
func (n *Node) Durable() Index { return n.durable }

// Follower tells what a leader knows of a member: how far its log equals ours on its disk, and when it last answered, on
// the caller's clock. False when this server does not lead or the member is not fed. It does not allocate.
func (n *Node) Follower(id NodeID) (match Index, heard time.Duration, ok bool) {
	if n.role != Leader {
		return 0, 0, false
	}
	if id == n.cfg.ID {
		return n.durable, n.now, true
	}
	if p := n.peer(id); p != nil {
		return p.match, p.heard, true
	}
	return 0, 0, false
}

// InDoubt reports whether a member, or this server itself, is known to have gone back and does not count.
func (n *Node) InDoubt(id NodeID) bool {
	if id == n.cfg.ID {
		return n.hard.Doubt
	}
	p := n.peer(id)
	return p != nil && !p.counts()
}

// Stateless reports whether this server leads no more because its state machine has no state (StateLost).
func (n *Node) Stateless() bool { return n.lost }

// Membership returns the effective membership: the latest in the log, committed or not (§6). Read-only.
func (n *Node) Membership() Membership { return n.members.Membership }

// MembershipIndex returns the index at which the effective membership was appended. Once that entry is compacted it may be the
// snapshot's instead: the membership has not changed since.
func (n *Node) MembershipIndex() Index { return n.members.Index }

// Round returns the latest read round, the one that heartbeats are to carry.
func (n *Node) Round() uint64 { return n.round }

// Snapshot returns the snapshot that the log continues; its index is 0 when there is none.
func (n *Node) Snapshot() SnapshotMeta { return n.snapshot }

// Shape returns an immutable picture of the log. It costs a copy of its term spans.
func (n *Node) Shape() Shape { return n.log.clone() }

// ChangesIn returns the membership entries among first..last: what an AppendEntries with these entries carries.
func (n *Node) ChangesIn(first, last Index) []Change {
	var in []Change
	for _, c := range n.changes {
		if c.Index >= first && c.Index <= last {
			in = append(in, c)
		}
	}
	return in
}

// Status returns an immutable picture of the node. It allocates: keep it off hot paths.
func (n *Node) Status() Status {
	s := Status{
		ID: n.cfg.ID, Role: n.role, Term: n.hard.Term, Vote: n.hard.Vote, Leader: n.leader,
		Commit: n.commit, First: n.log.First(), Last: n.log.Last(), Durable: n.durable, Snapshot: n.snapshot.Index,
		Membership: n.members.Membership, TransferTo: n.transfer, Doubt: n.hard.Doubt, Stateless: n.lost,
	}
	if n.role == Leader {
		s.Match = map[NodeID]Index{n.cfg.ID: n.durable}
		s.Heard = map[NodeID]time.Duration{n.cfg.ID: n.now}
		for _, p := range n.peers {
			s.Match[p.id], s.Heard[p.id] = p.match, p.heard
			if !p.counts() {
				s.InDoubt = append(s.InDoubt, p.id)
			}
		}
	}
	return s
}

// Clone returns a node that behaves like n and shares nothing with it that either may change.
func (n *Node) Clone() *Node {
	c := *n
	c.log = n.log.clone()
	c.changes = slices.Clone(n.changes)
	c.ballots = slices.Clone(n.ballots)
	c.peers = slices.Clone(n.peers)
	c.reads = slices.Clone(n.reads)
	return &c
}

// Clone returns a Status that shares no map with s.
func (s Status) Clone() Status {
	s.Match, s.Heard, s.InDoubt = maps.Clone(s.Match), maps.Clone(s.Heard), slices.Clone(s.InDoubt)
	return s
}

func (r Role) String() string {
	return [...]string{"follower", "precandidate", "candidate", "leader", "learner"}[min(r, Learner)]
}

func (k Kind) String() string {
	return [...]string{"command", "noop", "reconfigure", "open-session", "close-session", "unknown"}[min(k, CloseSession+1)]
}
