package entry

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/troupe-raft/troupe/raft"
)

// mixed seals one entry of every kind, with data of lengths around the codec's steps.
func mixed(tb testing.TB) (*Block, []Entry) {
	tb.Helper()
	sizes := []int{0, 1, 255, 256, 65535, 65536}
	var (
		b    Builder
		want []Entry
	)
	for i, size := range sizes {
		e := Entry{Index: 100 + raft.Index(i), Term: 7, Kind: raft.Kind(i % 5), Data: bytes.Repeat([]byte{byte(i + 1)}, size)}
		if i%2 == 1 {
			e.Session, e.Seq, e.Stamp = 1<<(8*i), uint64(i), -int64(i)*1e12
		}
		want = append(want, e)
		b.Append(e.Kind, e.Session, e.Seq, e.Stamp, e.Data)
	}
	return b.Seal(7, 100), want
}

func entries(b *Block) []Entry { return slices.Collect(b.All()) }

func same(t *testing.T, got, want []Entry) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d entries, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if !bytes.Equal(g.Data, w.Data) {
			t.Errorf("entry %d: data differs", i)
		}
		if g.Data, w.Data = nil, nil; !reflect.DeepEqual(g, w) {
			t.Errorf("entry %d: got %+v, want %+v", i, g, w)
		}
	}
}

func TestBlockKeepsItsEntries(t *testing.T) {
	sealed, want := mixed(t)
	same(t, entries(sealed), want)
	b, err := Decode(sealed.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	same(t, entries(b), want)
	if b.First() != 100 || b.Last() != 105 || b.Term() != 7 || b.Count() != 6 || b.Size() != len(sealed.Bytes()) {
		t.Errorf("got %v", b)
	}
	if got := (raft.Run{First: 100, Last: 105, Term: 7}); b.Run() != got {
		t.Errorf("Run is %v, want %v", b.Run(), got)
	}
	for k := range raft.Kind(255) {
		if b.Has(k) != (k < 5) {
			t.Errorf("Has(%d) is %v", k, b.Has(k))
		}
	}
	if &b.Bytes()[0] != &sealed.Bytes()[0] {
		t.Error("Decode copied the block")
	}
}

// TestGolden fixes the format: what one version wrote, all later ones must read.
func TestGolden(t *testing.T) {
	var b Builder
	b.Append(raft.NoOp, 0, 0, 0, nil)
	b.Append(raft.Command, 300, 2, 1700000000123, []byte("set x 1"))
	blob := b.Seal(3, 41).Bytes()
	m := raft.Membership{Voters: []raft.NodeID{1, 2, 300}, Outgoing: []raft.NodeID{1}, Learners: []raft.NodeID{4},
		Members: []raft.Member{{ID: 1, Addr: "127.0.0.1:7001", Tag: "rack a"}, {ID: 300}}}
	for file, got := range map[string][]byte{"block.hex": blob, "membership.hex": AppendMembership(nil, m)} {
		text, err := os.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: encoded as\n%x, was\n%x", file, got, want)
		}
	}
	if got, err := DecodeMembership(AppendMembership(nil, m)); err != nil || !got.Equal(m) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestAnyMsgpackDecoder reads a block with the msgpack library alone.
func TestAnyMsgpackDecoder(t *testing.T) {
	b, want := mixed(t)
	d := msgpack.NewDecoder(bytes.NewReader(b.Bytes()))
	v, err := d.DecodeInterfaceLoose()
	if err != nil {
		t.Fatal(err)
	}
	if d.Buffered() != nil {
		if n, _ := d.Buffered().Read(make([]byte, 1)); n != 0 {
			t.Error("bytes after the msgpack value")
		}
	}
	f := v.([]any)
	if got := fmt.Sprint(len(f), f[:4]); got != "6 [1 31 7 100]" {
		t.Fatalf("header is %v", got)
	}
	list := f[4].([]any)
	if len(list) != len(want) {
		t.Fatalf("%d entries", len(list))
	}
	for i, w := range want {
		e := list[i].([]any)
		if !bytes.Equal(e[len(e)-1].([]byte), w.Data) || fmt.Sprint(e[0]) != fmt.Sprint(uint8(w.Kind)) {
			t.Errorf("entry %d is kind %v", i, e[0])
		}
		if len(e) == 5 && fmt.Sprint(e[3]) != fmt.Sprint(w.Stamp) {
			t.Errorf("entry %d has stamp %v, want %d", i, e[3], w.Stamp)
		}
	}
}

// Every cut is the longest that fits.
func TestThrough(t *testing.T) {
	var builder Builder
	for i := range 20 {
		builder.Append(raft.Command, uint64(i%2), 0, 0, make([]byte, i*i%50))
	}
	b := builder.Seal(3, 10)
	for first := b.First(); first <= b.Last(); first++ {
		for bytes := range b.Size() + 2 {
			last := b.Through(first, bytes)
			if size := b.Slice(first, last).Size(); size > bytes && last > first {
				t.Fatalf("entries %d to %d take %d bytes, not %d", first, last, size, bytes)
			}
			if last < b.Last() && b.Slice(first, last+1).Size() <= bytes {
				t.Fatalf("entries %d to %d take no more than %d bytes either", first, last+1, bytes)
			}
		}
	}
	for _, first := range []raft.Index{9, 30} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Through from %d did not panic", first)
				}
			}()
			b.Through(first, 100)
		}()
	}
}

func TestSlice(t *testing.T) {
	b, want := mixed(t)
	for first := range want {
		for last := first; last < len(want); last++ {
			s := b.Slice(want[first].Index, want[last].Index)
			if full := first == 0 && last == len(want)-1; full != (s == b) {
				t.Errorf("Slice %d-%d: copied is %v", first, last, s != b)
			}
			d, err := Decode(s.Bytes())
			if err != nil {
				t.Fatalf("Slice %d-%d: %v", first, last, err)
			}
			same(t, entries(d), want[first:last+1])
		}
	}
	for _, r := range []raft.Run{{First: 99, Last: 100}, {First: 105, Last: 106}, {First: 103, Last: 102}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Slice %d-%d did not panic", r.First, r.Last)
				}
			}()
			b.Slice(r.First, r.Last)
		}()
	}
}

func TestChanges(t *testing.T) {
	m := raft.Membership{Voters: []raft.NodeID{1, 2}}
	var b Builder
	b.Append(raft.NoOp, 0, 0, 0, nil)
	b.Append(raft.Reconfigure, 0, 0, 0, AppendMembership(nil, m))
	got, err := b.Seal(2, 9).Changes()
	if want := []raft.Change{{Index: 10, Membership: m}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	b.Append(raft.Reconfigure, 0, 0, 0, []byte("x"))
	if _, err = b.Seal(2, 11).Changes(); !isCorrupt(err) {
		t.Errorf("got %v", err)
	}
}

func isCorrupt(err error) bool {
	var c *CorruptError
	return errors.As(err, &c)
}

// TestDamage flips every bit and cuts at every length.
func TestDamage(t *testing.T) {
	var b Builder
	for i := range 5 {
		b.Append(raft.Command, uint64(i), 1, 2, []byte("payload"))
	}
	raw := b.Seal(1, 1).Bytes()
	for i := range len(raw) * 8 {
		bad := bytes.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := Decode(bad); !isCorrupt(err) {
			t.Fatalf("bit %d flipped: %v", i, err)
		}
	}
	for n := range raw {
		if _, err := Decode(raw[:n]); !isCorrupt(err) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := Decode(append(bytes.Clone(raw), 0)); !isCorrupt(err) {
		t.Errorf("a byte too many: %v", err)
	}
}

// resum gives bytes the checksum that belongs to them, as a peer with a bug or a grudge would.
func resum(raw []byte) []byte {
	n := len(raw) - 4
	binary.BigEndian.PutUint32(raw[n:], crc32.Checksum(raw[:n-1], castagnoli))
	return raw
}

// TestHostile offers blocks with a right checksum and wrong contents.
func TestHostile(t *testing.T) {
	var b Builder
	b.Append(raft.Command, 0, 0, 0, []byte("abc"))
	b.Append(raft.NoOp, 1, 2, 3, []byte("def"))
	good := b.Seal(5, 10).Bytes()
	if _, err := Decode(resum(bytes.Clone(good))); err != nil {
		t.Fatal(err)
	}
	put64 := func(at int, v uint64) func([]byte) {
		return func(p []byte) { binary.BigEndian.PutUint64(p[at+1:], v) }
	}
	put32 := func(at int, v uint32) func([]byte) {
		return func(p []byte) { binary.BigEndian.PutUint32(p[at+1:], v) }
	}
	put := func(at int, v byte) func([]byte) { return func(p []byte) { p[at] = v } }
	for name, spoil := range map[string]func([]byte){
		"version":           put(1, 2),
		"kinds missing":     put32(kindsAt, 1),
		"kinds too many":    put32(kindsAt, 7),
		"term 0":            put64(termAt, 0),
		"index 0":           put64(firstAt, 0),
		"index overflow":    put64(firstAt, math.MaxUint64),
		"no entries":        put32(countAt, 0),
		"too few entries":   put32(countAt, 1),
		"too many entries":  put32(countAt, 3),
		"very many entries": put32(countAt, math.MaxUint32),
		"entry form":        put(headLen, fixArray|3),
		"entry kind":        put(headLen+1, 32),
		"data marker":       put(headLen+2, 0xa3),
		"data length":       put(headLen+3, 200),
	} {
		bad := bytes.Clone(good)
		spoil(bad)
		if _, err := Decode(resum(bad)); !isCorrupt(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	last := bytes.Clone(good)
	put64(firstAt, math.MaxUint64-1)(last)
	if got, err := Decode(resum(last)); err != nil || got.Last() != math.MaxUint64 {
		t.Errorf("the last two indexes: %v, %v", got, err)
	}
}
