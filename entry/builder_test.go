package entry

import (
	"bytes"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

func TestBuilderSizes(t *testing.T) {
	var b Builder
	if b.Len() != 0 || b.Size() != 0 {
		t.Errorf("empty builder has %d entries, %d bytes", b.Len(), b.Size())
	}
	for i := range 100 {
		b.Append(raft.Command, uint64(i), 0, 0, make([]byte, i*10))
		size := b.Size()
		if b.Len() != i%10+1 {
			t.Fatalf("Len is %d", b.Len())
		}
		if i%10 < 9 {
			continue
		}
		if block := b.Seal(1, 1); block.Size() != size || b.Len() != 0 || b.Size() != 0 {
			t.Errorf("Size said %d, block has %d, rest %d", size, block.Size(), b.Size())
		}
	}
}

// TestBlocksKeepTheirBytes seals blocks of many sizes from one builder: none may see a later one's bytes.
func TestBlocksKeepTheirBytes(t *testing.T) {
	var (
		b      Builder
		blocks []*Block
		copies [][]byte
	)
	for i := range 200 {
		for range i*i%17 + 1 {
			b.Append(raft.Command, 0, 0, 0, bytes.Repeat([]byte{byte(i)}, i*7%300))
		}
		block := b.Seal(1, raft.Index(i+1))
		if waste := cap(block.Bytes()) - block.Size(); waste > block.Size() {
			t.Errorf("block of %d bytes holds %d more", block.Size(), waste)
		}
		blocks, copies = append(blocks, block), append(copies, bytes.Clone(block.Bytes()))
	}
	for i, block := range blocks {
		if !bytes.Equal(block.Bytes(), copies[i]) {
			t.Fatalf("block %d changed", i)
		}
	}
}

func TestBuilderAllocates(t *testing.T) {
	var b Builder
	data := make([]byte, 128)
	seal := func() {
		for range 1024 {
			b.Append(raft.Command, 1, 2, 3, data)
		}
		b.Seal(1, 1)
	}
	if n := testing.AllocsPerRun(20, seal); n > 2 { // the bytes and the Block
		t.Errorf("1024 entries take %v allocations", n)
	}
	block := func() *Block { b.Append(raft.Command, 1, 2, 3, data); return b.Seal(1, 1) }()
	if n := testing.AllocsPerRun(20, func() {
		r := block.Reader()
		for e := (Entry{}); r.Next(&e); {
		}
	}); n > 0 {
		t.Errorf("reading takes %v allocations", n)
	}
}

func TestBuilderRefuses(t *testing.T) {
	for name, f := range map[string]func(*Builder){
		"seal of nothing": func(b *Builder) { b.Seal(1, 1) },
		"kind 32":         func(b *Builder) { b.Append(32, 0, 0, 0, nil) },
		"term 0":          func(b *Builder) { b.Append(0, 0, 0, 0, nil); b.Seal(0, 1) },
		"index 0":         func(b *Builder) { b.Append(0, 0, 0, 0, nil); b.Seal(1, 0) },
		"index overflow":  func(b *Builder) { b.Append(0, 0, 0, 0, nil); b.Append(0, 0, 0, 0, nil); b.Seal(1, ^raft.Index(0)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f(new(Builder))
		}()
	}
}

func BenchmarkBuilder(b *testing.B) {
	var builder Builder
	data := make([]byte, 128)
	b.ReportAllocs()
	b.SetBytes(1024 * 128)
	for b.Loop() {
		for range 1024 {
			builder.Append(raft.Command, 1<<40, 77, 1700000000000, data)
		}
		builder.Seal(1, 1)
	}
}

func BenchmarkDecode(b *testing.B) {
	var builder Builder
	for range 1024 {
		builder.Append(raft.Command, 1<<40, 77, 1700000000000, make([]byte, 128))
	}
	raw := builder.Seal(1, 1).Bytes()
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	var builder Builder
	for range 1024 {
		builder.Append(raft.Command, 1<<40, 77, 1700000000000, make([]byte, 128))
	}
	block := builder.Seal(1, 1)
	b.ReportAllocs()
	for b.Loop() {
		r := block.Reader()
		for e := (Entry{}); r.Next(&e); {
		}
	}
}
