package applier

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// Snapshots of the first version hold the table's length in bytes and then one msgpack value, sessions ascending by id:
//
//	[1, clock, turn, [[id, ttl, used, turn, last, [index, …], [result, …]], …]]
const (
	tableVersion1 = 1
	maxTable1     = 1 << 30 // bytes
)

func readTable1(head [8]byte, r *bufio.Reader) (*sessions, error) {
	size := binary.BigEndian.Uint64(head[:])
	if size > maxTable1 {
		return nil, fmt.Errorf("%d bytes is above the limit of %d", size, maxTable1)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(size)))
	if err != nil {
		return nil, err
	}
	if uint64(len(b)) != size {
		return nil, io.ErrUnexpectedEOF
	}
	return decodeTable1(b)
}

func decodeTable1(b []byte) (*sessions, error) {
	const least = 8 // bytes of a session
	d := newDecoder(b)
	d.fields(4)
	version := d.int()
	if d.err == nil && version != tableVersion1 {
		return nil, fmt.Errorf("version %d is not %d", version, tableVersion1)
	}
	s := newSessions()
	s.clock, s.turn = d.int(), d.uint()
	n := d.array(least)
	all := make([]*session, 0, n)
	for range n {
		c, err := d.session1()
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if err := d.done(); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *session) int { return cmp.Compare(a.Turn, b.Turn) })
	for _, c := range all {
		if err := s.restore(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (d *decoder) session1() (*session, error) {
	d.fields(7)
	c := &session{ID: d.uint(), TTL: d.int(), Used: d.int(), Turn: d.uint(), Last: d.uint(), memory: firstLimits.memory()}
	for range d.array(1) {
		c.Results = append(c.Results, answer{Index: raft.Index(d.uint())})
	}
	results := d.array(1)
	if d.err == nil && results != len(c.Results) {
		return nil, fmt.Errorf("session %d is malformed", c.ID)
	}
	for i := range results {
		c.Results[i].Result = d.bytes()
	}
	return c, d.err
}
