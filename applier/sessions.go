package applier

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// What a session keeps for a client that retries. Both are fixed: replicas that kept different answers would fork.
const (
	remembered      = 64      // results: what a client may have unanswered
	rememberedBytes = 1 << 20 // of results; the newest is kept however large it is
)

// The first numbers of the encodings.
const (
	openVersion     = 1
	sessionsVersion = 1
)

// open is the payload of an OpenSession entry. Limits travel in the log, so that every replica expires alike.
type open struct {
	TTL time.Duration
	Max int
}

// EncodeOpen makes the data of an OpenSession entry, the msgpack value [version, ttl in ms, limit]: a session unused for ttl on the
// log's clock expires, and while there are more than limit sessions the least recently used goes. A limit of 0 is none.
func EncodeOpen(ttl time.Duration, limit int) []byte {
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.UseCompactInts(true)
	// Neither the buffer nor three numbers can fail.
	_ = e.EncodeMulti([]int64{openVersion, max(0, ttl.Milliseconds()), max(0, int64(limit))})
	return b.Bytes()
}

func decodeOpen(b []byte) (open, bool) {
	d := newDecoder(b)
	d.fields(3)
	version, ttl, limit := d.int(), d.int(), d.int()
	const most = 1 << 40
	if d.done() != nil || version != openVersion || ttl < 0 || ttl > most || limit < 0 || limit > most {
		return open{}, false
	}
	return open{TTL: time.Duration(ttl) * time.Millisecond, Max: int(limit)}, true
}

// A session remembers the latest results of one client.
type session struct {
	ID      uint64
	TTL     int64    // ms
	Used    int64    // the log's clock at the last use, ms
	Turn    uint64   // order of last use: unique, unlike the clock
	Last    uint64   // the highest applied sequence number
	Results []answer // of the sequence numbers up to Last, at most remembered
	bytes   int      // in Results

	older, newer *session // by Turn
}

// remember stores the answer to the next sequence number, and forgets the oldest that there is no room for.
func (c *session) remember(index raft.Index, result []byte) {
	c.Last++
	c.bytes += len(result)
	drop := 0
	for n := len(c.Results); n > drop && (n-drop >= remembered || c.bytes > rememberedBytes); drop++ {
		c.bytes -= len(c.Results[drop].Result)
	}
	c.Results = slices.Delete(c.Results, 0, drop)
	// A result may alias its command: a copy pins no block.
	c.Results = append(c.Results, answer{Index: index, Result: slices.Clone(result)})
}

type answer struct {
	Index  raft.Index
	Result []byte
}

// sessions is the table of client sessions (thesis §6.3). It is part of the replicated state: it changes by log entries
// alone, and its time is the greatest stamp that leaders have put into the log.
type sessions struct {
	clock int64 // ms
	turn  uint64
	table map[uint64]*session
	// The ends of the list by Turn. Use takes its time from clock, which never goes back, so the list is in order of Used as well.
	oldest, newest *session
}

func newSessions() *sessions { return &sessions{table: map[uint64]*session{}} }

// tick moves the log's clock on and expires. A session with a shorter TTL than those used before it stays in the table until it is
// asked for or its turn comes; it is expired all the same.
func (s *sessions) tick(stamp int64) {
	if stamp <= s.clock {
		return
	}
	s.clock = stamp
	for s.oldest != nil && s.expired(s.oldest) {
		s.remove(s.oldest)
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
	s.link(c)
}

func (s *sessions) remove(c *session) {
	delete(s.table, c.ID)
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
	c := &session{ID: uint64(e.Index), TTL: o.TTL.Milliseconds()}
	s.add(c)
	s.touch(c)
	if o.Max > 0 && len(s.table) > o.Max {
		s.shrink(o.Max)
	}
	return binary.BigEndian.AppendUint64(nil, c.ID), nil
}

// shrink makes room: first the expired go, then the least recently used.
func (s *sessions) shrink(limit int) {
	for c := s.oldest; c != nil; {
		next := c.newer
		if s.expired(c) {
			s.remove(c)
		}
		c = next
	}
	for len(s.table) > limit {
		s.remove(s.oldest)
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

// apply executes a session's command, once: a repeated number is answered as the first time, with its index.
func (s *sessions) apply(e *entry.Entry, execute func() []byte) (raft.Index, []byte, error) {
	s.tick(e.Stamp)
	c := s.find(e.Session)
	if c == nil {
		return 0, nil, ErrSessionExpired
	}
	if e.Seq > 0 && e.Seq <= c.Last && c.Last-e.Seq < uint64(len(c.Results)) {
		s.touch(c)
		a := c.Results[len(c.Results)-1-int(c.Last-e.Seq)]
		return a.Index, a.Result, nil
	}
	if e.Seq == 0 || e.Seq != c.Last+1 {
		return 0, nil, ErrSessionOrder // and nothing has changed, the time of the last use included
	}
	s.touch(c)
	result := execute()
	c.remember(e.Index, result)
	return e.Index, result, nil
}

// encoded is the table's shape in a snapshot, sessions ascending by id.
type encoded struct {
	//lint:ignore U1000 msgpack reads its tag
	_msgpack struct{} `msgpack:",as_array"`
	Version  int
	Clock    int64
	Turn     uint64
	Sessions []encodedSession
}

type encodedSession struct {
	//lint:ignore U1000 msgpack reads its tag
	_msgpack struct{} `msgpack:",as_array"`
	ID       uint64
	TTL      int64
	Used     int64
	Turn     uint64
	Last     uint64
	Indices  []uint64
	Results  [][]byte
}

// capture copies the table, so that it can be written beside further Applies.
func (s *sessions) capture() encoded {
	out := encoded{Version: sessionsVersion, Clock: s.clock, Turn: s.turn, Sessions: []encodedSession{}}
	for _, c := range s.table {
		es := encodedSession{ID: c.ID, TTL: c.TTL, Used: c.Used, Turn: c.Turn, Last: c.Last, Indices: []uint64{}, Results: [][]byte{}}
		for _, a := range c.Results {
			es.Indices = append(es.Indices, uint64(a.Index))
			es.Results = append(es.Results, a.Result)
		}
		out.Sessions = append(out.Sessions, es)
	}
	slices.SortFunc(out.Sessions, func(a, b encodedSession) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// write puts the table before the user's state: its length, then one msgpack value.
func (e encoded) write(w io.Writer) error {
	b, err := msgpack.Marshal(&e)
	if err != nil {
		return err
	}
	if len(b) > maxTable {
		return fmt.Errorf("session table: %d bytes are above the limit of %d that a restore accepts", len(b), maxTable)
	}
	if _, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b)))); err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
