package persister

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/internal/allocs"
	"github.com/troupe-raft/troupe/raft"
)

// flip returns b with one bit changed.
func flip(b []byte, bit uint) []byte {
	bad := bytes.Clone(b)
	bit %= uint(len(b)) * 8
	bad[bit/8] ^= 1 << (bit % 8)
	return bad
}

// FuzzRecords takes any bytes for a key and its value, as they are and with a checksum that fits. What is accepted encodes to itself,
// and neither a flipped bit nor the value of another key is.
func FuzzRecords(f *testing.F) {
	key := appendRecordKey(nil, 7)
	f.Add(key, record{gen: 3, alive: true}.encode(key), uint(9))
	f.Add(key, record{gen: 3, number: 8}.encode(key), uint(90))
	key = appendKey(nil, 7, 1, hardPart)
	f.Add(key, encodeHard(key, raft.HardState{Term: 5, Vote: 2}), uint(40))
	f.Add(key, encodeHard(key, raft.HardState{Term: 5, Vote: 2, Promise: 150_000_000}), uint(150))
	f.Add(key, encodeHard(key, raft.HardState{Term: 5, Vote: 2, Doubt: true, Promise: 1}), uint(130))
	key = appendKey(nil, 7, 1, metaPart)
	f.Add(key, meta{snapshot: raft.SnapshotMeta{Index: 9, Term: 2, Membership: founding}, prev: raft.EntryID{Index: 4, Term: 1}}.encode(key), uint(300))
	f.Add([]byte("k"), append([]byte{valueVersion}, bytes.Repeat([]byte{0xdd, 0xff}, 40)...), uint(1))
	f.Fuzz(func(t *testing.T, key, value []byte, bit uint) {
		for _, value := range [][]byte{value, appendSum(key, bytes.Clone(value))} {
			for _, decode := range decoders {
				var again []byte
				var err error
				allocs.AtMost(t, 64*len(value)+4<<10, func() { again, err = decode(key, value) })
				if err != nil {
					continue
				}
				if back, err := decode(key, again); err != nil || !bytes.Equal(back, again) {
					t.Fatalf("%x became %x, then %x: %v", value, again, back, err)
				}
				if _, err := decode(key, flip(value, bit)); err == nil {
					t.Fatalf("bit %d of the value flipped and accepted", bit)
				}
				if len(key) > 0 {
					if _, err := decode(flip(key, bit), value); err == nil {
						t.Fatal("accepted under another key")
					}
				}
			}
		}
		if i, ok := blockIndex(key); ok && !bytes.Equal(binary.BigEndian.AppendUint64(bytes.Clone(key[:indexAt]), uint64(i)), key) {
			t.Fatalf("%x is not the key of index %d", key, i)
		}
	})
}

// decoders decode a value and encode it again.
var decoders = map[string]func(key, value []byte) ([]byte, error){
	"record": func(key, value []byte) ([]byte, error) {
		r, err := decodeRecord(key, value)
		return r.encode(key), err
	},
	"hard": func(key, value []byte) ([]byte, error) {
		h, err := decodeHard(key, value)
		return encodeHard(key, h), err
	},
	"meta": func(key, value []byte) ([]byte, error) {
		m, err := decodeMeta(key, value)
		return m.encode(key), err
	},
}

// FuzzIdentity takes any bytes for the content of the small text files, as they are and with a checksum that fits.
func FuzzIdentity(f *testing.F) {
	f.Add(identity{Format: identityFormat, Cluster: "prod \"1\"", Node: 1 << 63, Ready: true}.encode(), uint(3))
	f.Add([]byte(`{"format":1,"node":-1}`), uint(0))
	f.Add(bytes.Repeat([]byte("["), 100), uint(0))
	f.Fuzz(func(t *testing.T, b []byte, bit uint) {
		for _, b := range [][]byte{b, summed(b)} {
			var id identity
			var ok bool
			allocs.AtMost(t, 64*len(b)+8<<10, func() { id, ok = decodeIdentity(b) })
			if line, ok := unsummed(b); ok {
				if !bytes.Equal(summed(line), b) {
					t.Fatalf("%q is not what is written for %q", b, line)
				}
				if _, ok := unsummed(flip(b, bit)); ok {
					t.Fatalf("bit %d flipped and accepted", bit)
				}
			}
			if !ok {
				continue
			}
			again, ok := decodeIdentity(id.encode())
			if want := strings.ToValidUTF8(id.Cluster, "\ufffd"); !ok || again.Node != id.Node || again.Cluster != want {
				t.Fatalf("%+v became %+v", id, again)
			}
		}
	})
}

// FuzzScan takes any bytes for a log and for a manifest. Real ones are among the seeds.
func FuzzScan(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x05\x00\x09\x07\x00\x00\x00aaaaaaaaaaaaa"), uint32(7))
	f.Add(make([]byte, 40), uint32(0))
	disk, _ := populate(f)
	real := 0
	for _, path := range files(f, disk) {
		if kind := kindOf(path); kind != "log" && kind != "MANIFEST" {
			continue
		}
		content, err := readFile(disk, path)
		if err != nil {
			f.Fatal(err)
		}
		number := uint32(0)
		if len(content) > syncedHead {
			number = binary.LittleEndian.Uint32(content[legacyHead:])
		}
		real++
		f.Add(content, number)
	}
	if real < 2 {
		f.Fatalf("%d real files among the seeds", real)
	}
	f.Fuzz(func(t *testing.T, content []byte, number uint32) {
		disk := vfs.NewMem()
		if err := writeFile(disk, "x", content); err != nil {
			t.Fatal(err)
		}
		for _, log := range []bool{false, true} {
			var records int
			var err error
			allocs.AtMost(t, 2*scanBlock, func() { records, err = scan(disk, "x", log, uint64(number), 0) })
			var r *errRotten
			if err != nil && (!errors.As(err, &r) || r.offset < 0 || r.offset >= int64(len(content))) {
				t.Fatal(err)
			}
			if records > len(content)/legacyHead {
				t.Fatalf("%d records in %d bytes", records, len(content))
			}
		}
	})
}
