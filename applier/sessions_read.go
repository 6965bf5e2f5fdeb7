package applier

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/troupe-raft/troupe/raft"
)

// A decoder reads msgpack values from bytes that may be anybody's: it believes no length before it has seen the bytes, which the
// library's own decoding of a slice does. After the first fault every value is zero; done tells.
type decoder struct {
	src  io.Reader
	left func() int // bytes in src; nil: not known
	in   *msgpack.Decoder
	err  error
}

func newDecoder(b []byte) *decoder {
	src := bytes.NewReader(b)
	return &decoder{src: src, left: src.Len, in: msgpack.NewDecoder(src)}
}

// newStream leaves src behind the last value that was asked for: from a source that reads bytes the library takes no more than it needs.
func newStream(src *bufio.Reader) *decoder { return &decoder{src: src, in: msgpack.NewDecoder(src)} }

var errMalformed = errors.New("malformed")

// array reads the length of an array whose elements have at least so many bytes each.
func (d *decoder) array(least int) int {
	n, err := read(d, d.in.DecodeArrayLen)
	if err == nil && (n < 0 || d.left != nil && n > d.left()/least) {
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

// size reads a number of elements to come, or a limit of some.
func (d *decoder) size() int {
	n := d.int()
	if d.err == nil && n < 0 {
		d.err = errMalformed
	}
	if d.err != nil {
		return 0
	}
	return int(min(n, math.MaxInt))
}

// bytes grows its buffer as the bytes come.
func (d *decoder) bytes() []byte {
	n, err := read(d, d.in.DecodeBytesLen)
	if err != nil || n < 0 { // nil
		return nil
	}
	if d.left != nil && n > d.left() {
		d.err = errMalformed
		return nil
	}
	b := []byte{} // not nil, which is another result
	for step := 1 << 10; d.err == nil && len(b) < n; step = len(b) {
		from := len(b)
		b = slices.Grow(b, min(step, n-from))[:from+min(step, n-from)]
		_, d.err = io.ReadFull(d.src, b[from:])
	}
	if d.err != nil {
		return nil
	}
	return slices.Clip(b)
}

func read[T int | int64 | uint64](d *decoder, next func() (T, error)) (v T, _ error) {
	if d.err == nil {
		v, d.err = next()
	}
	return v, d.err
}

// done returns the first fault, which bytes left over are too.
func (d *decoder) done() error {
	if d.err == nil && d.left != nil && d.left() > 0 {
		d.err = errMalformed
	}
	return d.err
}

// readSessions reads what write wrote, in this version or the first, and leaves r at the user's state.
func readSessions(r *bufio.Reader) (*sessions, error) {
	var head [len(tableMark)]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("session table: %w", err)
	}
	from := readTable
	if head != tableMark {
		from = func(r *bufio.Reader) (*sessions, error) { return readTable1(head, r) }
	}
	s, err := from(r)
	if err == io.EOF { // amid the table
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("session table: %w", err)
	}
	return s, nil
}

func readTable(r *bufio.Reader) (*sessions, error) {
	d := newStream(r)
	d.fields(5)
	version := d.int()
	if d.err == nil && version != tableVersion {
		return nil, fmt.Errorf("version %d is not %d", version, tableVersion)
	}
	s := newSessions()
	s.clock, s.turn, s.limit = d.int(), d.uint(), d.size()
	for range d.size() {
		d.fields(9)
		c := &session{ID: d.uint(), TTL: d.int(), Used: d.int(), Turn: d.uint(), Last: d.uint(), memory: memory{Answers: d.size(), Bytes: d.size(), Keep: d.size()}}
		for range d.size() {
			if d.fields(2); d.err != nil {
				break
			}
			c.Results = append(c.Results, answer{Index: raft.Index(d.uint()), Result: d.bytes()})
		}
		if d.err != nil {
			return nil, d.err
		}
		if err := s.restore(c); err != nil {
			return nil, err
		}
	}
	return s, d.err
}

// restore adds a session as the most recently used, and refuses what no run of the rules can lead to.
func (s *sessions) restore(c *session) error {
	switch {
	case c.Keep < 1, c.Answers < c.Keep, len(c.Results) > c.Answers, uint64(len(c.Results)) > c.Last,
		s.table[c.ID] != nil, c.Used < 0, c.Used > s.clock, c.Turn > s.turn,
		s.newest != nil && (c.Turn <= s.newest.Turn || c.Used < s.newest.Used):
		return fmt.Errorf("session %d is malformed", c.ID)
	}
	for _, a := range c.Results {
		c.bytes += len(a.Result)
	}
	s.add(c)
	return nil
}
