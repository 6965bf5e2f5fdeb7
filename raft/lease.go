package raft

import "time"

// A leader's lease (thesis §6.4.1) rests on promises: whoever answers a heartbeat votes for nobody else for a while. How long is the follower's
// to say, by its own ElectionMin, which may be another one than the leader's.

// A promise is what a server has told leaders about its votes. It outlives restarts with a shorter ElectionMin: what may be promised is on disk
// before it is, and taken back there once it is kept.
type promise struct {
	kept    time.Duration // HardState.Promise on disk
	written time.Duration // by the last write that stored it, durable or not
	binds   time.Duration // until when what was promised before this start holds
}

// promises is the promise that belongs on the disk now.
func (n *Node) promises() time.Duration {
	if n.now < n.promise.binds {
		return max(n.promise.written, n.cfg.ElectionMin)
	}
	return n.cfg.ElectionMin
}

// stored is the hard state as it is written.
func (n *Node) stored() HardState {
	h := n.hard
	h.Promise = n.promise.written
	return h
}

// stated is what an answer to a heartbeat may promise: no more than a crash would remember. One that waits for its term to be on disk waits for
// the promise, too.
func (n *Node) stated() time.Duration {
	if n.hard.Term != n.onDisk.Term {
		return n.cfg.ElectionMin
	}
	return min(n.cfg.ElectionMin, n.promise.kept, n.promise.written)
}

// Clocks are one reading of a machine's two clocks.
type Clocks struct {
	Now  time.Duration // monotonic; it may stand still while the machine is suspended
	Wall time.Duration // the calendar, since any fixed origin; it may be set
}

// Parted is by how much more the calendar advanced than the monotonic clock between two readings: the time that the machine was suspended, unless
// the calendar was set.
func Parted(before, after Clocks) time.Duration {
	return after.Wall - before.Wall - (after.Now - before.Now)
}

// Suspended reports whether two readings show that the machine was suspended between them, or that its calendar was set: the clocks parted
// by more than drift.
func Suspended(before, after Clocks, drift time.Duration) bool {
	return Parted(before, after).Abs() > drift
}

// A steadiness is what a leader knows of its own clocks.
type steadiness struct {
	since time.Duration // heartbeats sent before count for no lease; never: no reading yet, or all count
	read  bool          // the readings are there
	// The clocks are compared with the older reading. It is older than any heartbeat that a lease may rest on, unless it is of this
	// leadership's beginning or of the last time that they had parted.
	older, newer Clocks
	parted       time.Duration // by the latest reading
}

// calendar compares the clocks. If they have parted no promise counts that was asked for before.
func (n *Node) calendar(wall time.Duration) {
	if n.role != Leader {
		return
	}
	s, at := &n.steady, Clocks{Now: n.now, Wall: wall}
	if !s.read || Suspended(s.older, at, n.cfg.LeaseDrift) {
		n.out.Suspended = s.read
		*s = steadiness{since: n.now, read: true, older: at, newer: at}
		for i := range n.peers {
			n.peers[i].lease = never
		}
		return
	}
	s.parted = Parted(s.older, at)
	if at.Now-s.newer.Now >= n.cfg.ElectionMin {
		s.older, s.newer = s.newer, at
	}
}

// LeaseUntil returns until when, on the caller's clock, no other server can have been elected (thesis §6.4.1): a quorum answered heartbeats,
// each has promised to vote for nobody else for some time after, and the least of these times is not over.
// False without a lease: not the leader, nothing committed in its term, or a transfer was begun in it.
func (n *Node) LeaseUntil() (time.Duration, bool) {
	if n.role != Leader || n.noLease || n.commit < n.termFirst || n.cfg.LeaseDrift >= n.cfg.ElectionMin {
		return 0, false
	}
	until := n.quorumLease()
	if until < n.now-n.cfg.ElectionMin { // also never
		return 0, false
	}
	return until - n.cfg.LeaseDrift - max(n.steady.parted, 0), true
}

// LeaseLasts reports whether a lease read that comes now would be answered at once, by a caller whose clocks these are and who steps Calendar
// before it.
func (n *Node) LeaseLasts(at Clocks) bool {
	s := n.steady
	until, ok := n.LeaseUntil()
	if !ok || !s.read || Suspended(s.older, at, n.cfg.LeaseDrift) {
		return false
	}
	return at.Now+max(Parted(s.older, at), 0) < until+max(s.parted, 0)
}
