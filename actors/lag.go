package actors

import (
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A lag tells whether a follower keeps up: it has applied what its leader had committed a moment ago, Tuning.CaughtUpWithin. Where less has been heard of
// that leader, or nothing for as long as that, all that was heard of it at first counts.
type lag struct {
	leader raft.NodeID
	term   raft.Term
	heard  time.Duration // when the leader was heard last
	told   []told        // what it said; in order, the first of which counts
}

// told is what a leader had committed by its word, within a part of CaughtUpWithin from some time on.
type told struct {
	at     time.Duration
	commit raft.Index
}

// lagParts is how many parts a CaughtUpWithin has.
const lagParts = 4

// tell notes how far a leader has committed, by its word.
func (l *lag) tell(now time.Duration, leader raft.NodeID, term raft.Term, commit raft.Index, within time.Duration) {
	if l.leader != leader || l.term != term || now-l.heard > within {
		l.leader, l.term, l.told = leader, term, l.told[:0]
	}
	l.heard = now
	if n := len(l.told); n > 0 && now-l.told[n-1].at < within/lagParts {
		l.told[n-1].commit = max(l.told[n-1].commit, commit)
		return
	}
	l.told = append(l.told, told{now, commit})
	l.forget(now - within)
}

// forget leaves what was told last by then, and what came later.
func (l *lag) forget(by time.Duration) {
	n := 0
	for n+1 < len(l.told) && l.told[n+1].at <= by {
		n++
	}
	l.told = append(l.told[:0], l.told[n:]...)
}

// caughtUp reports whether who has applied so much keeps up with this leader.
func (l *lag) caughtUp(now time.Duration, leader raft.NodeID, term raft.Term, applied raft.Index, within time.Duration) bool {
	if l.leader != leader || l.term != term || len(l.told) == 0 || now-l.heard > within {
		return false
	}
	l.forget(now - within)
	return applied >= l.told[0].commit
}

// hear follows what a message says of its leader's log. Before a leader has committed an entry of its own term it may not know of all that is committed.
func (r *replica) hear(in raft.Received, now time.Duration) {
	m, ok := in.Message.(*raft.Heartbeat)
	if ok && in.From == r.node.Leader() && m.Term == r.node.Term() && m.Commit.Term == m.Term {
		r.lag.tell(now, in.From, m.Term, m.Commit.Index, r.keptWithin())
	}
}

// keptWithin is CaughtUpWithin, unless leaders may be silent for longer.
func (r *replica) keptWithin() time.Duration {
	return max(r.cfg.Tuning.CaughtUpWithin, r.cfg.ElectionTimeout.Max)
}

// caughtUp: a leader is known, and this replica keeps up with it. A leader itself does once it has applied what it knew to be committed when it began.
func (r *replica) caughtUp() bool {
	if r.leader.Leader == raft.None {
		r.target = 0
		return false
	}
	if r.leader.Role != raft.Leader {
		r.target = 0
		return r.lag.caughtUp(r.now(), r.leader.Leader, r.leader.Term, r.applied, r.keptWithin())
	}
	if r.target == 0 && r.commit.Term == r.leader.Term {
		r.target = r.commit.Index
	}
	return r.target != 0 && r.applied >= r.target
}
