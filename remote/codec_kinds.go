package remote

import (
	"fmt"
	"hash/crc32"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// appendBlocks makes room for what the usual append has, a single block: it spares two allocations.
var appendBlocks = func() kind {
	type roomForOne struct {
		AppendBlocks
		block [1]*entry.Block
		run   [1]raft.Run
	}
	k := declare(kindAppendBlocks, 1, Log, appendFields)
	k.make = func() any {
		m := &roomForOne{}
		m.Blocks, m.Runs = m.block[:0], m.run[:0]
		return &m.AppendBlocks
	}
	return k
}()

func appendFields(c *coder, m *AppendBlocks) {
	unsigned(c, 1, &m.Term)
	unsigned(c, 1, &m.Leader)
	c.id(1, &m.Prev)
	unsigned(c, 1, &m.Commit)
	c.narrow(1, &m.Founders)
	n := c.list(1, len(m.Blocks), 1)
	if !c.reading {
		for _, block := range m.Blocks {
			c.out = appendUint(c.out, uint64(len(block.Bytes())))
		}
		return
	}
	for range n {
		size := int(c.uint32())
		if c.bad = c.bad || size <= 0 || size > maxFrame; c.bad {
			return
		}
		c.sizes = append(c.sizes, size)
	}
	if n == 0 {
		m.Blocks, m.Runs = nil, nil
	}
}

func (m *Beat) fields(c *coder) {
	a := c.open()
	unsigned(c, 1, &m.Group)
	unsigned(c, 1, &m.Term)
	unsigned(c, 1, &m.Leader)
	unsigned(c, 1, &m.Round)
	signed(c, 1, &m.Sent)
	c.id(1, &m.Commit)
	c.narrow(1, &m.Founders)
	c.close(a)
}

func chunkFields(c *coder, m *SnapshotChunk) {
	unsigned(c, 1, &m.Term)
	unsigned(c, 1, &m.Leader)
	unsigned(c, 1, &m.Meta.Index)
	unsigned(c, 1, &m.Meta.Term)
	c.membership(1, &m.Meta.Membership)
	c.size(1, &m.Size)
	c.narrow(1, &m.Sum)
	c.size(1, &m.Offset)
	c.flag(1, &m.Last)
	bytes, sum := uint32(len(m.Data)), uint32(0)
	if !c.reading {
		sum = crc32.Checksum(m.Data, castagnoli)
	}
	c.narrow(1, &bytes)
	c.narrow(1, &sum)
	if c.reading {
		c.bad = c.bad || bytes > maxFrame
		c.sizes, c.sum = append(c.sizes, int(bytes)), sum
	}
}

func (c *coder) membership(since Version, m *raft.Membership) {
	switch {
	case !c.has(since):
	case c.reading:
		got, err := entry.DecodeMembership(c.bin())
		c.bad = c.bad || err != nil
		*m = got
	default:
		c.out = appendBin(c.out, entry.AppendMembership(nil, *m))
	}
}

// append writes the head of e: an array of its kind's number, its group and its fields.
func (k *codec) append(c *coder, e Envelope) error {
	kind := k.of(e.Message)
	if kind == nil || kind.since > c.version {
		return fmt.Errorf("remote: %T does not travel in protocol version %d", e.Message, c.version)
	}
	a := c.open()
	c.fields = 2
	c.out = appendUint(append(c.out, kind.number), uint64(e.Group))
	kind.fields(c, e.Message)
	c.close(a)
	return nil
}

// read takes the head of the next envelope. What its payload needs is in c.sizes and c.sum.
func (k *codec) read(c *coder) (Envelope, error) {
	a := c.open()
	c.fields = 2
	number := c.byte()
	e := Envelope{Group: raft.GroupID(c.uint())}
	kind := k.numbered[number]
	if kind == nil || kind.since > c.version {
		return e, fmt.Errorf("remote: %w head: no kind %d in protocol version %d", errMalformed, number, c.version)
	}
	e.Message = kind.make()
	kind.fields(c, e.Message)
	if c.close(a); c.bad {
		return e, fmt.Errorf("remote: %w head of kind %d", errMalformed, number)
	}
	return e, nil
}
