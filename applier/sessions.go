package applier

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// sessions is the table of client sessions (thesis §6.3). It is part of the replicated state: it changes by log entries
// alone, and its time is the log's, the greatest stamp of the timed entries so far.
type sessions struct {
	clock int64 // ms
	turn  uint64
	table map[uint64]*session
	bytes int           // cost of all
	limit int           // of bytes; 0: none
	ttls  map[int64]int // how many sessions have each
	// The ends of the list by Turn. Use takes its time from clock, which never goes back, so the list is in order of Used as well.
	oldest, newest *session
}

func newSessions() *sessions { return &sessions{table: map[uint64]*session{}, ttls: map[int64]int{}} }

// tick moves the log's clock on and expires. A session with a shorter TTL than those used before it stays in the table until it is
// asked for, its turn comes or there is too little room; it is expired all the same.
func (s *sessions) tick(stamp int64) {
	if stamp <= s.clock {
		return
	}
	s.clock = stamp
	for s.oldest != nil && s.expired(s.oldest) {
		s.remove(s.oldest)
	}
}

// pass follows an entry that is no session's.
func (s *sessions) pass(e *entry.Entry) {
	if e.Timed() {
		s.tick(e.Stamp)
	}
}

func (s *sessions) expired(c *session) bool { return s.clock-c.Used > c.TTL }

// find returns a session that has not expired, or nil.
func (s *sessions) find(id uint64) *session {
	c := s.table[id]
	if c != nil && s.expired(c) {
		s.remove(c)
		return nil
	}
	return c
}

func (s *sessions) touch(c *session) {
	s.turn++
	c.Used, c.Turn = s.clock, s.turn
	if s.newest != c {
		s.unlink(c)
		s.link(c)
	}
}

func (s *sessions) add(c *session) {
	s.table[c.ID] = c
	s.bytes += c.cost()
	s.ttls[c.TTL]++
	s.link(c)
}

func (s *sessions) remove(c *session) {
	delete(s.table, c.ID)
	s.bytes -= c.cost()
	if s.ttls[c.TTL]--; s.ttls[c.TTL] == 0 {
		delete(s.ttls, c.TTL)
	}
	s.unlink(c)
}

// link appends c as the most recently used.
func (s *sessions) link(c *session) {
	c.older, c.newer = s.newest, nil
	if s.newest != nil {
		s.newest.newer = c
	} else {
		s.oldest = c
	}
	s.newest = c
}

func (s *sessions) unlink(c *session) {
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		s.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		s.newest = c.older
	}
	c.older, c.newer = nil, nil
}

// open registers the session named by its entry's index.
func (s *sessions) open(e *entry.Entry) ([]byte, error) {
	s.tick(e.Stamp)
	o, ok := decodeOpen(e.Data)
	if !ok {
		return nil, fmt.Errorf("session request at index %d is malformed", e.Index)
	}
	c := &session{ID: uint64(e.Index), TTL: o.TTL.Milliseconds(), memory: o.memory()}
	s.add(c)
	s.touch(c)
	if o.version != openVersion1 {
		s.limit = o.Table
	}
	s.shrink(o.Sessions)
	return binary.BigEndian.AppendUint64(nil, c.ID), nil
}

// shrink makes room in the table, which has a limit of bytes, and here of sessions unless that is 0: first the expired go, then the least
// recently used. The one in use stays, or a client whose answers are larger than all bytes could not be served.
func (s *sessions) shrink(limit int) {
	full := func() bool {
		return s.oldest != s.newest && (limit > 0 && len(s.table) > limit || s.limit > 0 && s.bytes > s.limit)
	}
	if !full() {
		return
	}
	s.sweep()
	for full() {
		s.remove(s.oldest)
	}
}

// sweep removes the expired that tick has passed over, which takes sessions of more than one TTL.
func (s *sessions) sweep() {
	if len(s.ttls) < 2 {
		return
	}
	for c := s.oldest; c != nil; {
		next := c.newer
		if s.expired(c) {
			s.remove(c)
		}
		c = next
	}
}

func (s *sessions) close(e *entry.Entry) error {
	s.tick(e.Stamp)
	c := s.find(e.Session)
	if c == nil {
		return ErrSessionExpired
	}
	s.remove(c)
	return nil
}

// apply executes a session's command, once: a repeated number is answered as the first time, with its index. A refused command changes
// nothing, the time of the last use included.
func (s *sessions) apply(e *entry.Entry, execute func() []byte) (raft.Index, []byte, error) {
	s.tick(e.Stamp)
	c := s.find(e.Session)
	switch {
	case c == nil:
		return 0, nil, ErrSessionExpired
	case e.Seq == 0 || e.Seq > c.Last && e.Seq-c.Last > 1:
		return 0, nil, ErrSessionOrder
	case e.Seq <= c.Last:
		a := c.recall(e.Seq)
		if a == nil {
			return 0, nil, ErrSessionForgotten
		}
		s.touch(c)
		return a.Index, slices.Clone(a.Result), nil // whoever gets it may change it
	}
	s.touch(c)
	result := execute()
	s.bytes -= c.cost()
	c.remember(e.Index, result)
	s.bytes += c.cost()
	s.shrink(0)
	return e.Index, result, nil
}
