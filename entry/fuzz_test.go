package entry

import (
	"bytes"
	"testing"

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
	b, err := Decode(raw)
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
	if _, err = b.Changes(); err != nil && !isCorrupt(err) {
		t.Fatal(err)
	}
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

// FuzzDecodeMembership checks that what is accepted encodes and decodes to itself.
func FuzzDecodeMembership(f *testing.F) {
	f.Add(AppendMembership(nil, raft.Membership{Voters: []raft.NodeID{1, 2, 1 << 40}, Members: []raft.Member{{ID: 1, Addr: "a:1", Tag: "t"}}}))
	f.Add([]byte{0x95, 1, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := DecodeMembership(raw)
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
