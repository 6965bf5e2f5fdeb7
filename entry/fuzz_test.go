package entry

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/troupe-raft/troupe/internal/allocs"
	"github.com/troupe-raft/troupe/raft"
)

// FuzzDecode takes any bytes, as they are and with a checksum that fits them. What is accepted must hold
// together, and neither a flipped bit nor the bytes of a block may ever make a second one.
func FuzzDecode(f *testing.F) {
	block, _ := mixed(f)
	f.Add(block.Slice(100, 102).Bytes(), uint(77))
	f.Add([]byte("x"), uint(0))
	f.Fuzz(func(t *testing.T, raw []byte, bit uint) {
		check(t, bytes.Clone(raw), bit)
		if len(raw) >= headLen+tailLen {
			check(t, resum(bytes.Clone(raw)), bit)
		}
	})
}

func check(t *testing.T, raw []byte, bit uint) {
	var b *Block
	var err error
	allocs.AtMost(t, 1<<10, func() { b, err = Decode(raw) }) // a block keeps the bytes it is given
	if err != nil {
		if !isCorrupt(err) {
			t.Fatalf("not a CorruptError: %v", err)
		}
		return
	}
	count, next := 0, b.First()
	for e := range b.All() {
		if e.Index != next || e.Term != b.Term() || !b.Has(e.Kind) {
			t.Fatalf("entry %+v in %v", e, b)
		}
		count, next = count+1, next+1
	}
	if count != b.Count() || next != b.Last()+1 {
		t.Fatalf("%d entries in %v", count, b)
	}
	allocs.AtMost(t, 32*len(raw)+1<<10, func() { _, err = b.Changes() })
	if err != nil && !isCorrupt(err) {
		t.Fatal(err)
	}
	var again Builder
	for e := range b.All() {
		again.Append(e.Kind, e.Session, e.Seq, e.Stamp, e.Data)
	}
	rebuilt, err := Decode(again.Seal(b.Term(), b.First()).Bytes())
	if err != nil {
		t.Fatalf("rebuilt: %v", err)
	}
	same(t, entries(rebuilt), entries(b))
	half := b.Slice(b.First(), b.First()+raft.Index(count-1)/2)
	if _, err = Decode(half.Bytes()); err != nil {
		t.Fatalf("slice: %v", err)
	}
	bit %= uint(len(raw)) * 8
	bad := bytes.Clone(raw)
	bad[bit/8] ^= 1 << (bit % 8)
	if _, err = Decode(bad); err == nil {
		t.Fatalf("bit %d flipped and accepted", bit)
	}
}

// TestChangesCostLittle offers a block that is all memberships, which no leader makes.
func TestChangesCostLittle(t *testing.T) {
	var b Builder
	m := AppendMembership(nil, raft.Membership{Voters: []raft.NodeID{1}})
	for range 20_000 {
		b.Append(raft.Reconfigure, 0, 0, 0, m)
	}
	block := b.Seal(1, 1)
	allocs.AtMost(t, 12*block.Size(), func() {
		if changes, err := block.Changes(); err != nil || len(changes) != 20_000 {
			t.Errorf("%d changes, %v", len(changes), err)
		}
	})
}

// FuzzDecodeMembership checks that what is accepted encodes and decodes to itself.
func FuzzDecodeMembership(f *testing.F) {
	f.Add(AppendMembership(nil, raft.Membership{Voters: []raft.NodeID{1, 2, 1 << 40}, Members: []raft.Member{{ID: 1, Addr: "a:1", Tag: "t"}}}))
	f.Add([]byte{0x95, 1, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var m raft.Membership
		var err error
		allocs.AtMost(t, 32*len(raw)+1<<10, func() { m, err = DecodeMembership(raw) })
		if err != nil {
			if !isCorrupt(err) {
				t.Fatalf("not a CorruptError: %v", err)
			}
			return
		}
		again, err := DecodeMembership(AppendMembership(nil, m))
		if err != nil || !again.Equal(m) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

// FuzzBuild makes entries of any bytes. The block of them must give them back, whole and cut anywhere.
func FuzzBuild(f *testing.F) {
	f.Add([]byte("\x00\x03abc\x81\x00\x04\xff\x01\x02\x03\x04\x05\x06\x07\x08\x02xy"), uint64(1), uint64(1), uint(9))
	f.Add(bytes.Repeat([]byte{0x81, 0xff}, 200), uint64(1)<<63, uint64(7), uint(1000))
	f.Fuzz(func(t *testing.T, recipe []byte, first, term uint64, bit uint) {
		first, term = max(first>>1, 1), max(term, 1)
		var b Builder
		var want []Entry
		for c := (cursor{b: recipe}); !c.bad && len(c.b) > 0; {
			form := c.byte()
			e := Entry{Index: raft.Index(first) + raft.Index(len(want)), Term: raft.Term(term), Kind: raft.Kind(form & maxKind)}
			if form&0x80 != 0 { // numbers of all widths
				n := binary.BigEndian.Uint64(append(bytes.Clone(c.take(min(8, uint64(len(c.b))))), make([]byte, 8)...))
				e.Session, e.Seq, e.Stamp = n>>(8*(form>>5&3)), n, -int64(n)
			}
			e.Data = c.take(min(uint64(c.byte()), uint64(len(c.b))))
			b.Append(e.Kind, e.Session, e.Seq, e.Stamp, e.Data)
			want = append(want, e)
		}
		if len(want) == 0 {
			return
		}
		size := b.Size()
		block, err := Decode(b.Seal(raft.Term(term), raft.Index(first)).Bytes())
		if err != nil || block.Size() != size {
			t.Fatalf("%d bytes of block, said %d: %v", block.Size(), size, err)
		}
		same(t, entries(block), want)
		from := int(bit) % len(want)
		to := from + int(bit/7)%(len(want)-from)
		part, err := Decode(block.Slice(want[from].Index, want[to].Index).Bytes())
		if err != nil {
			t.Fatal(err)
		}
		same(t, entries(part), want[from:to+1])
	})
}
