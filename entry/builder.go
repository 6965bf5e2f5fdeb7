package entry

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/troupe-raft/troupe/raft"
)

// smallest is the least capacity that a Builder starts a block with, in bytes.
const smallest = 256

// A Builder encodes entries into a Block. The zero Builder is empty and ready; it is for one goroutine.
type Builder struct {
	buf   []byte // the header's place, then the entries so far
	count uint32
	kinds uint32
	stamp int64
	hint  int // bytes the next buffer starts with
}

// Append adds an entry and copies data. It panics when kind is above 31 or the block would exceed MaxBlock.
func (b *Builder) Append(kind raft.Kind, session, seq uint64, stamp int64, data []byte) {
	if kind > maxKind {
		panic(fmt.Sprintf("entry: kind %d is above %d", kind, maxKind))
	}
	if size := b.Size() + len(data) + 40; size > MaxBlock {
		panic(fmt.Sprintf("entry: a block of %d bytes is above the limit of %d", size, MaxBlock))
	}
	if b.buf == nil {
		b.buf = make([]byte, headLen, max(b.hint, smallest, headLen+32+len(data)+tailLen))
	}
	if session == 0 && seq == 0 && stamp == 0 {
		b.buf = append(b.buf, short, byte(kind))
	} else {
		b.buf = append(b.buf, long, byte(kind))
		b.buf = appendUint(b.buf, session)
		b.buf = appendUint(b.buf, seq)
		b.buf = binary.BigEndian.AppendUint64(append(b.buf, int64m), uint64(stamp))
	}
	b.buf = appendBin(b.buf, data)
	b.count++
	b.kinds |= 1 << kind
	if timed(kind, session, seq) {
		b.stamp = max(b.stamp, stamp)
	}
}

// Len returns the number of entries that wait to be sealed.
func (b *Builder) Len() int { return int(b.count) }

// Size returns the size in bytes of the block that Seal would make, 0 when there is none.
func (b *Builder) Size() int {
	if b.count == 0 {
		return 0
	}
	return len(b.buf) + tailLen
}

// Seal returns the entries as a block of term from index first on, and empties the builder. The block takes
// the buffer, unless it fills little of it: then it gets a copy of its size and the buffer is used again.
// It panics without entries, for term or index 0, and when an index would overflow.
func (b *Builder) Seal(term raft.Term, first raft.Index) *Block {
	if b.count == 0 || term == 0 || first == 0 || uint64(first) > math.MaxUint64-uint64(b.count)+1 {
		panic(fmt.Sprintf("entry: Seal of %d entries from index %d on in term %d", b.count, first, term))
	}
	size := len(b.buf) + tailLen
	raw, rest := b.buf, []byte(nil)
	if size < cap(raw)/4*3 {
		raw = append(make([]byte, 0, size), b.buf...)
		if size > cap(b.buf)/8 { // a builder that fell silent keeps no more than eight times its last block
			rest = b.buf[:headLen]
		}
	}
	block := seal(raw, term, first, b.count, b.kinds)
	block.stamp = b.stamp
	*b = Builder{buf: rest, hint: size + size/16}
	return block
}

// seal fills in the header before the entries in raw and the checksum behind them.
func seal(raw []byte, term raft.Term, first raft.Index, count, kinds uint32) *Block {
	raw[0], raw[1] = blockFull, version
	raw[kindsAt] = uint32m
	binary.BigEndian.PutUint32(raw[kindsAt+1:], kinds)
	raw[termAt] = uint64m
	binary.BigEndian.PutUint64(raw[termAt+1:], uint64(term))
	raw[firstAt] = uint64m
	binary.BigEndian.PutUint64(raw[firstAt+1:], uint64(first))
	raw[countAt] = array32
	binary.BigEndian.PutUint32(raw[countAt+1:], count)
	sum := crc32.Checksum(raw, castagnoli)
	raw = binary.BigEndian.AppendUint32(append(raw, uint32m), sum)
	return &Block{raw: raw, term: term, first: first, count: count, kinds: kinds}
}
