package applier

import (
	"bufio"
	"errors"
	"io"

	"github.com/vmihailenco/msgpack/v5"
)

// tableMark begins a table in a snapshot, where the first version had the table's length, of at most 1 GiB.
var tableMark = [8]byte{0xff, 's', 'e', 's', 's', 'i', 'o', 'n'}

const tableVersion = 2

// A captured table is what a snapshot holds: the sessions in order of their last use, with arrays of answers that they share with the live
// table.
type captured struct {
	clock    int64
	turn     uint64
	limit    int
	sessions []session
}

// capture copies the table, but no answer, so that it can be written beside further Applies.
func (s *sessions) capture() *captured {
	out := &captured{clock: s.clock, turn: s.turn, limit: s.limit, sessions: make([]session, 0, len(s.table))}
	for c := s.oldest; c != nil; c = c.newer {
		c.shared = true
		out.sessions = append(out.sessions, *c)
		last := &out.sessions[len(out.sessions)-1]
		last.older, last.newer = nil, nil // of the live table
	}
	return out
}

// write puts the table before the user's state: the mark, then msgpack values, one after the other:
//
//	[version, clock, turn, limit of bytes, number of sessions]
//	for each session [id, ttl, used, turn, last, Answers, Bytes, Keep, number of answers], and for each answer [index, result]
//
// Nothing of it is built as a whole.
func (t *captured) write(w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	_, _ = out.Write(tableMark[:]) // its error comes again
	e := msgpack.NewEncoder(out)
	e.UseCompactInts(true)
	put := func(values ...any) error {
		if err := e.EncodeArrayLen(len(values)); err != nil {
			return err
		}
		return e.EncodeMulti(values...)
	}
	if err := put(tableVersion, t.clock, t.turn, t.limit, len(t.sessions)); err != nil {
		return err
	}
	for i := range t.sessions {
		c := &t.sessions[i]
		if err := put(c.ID, c.TTL, c.Used, c.Turn, c.Last, c.Answers, c.Bytes, c.Keep, len(c.Results)); err != nil {
			return err
		}
		for _, a := range c.Results {
			if err := errors.Join(e.EncodeArrayLen(2), e.EncodeUint(uint64(a.Index)), e.EncodeBytes(a.Result)); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}
