package snapshotter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync/atomic"
	"testing"

	"github.com/troupe-raft/troupe/internal/allocs"
)

// mend gives every piece that b holds, and the trailer, the checksum that fits, so that the fuzzer gets past them.
func mend(b []byte) {
	var size uint64
	var sum uint32
	for at, header := len(magic), true; len(b)-at >= 8; header = false {
		n := int64(binary.BigEndian.Uint32(b[at:]))
		if n == 0 && len(b)-at >= 20 {
			binary.BigEndian.PutUint64(b[at+8:], size)
			binary.BigEndian.PutUint32(b[at+16:], sum)
			return
		}
		if n == 0 || n > int64(len(b)-at-8) {
			return
		}
		piece := b[at+8:][:n]
		binary.BigEndian.PutUint32(b[at+4:], crc32.Checksum(piece, castagnoli))
		if !header {
			size, sum = size+uint64(n), crc32.Update(sum, castagnoli, piece)
		}
		at += 8 + int(n)
	}
}

// drained reads a file that is whole, and keeps the payload.
func drained(b []byte) (r *reader, payload []byte, err error) {
	r = &reader{path: "fuzz", in: bufio.NewReaderSize(bytes.NewReader(b), usual.buffer)}
	if err := r.header(); err != nil {
		return nil, nil, err
	}
	payload, err = io.ReadAll(r)
	return r, payload, err
}

// FuzzRead takes any bytes for a snapshot file, as they are and with checksums that fit. What is accepted survives being written
// again, no flipped bit of it is accepted, and memory is taken within the format's limits, whatever the lengths in it say.
func FuzzRead(f *testing.F) {
	fs := newFS()
	mustWrite(f, fs, 9, content(1, 300))
	f.Add(raw(f, fs, 9), true, uint(77))
	mustWrite(f, fs, 9, nil)
	f.Add(raw(f, fs, 9), false, uint(400))
	f.Add([]byte(magic), false, uint(0))
	f.Add([]byte(magic+"\xff\xff\xff\xff\x00\x00\x00\x00"), false, uint(0))
	f.Add([]byte(magic+"\x00\x10\x00\x00\x00\x00\x00\x00\x00"), false, uint(0))
	f.Fuzz(func(t *testing.T, b []byte, mended bool, bit uint) {
		b = bytes.Clone(b)
		if mended {
			mend(b)
		}
		budget := usual.buffer + max(MaxPieceBytes, maxHeader) + 48<<10 + 32*min(len(b), maxHeader)
		var scanned *reader
		var size int64
		var err error
		allocs.AtMost(t, budget, func() { scanned, size, _, err = scan(bytes.NewReader(b), "fuzz", nil, usual.buffer) })
		if err != nil {
			var fault *FileError
			if !errors.As(err, &fault) || fault.Path != "fuzz" {
				t.Fatalf("not a FileError: %v", err)
			}
			return
		}
		r, payload, err := drained(b)
		if err != nil || size != int64(len(b)) || uint64(len(payload)) != scanned.size {
			t.Fatalf("%d of %d bytes read, payload %d and %d: %v", size, len(b), len(payload), scanned.size, err)
		}
		again := newFS()
		if _, err := write(again, dir, r.group, r.meta, writes(payload), new(atomic.Bool), usual); err != nil {
			t.Fatal(err)
		}
		path := again.PathJoin(dir, fileName(r.meta.Index, r.meta.Term))
		group, meta, err := Verify(again, path)
		if err != nil || group != r.group || r.holds(meta) != nil {
			t.Fatalf("%d %+v became %d %+v: %v", r.group, r.meta, group, meta, err)
		}
		bit %= uint(len(b)) * 8
		b[bit/8] ^= 1 << (bit % 8)
		if _, _, _, err := scan(bytes.NewReader(b), "fuzz", nil, usual.buffer); err == nil {
			t.Fatalf("bit %d flipped and accepted", bit)
		}
	})
}

// FuzzNames takes anything for the name of a file in a snapshot folder. Only what this package would write is one of its own.
func FuzzNames(f *testing.F) {
	f.Add(fileName(9, 2))
	f.Add(fileName(1<<64-1, 1) + ".100.0000ffff.part")
	f.Add("snap-1-2.troupe")
	f.Add("snap--1-2.troupe.")
	f.Fuzz(func(t *testing.T, name string) {
		allocs.AtMost(t, 8*len(name)+8<<10, func() {
			if id, ok := parseName(name); ok && fileName(id.Index, id.Term) != name {
				t.Fatalf("%q is taken for %v", name, id)
			}
			if id, ok := parsePart(name); ok {
				if whole := fileName(id.Index, id.Term); len(name) <= len(whole) || name[:len(whole)] != whole {
					t.Fatalf("%q is taken for a part of %v", name, id)
				}
			}
		})
	})
}
