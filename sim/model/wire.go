package model

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// A letter is a message between two servers. Equal ones have one number.
type letter struct {
	from, to raft.NodeID
	message  raft.Message
}

// letterNumber gives l its number.
func (c *checker) letterNumber(l letter) uint32 {
	key := c.enc.message(l)
	if n, ok := c.letterOf[string(key)]; ok {
		return n
	}
	n := uint32(len(c.letters))
	c.letterOf[string(key)] = n
	c.letters = append(c.letters, l)
	return n
}

// post gives the message its number, without what the rules never look at, and without the founders, which are the same everywhere. False when
// the network loses it for sure.
// Asked is the term of the message that it answers, if it does.
func (c *checker) post(from, to raft.NodeID, m raft.Message, asked raft.Term) (uint32, bool) {
	refusal, stale := false, m.MsgTerm() > asked
	switch o := m.(type) {
	case *raft.RequestVote:
		if o.PreVote && !c.scope.Clock {
			return 0, false // see losePatience
		}
		v := *o
		v.Founders = 0
		m = &v
	case *raft.AppendEntriesReply:
		refusal = !o.Success
		m = &raft.AppendEntriesReply{Term: o.Term, Success: o.Success, Match: o.Match, Doubt: o.Doubt} // the rest is for the syncer
		if refusal {
			m.(*raft.AppendEntriesReply).Prev = 1 << 60 // no reason to look into what it acknowledged
		}
	case *raft.RequestVoteReply:
		refusal = !o.Granted
	case *raft.InstallSnapshotReply:
		refusal = stale
	case *raft.Recall:
		r := *o
		if !c.scope.Clock {
			r.Sent = 0
		}
		m = &r
	case *raft.HeartbeatReply:
		refusal = stale
		h := *o
		h.Last = math.MaxUint64 // the same
		m = &h
	case *raft.Heartbeat:
		h := *o
		h.Founders = 0
		if !c.enc.rounds {
			h.Round = 0
		}
		if !c.scope.Clock {
			h.Sent = 0
		}
		m = &h
	}
	if refusal && !c.scope.Refusals {
		return 0, false
	}
	return c.letterNumber(letter{from: from, to: to, message: m}), true
}

// forge makes of a message what a network under Scope.faults delivers.
func (c *checker) forge(number uint32) uint32 {
	f, l := c.scope.faults, c.letters[number]
	switch m := l.message.(type) {
	case *raft.AppendEntries:
		if f.forgeCommit {
			forged := *m
			forged.Commit++
			l.message = &forged
		}
	case *raft.AppendEntriesReply:
		if f.forgeMatch && m.Success {
			forged := *m
			forged.Match++
			l.message = &forged
		}
	case *raft.RequestVoteReply:
		if f.forgeGrants {
			forged := *m
			forged.Granted = true
			l.message = &forged
		}
	case *raft.HeartbeatReply:
		if f.oldRounds {
			forged := *m
			forged.Round++
			l.message = &forged
		}
	}
	return c.letterNumber(l)
}

// partition sorts messages by receiver and numbers the sets. Set 0 is empty.
func (c *checker) partition(numbers []uint32) (sets [maxServers]uint32) {
	for i := range sets {
		c.scratch = c.scratch[:0]
		for _, n := range numbers {
			if c.letters[n].to == serverIDs[i] {
				c.scratch = append(c.scratch, n)
			}
		}
		slices.Sort(c.scratch)
		sets[i] = c.setNumber(slices.Compact(c.scratch))
	}
	return sets
}

// setNumber gives a set of messages, ascending, its number.
func (c *checker) setNumber(set []uint32) uint32 {
	c.key = c.key[:0]
	for _, n := range set {
		c.key = binary.AppendUvarint(c.key, uint64(n))
	}
	if n, ok := c.setOf[string(c.key)]; ok {
		return n
	}
	n := uint32(len(c.sets))
	c.setOf[string(c.key)] = n
	c.sets = append(c.sets, slices.Clone(set))
	return n
}

// union numbers the union of two sets.
func (c *checker) union(a, b uint32) uint32 {
	x, y := c.sets[a], c.sets[b]
	c.scratch = append(append(c.scratch[:0], x...), y...)
	slices.Sort(c.scratch)
	return c.setNumber(slices.Compact(c.scratch))
}

// alive numbers the part of a set that can still do something to server number. What is dropped does nothing now, which is tried, and
// nothing in any future: a term that is on disk never comes back, and nobody leads a term twice.
func (c *checker) alive(number, set uint32) uint32 {
	if c.scope.keepDead || c.scope.Limit.Losses > 0 { // a term that is on disk may come back
		return set
	}
	s := c.servers[number]
	var kept []uint32
	for _, n := range c.sets[set] {
		if !c.dead(s, c.letters[n]) || !c.idle(number, c.hearing(number, n)) {
			kept = append(kept, n)
		}
	}
	if len(kept) == len(c.sets[set]) {
		return set
	}
	return c.setNumber(kept)
}

// idle reports whether an outcome leaves server number as it is and sends nothing.
func (c *checker) idle(number, out uint32) bool {
	o := &c.outcomes[out]
	return o.after == number && o.to == [maxServers]uint32{} && o.broken == 0 && !o.asked && o.read == 0
}

func (c *checker) dead(s *server, l letter) bool {
	durable, now := s.disk.hard.Term, s.node.Term()
	switch m := l.message.(type) {
	case *raft.RequestVote:
		if c.scope.Refusals {
			return false
		}
		given := s.disk.hard.Vote != raft.None && s.disk.hard.Vote != l.from
		return m.Term < durable || m.Term == durable && (m.PreVote || given)
	case *raft.AppendEntries, *raft.Heartbeat, *raft.InstallSnapshot:
		return !c.scope.Refusals && m.MsgTerm() < durable
	case *raft.TimeoutNow:
		return m.Term < durable
	case *raft.RequestVoteReply:
		if m.Term > durable || m.Asked > durable {
			return false
		}
		return m.PreVote || now != m.Asked || s.node.Role() != raft.Candidate
	case *raft.AppendEntriesReply:
		return c.deadReply(s, l.from, m.Term, m.Match)
	case *raft.InstallSnapshotReply:
		return c.deadReply(s, l.from, m.Term, m.Match)
	case *raft.HeartbeatReply:
		if !c.enc.rounds {
			return m.Term <= durable
		}
		return m.Term < durable || m.Term == durable && now == m.Term && s.node.Role() != raft.Leader && s.node.Role() != raft.Candidate
	}
	return false
}

// deadReply is dead for what a follower answers about its log.
func (c *checker) deadReply(s *server, from raft.NodeID, term raft.Term, match raft.Index) bool {
	durable, now := s.disk.hard.Term, s.node.Term()
	if term != durable {
		return term < durable
	}
	if c.scope.Clock || c.scope.Limit.Transfers > 0 { // it also says that the follower is there
		return now > term
	}
	if now > term || s.node.Role() != raft.Leader {
		return true
	}
	if c.scope.Limit.Changes > 1 {
		return false // a peer that comes back begins at nothing
	}
	known, _, fed := s.node.Follower(from)
	return !fed || match <= known
}
