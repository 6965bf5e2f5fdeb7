package applier

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/troupe-raft/troupe/raft"
)

// A decoder reads msgpack values from bytes that may be anybody's: it believes no length that the bytes cannot hold, which the
// library's own decoding of a slice does. After the first fault every value is zero; done tells.
type decoder struct {
	src bytes.Reader
	in  *msgpack.Decoder
	err error
}

func newDecoder(b []byte) *decoder {
	d := &decoder{}
	d.src.Reset(b)
	d.in = msgpack.NewDecoder(&d.src)
	return d
}

var errMalformed = errors.New("malformed")

// array reads the length of an array whose elements have at least so many bytes each.
func (d *decoder) array(least int) int {
	n, err := read(d, d.in.DecodeArrayLen)
	if err == nil && (n < 0 || n > d.src.Len()/least) {
		d.err = errMalformed
	}
	if d.err != nil {
		return 0
	}
	return n
}

// fields reads the header of an array of exactly n values.
func (d *decoder) fields(n int) {
	if d.array(1) != n && d.err == nil {
		d.err = errMalformed
	}
}

func (d *decoder) int() int64 {
	n, _ := read(d, d.in.DecodeInt64)
	return n
}

func (d *decoder) uint() uint64 {
	n, _ := read(d, d.in.DecodeUint64)
	return n
}

func (d *decoder) bytes() []byte {
	n, err := read(d, d.in.DecodeBytesLen)
	if err != nil || n < 0 { // nil
		return nil
	}
	if n > d.src.Len() {
		d.err = errMalformed
		return nil
	}
	b := make([]byte, n)
	d.err = d.in.ReadFull(b)
	return b
}

func read[T int | int64 | uint64](d *decoder, next func() (T, error)) (v T, _ error) {
	if d.err == nil {
		v, d.err = next()
	}
	return v, d.err
}

// done returns the first fault, which bytes left over are too.
func (d *decoder) done() error {
	if d.err == nil && d.src.Len() > 0 {
		d.err = errMalformed
	}
	return d.err
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
	e, err := decodeTable(b)
	if err != nil {
		return nil, fmt.Errorf("session table: %w", err)
	}
	return e.table()
}

func decodeTable(b []byte) (e encoded, err error) {
	const least = 8 // bytes of a session
	d := newDecoder(b)
	d.fields(4)
	if e.Version = int(d.int()); d.err == nil && e.Version != sessionsVersion {
		return e, fmt.Errorf("version %d is not %d", e.Version, sessionsVersion)
	}
	e.Clock, e.Turn = d.int(), d.uint()
	n := d.array(least)
	e.Sessions = make([]encodedSession, 0, n)
	for range n {
		d.fields(7)
		es := encodedSession{ID: d.uint(), TTL: d.int(), Used: d.int(), Turn: d.uint(), Last: d.uint()}
		for range d.array(1) {
			es.Indices = append(es.Indices, d.uint())
		}
		for range d.array(1) {
			es.Results = append(es.Results, d.bytes())
		}
		if d.err != nil {
			break
		}
		e.Sessions = append(e.Sessions, es)
	}
	return e, d.done()
}

// table rebuilds the table, in the order of use, and refuses what no run of the rules can lead to.
func (e encoded) table() (*sessions, error) {
	s := &sessions{clock: e.Clock, turn: e.Turn, table: make(map[uint64]*session, len(e.Sessions))}
	slices.SortFunc(e.Sessions, func(a, b encodedSession) int { return cmp.Compare(a.Turn, b.Turn) })
	for _, es := range e.Sessions {
		c := &session{ID: es.ID, TTL: es.TTL, Used: es.Used, Turn: es.Turn, Last: es.Last}
		switch {
		case len(es.Indices) != len(es.Results), len(es.Results) > remembered, uint64(len(es.Results)) > es.Last,
			s.table[c.ID] != nil, c.Used > s.clock, c.Turn > s.turn,
			s.newest != nil && (c.Turn == s.newest.Turn || c.Used < s.newest.Used):
			return nil, fmt.Errorf("session table: session %d is malformed", es.ID)
		}
		for i, r := range es.Results {
			c.Results = append(c.Results, answer{Index: raft.Index(es.Indices[i]), Result: r})
			c.bytes += len(r)
		}
		s.add(c)
	}
	return s, nil
}
