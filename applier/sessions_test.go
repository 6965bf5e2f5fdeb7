package applier

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/internal/allocs"
	"github.com/troupe-raft/troupe/raft"
)

func openAt(t *testing.T, s *sessions, index raft.Index, stamp int64, ttl time.Duration, limit int) uint64 {
	t.Helper()
	if _, err := s.open(&entry.Entry{Index: index, Stamp: stamp, Data: EncodeOpen(ttl, limit)}); err != nil {
		t.Fatal(err)
	}
	return uint64(index)
}

func openEntry(index raft.Index, stamp, ttl int64, limit int) *entry.Entry {
	return &entry.Entry{Index: index, Stamp: stamp, Data: EncodeOpen(time.Duration(ttl)*time.Millisecond, limit)}
}

func command(session, seq uint64, index raft.Index, stamp int64) *entry.Entry {
	return &entry.Entry{Index: index, Session: session, Seq: seq, Stamp: stamp}
}

func TestSessionWindow(t *testing.T) {
	s := newSessions()
	id := openAt(t, s, 5, 1000, time.Hour, 10)
	runs := 0
	execute := func() []byte { runs++; return []byte{byte(runs)} }
	for seq := uint64(1); seq <= 100; seq++ {
		if _, r, err := s.apply(command(id, seq, raft.Index(10+seq), 1000), execute); err != nil || r[0] != byte(seq) {
			t.Fatalf("seq %d: %v %v", seq, r, err)
		}
	}
	for _, c := range []struct {
		seq  uint64
		want error
	}{{100, nil}, {37, nil}, {36, ErrSessionOrder}, {0, ErrSessionOrder}, {102, ErrSessionOrder}} {
		index, r, err := s.apply(command(id, c.seq, 500, 1000), execute)
		if !errors.Is(err, c.want) {
			t.Errorf("seq %d: %v, want %v", c.seq, err, c.want)
		}
		if c.want == nil && (r[0] != byte(c.seq) || index != raft.Index(10+c.seq)) {
			t.Errorf("seq %d answered %v at %d", c.seq, r, index)
		}
	}
	if runs != 100 {
		t.Errorf("executed %d times", runs)
	}
}

func TestSessionExpiresByTheLogsClock(t *testing.T) {
	s := newSessions()
	id := openAt(t, s, 1, 10_000, time.Second, 10)
	execute := func() []byte { return nil }
	if _, _, err := s.apply(command(id, 1, 2, 11_000), execute); err != nil {
		t.Fatalf("used exactly at its TTL: %v", err)
	}
	// A leader whose clock is behind does not turn the log's back.
	if _, _, err := s.apply(command(id, 2, 3, 500), execute); err != nil || s.clock != 11_000 {
		t.Fatalf("%v, clock %d", err, s.clock)
	}
	if _, _, err := s.apply(command(id, 3, 4, 12_001), execute); !errors.Is(err, ErrSessionExpired) {
		t.Fatalf("got %v", err)
	}
	if len(s.table) != 0 {
		t.Error("the expired session is still there")
	}
}

func TestLeastRecentlyUsedSessionGoes(t *testing.T) {
	s := newSessions()
	a, b := openAt(t, s, 1, 1, time.Hour, 2), openAt(t, s, 2, 1, time.Hour, 2)
	if _, _, err := s.apply(command(a, 1, 3, 1), func() []byte { return nil }); err != nil {
		t.Fatal(err)
	}
	openAt(t, s, 4, 1, time.Hour, 2)
	if s.table[a] == nil || s.table[b] != nil || len(s.table) != 2 {
		t.Errorf("kept %v", s.table)
	}
}

func TestMalformedOpenIsRefused(t *testing.T) {
	for _, data := range [][]byte{nil, {1}, bytes.Repeat([]byte{0xff}, 16)} {
		s := newSessions()
		if _, err := s.open(&entry.Entry{Index: 1, Data: data}); err == nil || len(s.table) != 0 {
			t.Errorf("%x was taken", data)
		}
	}
}

// The table is part of snapshots: its bytes must not change between versions, nor with the order of a map.
func TestTableGolden(t *testing.T) {
	s := newSessions()
	for _, i := range []raft.Index{3, 1, 2} {
		openAt(t, s, i, 7, time.Second, 10)
	}
	if _, _, err := s.apply(command(2, 1, 9, 8), func() []byte { return []byte("hi") }); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.capture().write(&b); err != nil {
		t.Fatal(err)
	}
	const golden = "00000000000000b29401d30000000000000008cf00000000000000049397cf0000000000000001d300000000000003e8d30000000000000007cf0000000000000002cf0000000000000000909097cf0000000000000002d300000000000003e8d30000000000000008cf0000000000000004cf000000000000000191cf000000000000000991c402686997cf0000000000000003d300000000000003e8d30000000000000007cf0000000000000001cf00000000000000009090"
	if got := hex.EncodeToString(b.Bytes()); got != golden {
		t.Errorf("table is\n%s, want\n%s", got, golden)
	}
	back, err := readSessions(&b)
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := back.capture().write(&again); err != nil {
		t.Fatal(err)
	}
	if hex.EncodeToString(again.Bytes()) != golden {
		t.Error("the table changed on its way through a snapshot")
	}
}

// announced are a few bytes that announce two thousand million elements: sessions, indices, results, a result.
var announced = [][]byte{
	{0x94, 1, 0, 0, 0xdd, 0x7f, 0xff, 0xff, 0xff},
	{0x94, 1, 0, 0, 0x91, 0x97, 1, 0, 0, 0, 1, 0xdd, 0x7f, 0xff, 0xff, 0xff},
	{0x94, 1, 0, 0, 0x91, 0x97, 1, 0, 0, 0, 1, 0x91, 9, 0xdd, 0x7f, 0xff, 0xff, 0xff},
	{0x94, 1, 0, 0, 0x91, 0x97, 1, 0, 0, 0, 1, 0x91, 9, 0x91, 0xc6, 0x7f, 0xff, 0xff, 0xff},
	{0xdd, 0x7f, 0xff, 0xff, 0xff},
}

// sized puts a table's length before it.
func sized(table []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(len(table))), table...)
}

// A snapshot comes from another node, and a session request from its log: neither may end the process with a few bytes.
func TestAnnouncementsAreNotBelieved(t *testing.T) {
	for _, b := range announced {
		allocs.AtMost(t, 8<<10, func() {
			if _, err := readSessions(bytes.NewReader(sized(b))); err == nil {
				t.Errorf("%x was taken for a table", b)
			}
			if _, ok := decodeOpen(b); ok {
				t.Errorf("%x was taken for a request", b)
			}
		})
	}
	deep := slices.Concat([]byte{0x95, 1, 0, 0, 0x90}, bytes.Repeat([]byte{0x91}, 1<<20)) // a field too many, with depth
	allocs.AtMost(t, 8<<20, func() {
		if _, err := readSessions(bytes.NewReader(sized(deep))); err == nil {
			t.Error("a field too many was taken")
		}
	})
}

// FuzzReadSessions takes any bytes for a table, with and without a length before them that fits. What is accepted must survive
// another trip, and use memory in proportion to its bytes.
func FuzzReadSessions(f *testing.F) {
	s := newSessions()
	if _, err := s.open(openEntry(1, 5, 1000, 10)); err != nil {
		f.Fatal(err)
	}
	for seq, result := range [][]byte{[]byte("x"), nil, {}} {
		if _, _, err := s.apply(command(1, uint64(seq)+1, 9, 6), func() []byte { return result }); err != nil {
			f.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := s.capture().write(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	for _, b := range announced {
		f.Add(sized(b))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, raw := range [][]byte{raw, sized(raw)} {
			var s *sessions
			var err error
			allocs.AtMost(t, 64*len(raw)+8<<10, func() { s, err = readSessions(bytes.NewReader(raw)) })
			if err != nil {
				continue
			}
			var once, twice bytes.Buffer
			if err := s.capture().write(&once); err != nil {
				t.Fatal(err)
			}
			written := bytes.Clone(once.Bytes())
			again, err := readSessions(&once)
			if err != nil {
				t.Fatalf("what was read cannot be read again: %v", err)
			}
			if err := again.capture().write(&twice); err != nil || !bytes.Equal(twice.Bytes(), written) {
				t.Fatalf("became\n%x\nwas\n%x: %v", twice.Bytes(), written, err)
			}
			s.tick(1 << 60)
		}
	})
}

// FuzzDecodeOpen takes any bytes for a session request.
func FuzzDecodeOpen(f *testing.F) {
	f.Add(EncodeOpen(time.Hour, 10_000))
	f.Add(announced[len(announced)-1])
	f.Fuzz(func(t *testing.T, raw []byte) {
		var o open
		var ok bool
		allocs.AtMost(t, 4<<10, func() { o, ok = decodeOpen(raw) })
		if !ok {
			return
		}
		if again, ok := decodeOpen(EncodeOpen(o.TTL, o.Max)); !ok || again != o {
			t.Fatalf("%+v became %+v", o, again)
		}
	})
}
