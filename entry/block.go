package entry

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"math"

	"github.com/troupe-raft/troupe/raft"
)

const (
	version   = 1
	kindsAt   = 2
	termAt    = 7
	firstAt   = 16
	countAt   = 25
	headLen   = 30
	tailLen   = 5
	shortest  = 4 // bytes of the smallest entry: array, kind, bin8, length 0
	blockFull = fixArray | 6
	short     = fixArray | 2
	long      = fixArray | 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Block is an immutable run of consecutive entries of one term, in the encoding of the package
// comment. Any goroutine may use it; its bytes are read-only.
type Block struct {
	raw   []byte
	term  raft.Term
	first raft.Index
	count uint32
	kinds uint32
	stamp int64
}

// Decode verifies raw completely (version, checksum, structure, at least one entry, no index past the
// last) and returns the Block in it, which keeps raw. The error is a *CorruptError.
func Decode(raw []byte) (*Block, error) {
	switch n := len(raw); {
	case n < headLen+shortest+tailLen:
		return nil, corrupt("a block of %d bytes is too short", n)
	case n > MaxBlock:
		return nil, corrupt("a block of %d bytes is above the limit of %d", n, MaxBlock)
	case raw[0] != blockFull || raw[kindsAt] != uint32m || raw[termAt] != uint64m ||
		raw[firstAt] != uint64m || raw[countAt] != array32 || raw[n-tailLen] != uint32m:
		return nil, corrupt("not a block")
	case raw[1] != version:
		return nil, corrupt("block of version %d, known is %d", raw[1], version)
	}
	body := raw[:len(raw)-tailLen]
	if want, got := binary.BigEndian.Uint32(raw[len(body)+1:]), crc32.Checksum(body, castagnoli); want != got {
		return nil, corrupt("block checksum is %08x, stored is %08x", got, want)
	}
	b := &Block{
		raw:   raw,
		term:  raft.Term(binary.BigEndian.Uint64(raw[termAt+1:])),
		first: raft.Index(binary.BigEndian.Uint64(raw[firstAt+1:])),
		count: binary.BigEndian.Uint32(raw[countAt+1:]),
		kinds: binary.BigEndian.Uint32(raw[kindsAt+1:]),
	}
	switch {
	case b.count == 0:
		return nil, corrupt("block without entries")
	case b.first == 0 || b.term == 0:
		return nil, corrupt("block of index %d in term %d", b.first, b.term)
	case uint64(b.first) > math.MaxUint64-uint64(b.count)+1:
		return nil, corrupt("block of %d entries from index %d on", b.count, b.first)
	case uint64(b.count)*shortest > uint64(len(body)-headLen):
		return nil, corrupt("block of %d entries in %d bytes", b.count, len(raw))
	}
	return b, b.verify()
}

// verify walks the entries of a block whose checksum is right: a peer may have a bug, or be hostile.
func (b *Block) verify() error {
	var (
		r     = b.Reader()
		e     Entry
		kinds uint32
	)
	for r.Next(&e) {
		kinds |= 1 << e.Kind
		if e.Timed() {
			b.stamp = max(b.stamp, e.Stamp)
		}
	}
	switch {
	case r.c.bad:
		return corrupt("entry %d of a block is malformed", r.next)
	case len(r.c.b) > 0:
		return corrupt("%d bytes after a block's last entry", len(r.c.b))
	case kinds != b.kinds:
		return corrupt("block says it has kinds %#x, has %#x", b.kinds, kinds)
	}
	return nil
}

// First returns the index of the first entry.
func (b *Block) First() raft.Index { return b.first }

// Last returns the index of the last entry.
func (b *Block) Last() raft.Index { return b.first + raft.Index(b.count) - 1 }

// Term returns the term of every entry.
func (b *Block) Term() raft.Term { return b.term }

// Run returns First, Last and Term.
func (b *Block) Run() raft.Run { return raft.Run{First: b.first, Last: b.Last(), Term: b.term} }

// Count returns the number of entries, at least one.
func (b *Block) Count() int { return int(b.count) }

// Bytes returns the encoded block, read-only.
func (b *Block) Bytes() []byte { return b.raw }

// Size returns the length of Bytes.
func (b *Block) Size() int { return len(b.raw) }

// Has reports whether an entry of kind k is in the block.
func (b *Block) Has(k raft.Kind) bool { return k <= maxKind && b.kinds&(1<<k) != 0 }

// String names the block for logs.
func (b *Block) String() string {
	return fmt.Sprintf("block %d-%d of term %d, %d bytes", b.first, b.Last(), b.term, len(b.raw))
}

// A Reader walks a Block's entries. The zero Reader has none.
type Reader struct {
	c    cursor
	next raft.Index
	left uint32
	term raft.Term
}

// Reader returns a Reader before the first entry.
func (b *Block) Reader() Reader {
	return Reader{c: cursor{b: b.raw[headLen : len(b.raw)-tailLen]}, next: b.first, left: b.count, term: b.term}
}

// Next stores the next entry in e, or returns false after the last. e.Data aliases the block.
func (r *Reader) Next(e *Entry) bool {
	if r.left == 0 {
		return false
	}
	form := r.c.byte()
	kind := r.c.byte()
	*e = Entry{Index: r.next, Term: r.term, Kind: raft.Kind(kind)}
	switch form {
	case short:
	case long:
		e.Session = r.c.uint()
		e.Seq = r.c.uint()
		if r.c.byte() != int64m {
			r.c.bad = true
		}
		e.Stamp = int64(r.c.be(8))
	default:
		r.c.bad = true
	}
	e.Data = r.c.bin()
	if r.c.bad || kind > maxKind {
		r.c.bad, r.left = true, 0
		return false
	}
	r.next++
	r.left--
	return true
}

// All returns the entries in order. Data aliases the block.
func (b *Block) All() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		r := b.Reader()
		for e := (Entry{}); r.Next(&e); {
			if !yield(e) {
				return
			}
		}
	}
}

// Through returns the last entry that Slice from first may end with to take at most so many bytes, or first when even
// that one takes more. It panics when first is not in the block.
func (b *Block) Through(first raft.Index, bytes int) raft.Index {
	if first < b.first || first > b.Last() {
		panic(fmt.Sprintf("entry: Through from %d of %v", first, b))
	}
	var e Entry
	r := b.Reader()
	for r.next < first {
		r.Next(&e)
	}
	last, end := first, len(r.c.b)+headLen+tailLen-bytes // of what is left to read, when bytes are used up
	for r.Next(&e) && len(r.c.b) >= end {
		last = e.Index
	}
	return last
}

// Slice returns the entries first to last, both included, as a block of their own; b itself when that is
// all of it. It panics when they are not all in b.
func (b *Block) Slice(first, last raft.Index) *Block {
	if first < b.first || last > b.Last() || last < first {
		panic(fmt.Sprintf("entry: Slice %d-%d of %v", first, last, b))
	}
	if first == b.first && last == b.Last() {
		return b
	}
	var (
		r          = b.Reader()
		e          Entry
		kinds      uint32
		stamp      int64
		start, end int
	)
	for i := b.first; i <= last; i++ {
		if i == first {
			start = len(b.raw) - tailLen - len(r.c.b)
		}
		r.Next(&e)
		if i >= first {
			kinds |= 1 << e.Kind
			if e.Timed() {
				stamp = max(stamp, e.Stamp)
			}
		}
	}
	end = len(b.raw) - tailLen - len(r.c.b)
	raw := make([]byte, headLen, headLen+end-start+tailLen)
	part := seal(append(raw, b.raw[start:end]...), b.term, first, uint32(last-first+1), kinds)
	part.stamp = stamp
	return part
}

// Changes returns the memberships that the block's Reconfigure entries hold. The error is a *CorruptError.
func (b *Block) Changes() ([]raft.Change, error) {
	if !b.Has(raft.Reconfigure) {
		return nil, nil
	}
	n := 0
	for e := range b.All() {
		if e.Kind == raft.Reconfigure {
			n++
		}
	}
	changes := make([]raft.Change, 0, n) // what a hostile block costs is in proportion to its bytes
	r := b.Reader()
	for e := (Entry{}); r.Next(&e); {
		if e.Kind != raft.Reconfigure {
			continue
		}
		m, err := DecodeMembership(e.Data)
		if err != nil {
			return nil, fmt.Errorf("membership of entry %d: %w", e.Index, err)
		}
		changes = append(changes, raft.Change{Index: e.Index, Membership: m})
	}
	return changes, nil
}
