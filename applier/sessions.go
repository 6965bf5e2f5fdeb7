package applier

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// remembered is how many results a session keeps: what a client may have unanswered when it retries.
const remembered = 64

// sessionsVersion is the first number of the table's encoding.
const sessionsVersion = 1

// open is the payload of an OpenSession entry. Limits travel in the log, so that every replica expires alike.
type open struct {
	TTL time.Duration
	Max int
}

// EncodeOpen makes the data of an OpenSession entry: a session unused for ttl on the log's clock expires, and while there
// are more than limit sessions the least recently used goes.
func EncodeOpen(ttl time.Duration, limit int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(ttl.Milliseconds()))
	return binary.BigEndian.AppendUint64(b, uint64(limit))
}

func decodeOpen(b []byte) (open, bool) {
	if len(b) != 16 {
		return open{}, false
	}
	ms, limit := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	const most = 1 << 40
	if ms > most || limit > most {
		return open{}, false
	}
	return open{TTL: time.Duration(ms) * time.Millisecond, Max: int(limit)}, true
}

// A session remembers the latest results of one client.
type session struct {
	ID      uint64
	TTL     int64    // ms
	Used    int64    // the log's clock at the last use, ms
	Turn    uint64   // order of last use: unique, unlike the clock
	Last    uint64   // the highest applied sequence number
	Results []answer // of the sequence numbers up to Last, at most remembered
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
}

func newSessions() *sessions { return &sessions{table: map[uint64]*session{}} }

// tick moves the log's clock on and expires.
func (s *sessions) tick(stamp int64) {
	if stamp <= s.clock {
		return
	}
	s.clock = stamp
	for id, c := range s.table {
		if s.clock-c.Used > c.TTL {
			delete(s.table, id)
		}
	}
}

func (s *sessions) touch(c *session) {
	s.turn++
	c.Used, c.Turn = s.clock, s.turn
}

// open registers the session named by its entry's index.
func (s *sessions) open(e *entry.Entry) ([]byte, error) {
	s.tick(e.Stamp)
	o, ok := decodeOpen(e.Data)
	if !ok {
		return nil, fmt.Errorf("session request at index %d is malformed", e.Index)
	}
	c := &session{ID: uint64(e.Index), TTL: o.TTL.Milliseconds()}
	s.touch(c)
	s.table[c.ID] = c
	for o.Max > 0 && len(s.table) > o.Max {
		s.evict()
	}
	return binary.BigEndian.AppendUint64(nil, c.ID), nil
}

// evict removes the least recently used session.
func (s *sessions) evict() {
	var oldest *session
	for _, c := range s.table {
		if oldest == nil || c.Turn < oldest.Turn {
			oldest = c
		}
	}
	delete(s.table, oldest.ID)
}

func (s *sessions) close(e *entry.Entry) error {
	s.tick(e.Stamp)
	if s.table[e.Session] == nil {
		return ErrSessionExpired
	}
	delete(s.table, e.Session)
	return nil
}

// apply executes a session's command, once: a repeated number is answered as the first time, with its index.
func (s *sessions) apply(e *entry.Entry, execute func() []byte) (raft.Index, []byte, error) {
	s.tick(e.Stamp)
	c := s.table[e.Session]
	if c == nil {
		return 0, nil, ErrSessionExpired
	}
	s.touch(c)
	if e.Seq > 0 && e.Seq <= c.Last && c.Last-e.Seq < uint64(len(c.Results)) {
		a := c.Results[len(c.Results)-1-int(c.Last-e.Seq)]
		return a.Index, a.Result, nil
	}
	if e.Seq != c.Last+1 {
		return 0, nil, ErrSessionOrder
	}
	result := execute()
	c.Last = e.Seq
	if len(c.Results) == remembered {
		c.Results = append(c.Results[:0], c.Results[1:]...)
	}
	c.Results = append(c.Results, answer{Index: e.Index, Result: slices.Clone(result)})
	return e.Index, result, nil
}

// encoded is the table's shape in a snapshot, sessions ascending by id.
type encoded struct {
	_msgpack struct{} `msgpack:",as_array"`
	Version  int
	Clock    int64
	Turn     uint64
	Sessions []encodedSession
}

type encodedSession struct {
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
	slices.SortFunc(out.Sessions, func(a, b encodedSession) int { return int(int64(a.ID - b.ID)) })
	return out
}

// write puts the table before the user's state: its length, then one msgpack value.
func (e encoded) write(w io.Writer) error {
	b, err := msgpack.Marshal(&e)
	if err != nil {
		return err
	}
	if _, err := w.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b)))); err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// maxTable bounds what a snapshot can make a reader allocate for the table.
const maxTable = 1 << 30

// readSessions reads what write wrote and leaves r at the user's state.
func readSessions(r io.Reader) (*sessions, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("session table: %w", err)
	}
	size := binary.BigEndian.Uint64(head[:])
	if size > maxTable {
		return nil, fmt.Errorf("session table: %d bytes is above the limit of %d", size, maxTable)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil {
		return nil, fmt.Errorf("session table: %w", err)
	}
	if uint64(len(b)) != size {
		return nil, fmt.Errorf("session table: %w", io.ErrUnexpectedEOF)
	}
	var e encoded
	if err := msgpack.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("session table: %w", err)
	}
	if e.Version != sessionsVersion {
		return nil, fmt.Errorf("session table: version %d is not %d", e.Version, sessionsVersion)
	}
	s := &sessions{clock: e.Clock, turn: e.Turn, table: make(map[uint64]*session, len(e.Sessions))}
	for _, es := range e.Sessions {
		if len(es.Indices) != len(es.Results) || len(es.Results) > remembered {
			return nil, fmt.Errorf("session table: session %d is malformed", es.ID)
		}
		c := &session{ID: es.ID, TTL: es.TTL, Used: es.Used, Turn: es.Turn, Last: es.Last}
		for i, r := range es.Results {
			c.Results = append(c.Results, answer{Index: raft.Index(es.Indices[i]), Result: r})
		}
		s.table[c.ID] = c
	}
	return s, nil
}
