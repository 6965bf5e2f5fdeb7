package applier

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/internal/allocs"
	"github.com/troupe-raft/troupe/raft"
)

// Requests are in logs: each version's bytes must stay readable, and mean what they meant.
func TestOpenGolden(t *testing.T) {
	l := SessionLimits{TTL: time.Hour, Sessions: 10_000, Table: 256 << 20, Answers: 64, Bytes: 1 << 20, Keep: 2}
	if got := hex.EncodeToString(EncodeOpen(l)); got != "9702ce0036ee80cd2710ce1000000040ce0010000002" {
		t.Error(got)
	}
	if o, ok := decodeOpen(EncodeOpen(l)); !ok || o.SessionLimits != l {
		t.Errorf("became %+v", o)
	}
	first, _ := hex.DecodeString("9301ce0036ee80cd2710")
	want := SessionLimits{TTL: time.Hour, Sessions: 10_000, Answers: 64, Bytes: 1 << 20, Keep: 1}
	if o, ok := decodeOpen(first); !ok || o.SessionLimits != want || o.version != openVersion1 {
		t.Errorf("the first version's became %+v", o)
	}
	if o, ok := decodeOpen(EncodeOpen(SessionLimits{TTL: -1, Sessions: -1, Table: -1, Answers: -1, Bytes: -1, Keep: -1})); !ok || o.SessionLimits != (SessionLimits{}) {
		t.Errorf("what is negative became %+v", o)
	}
}

// tableOf is a table whose session 2 has an answer.
func tableOf(t testing.TB) *sessions {
	s := newSessions()
	for _, i := range []raft.Index{3, 1, 2} {
		if _, err := s.open(openEntry(i, 7, 1000, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.apply(command(2, 1, 9, 8), func() []byte { return []byte("hi") }); err != nil {
		t.Fatal(err)
	}
	return s
}

// failer is a test's or rapid's.
type failer interface{ Fatal(args ...any) }

func written(t failer, s *sessions) []byte {
	var b bytes.Buffer
	if err := s.capture().write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readFrom(b []byte) (*sessions, error) { return readSessions(bufio.NewReader(bytes.NewReader(b))) }

const (
	golden = "ff73657373696f6e95020804ce10000000039903cd03e807010040ce0010000002009901cd03e807020040ce0010000002009902cd03e808040140ce0010000002019209c4026869"
	// golden1 is what the first version wrote of the same table.
	golden1 = "00000000000000b29401d30000000000000008cf00000000000000049397cf0000000000000001d300000000000003e8d30000000000000007cf0000000000000002cf0000000000000000909097cf0000000000000002d300000000000003e8d30000000000000008cf0000000000000004cf000000000000000191cf000000000000000991c402686997cf0000000000000003d300000000000003e8d30000000000000007cf0000000000000001cf00000000000000009090"
)

// The table is part of snapshots: its bytes must not change between versions, nor with the order of a map.
func TestTableGolden(t *testing.T) {
	if got := hex.EncodeToString(written(t, tableOf(t))); got != golden {
		t.Errorf("table is\n%s, want\n%s", got, golden)
	}
	raw, _ := hex.DecodeString(golden)
	back, err := readFrom(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(written(t, back)); got != golden {
		t.Errorf("the table changed on its way through a snapshot:\n%s", got)
	}
}

// Snapshots of the first version are read: what they hold goes on by the rules that it began under.
func TestFirstTableGolden(t *testing.T) {
	raw, _ := hex.DecodeString(golden1)
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(raw), bytes.NewReader([]byte("state"))))
	s, err := readSessions(r)
	if err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r); string(rest) != "state" || err != nil {
		t.Errorf("left %q, %v of the user's state", rest, err)
	}
	if s.clock != 8 || s.limit != 0 || len(s.table) != 3 || s.oldest.ID != 3 || s.newest.ID != 2 {
		t.Fatalf("%+v", s)
	}
	if index, result, err := s.apply(command(2, 1, 20, 8), nil); err != nil || index != 9 || string(result) != "hi" {
		t.Errorf("the answer is %q at %d, %v", result, index, err)
	}
	big := func() []byte { return make([]byte, 600<<10) }
	for seq := uint64(2); seq <= 3; seq++ {
		if _, _, err := s.apply(command(2, seq, raft.Index(20+seq), 8), big); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.apply(command(2, 2, 30, 8), nil); !errors.Is(err, ErrSessionForgotten) || len(s.table[2].Results) != 1 {
		t.Errorf("%d answers are kept, %v: the first version kept only the newest above 1 MiB", len(s.table[2].Results), err)
	}
	if again, err := readFrom(written(t, s)); err != nil || !bytes.Equal(written(t, again), written(t, s)) {
		t.Errorf("the table changed on its way through a snapshot: %v", err)
	}
}

// A table above what one value could hold, or a reader's memory twice, is written and read piece by piece.
func TestTableIsAStream(t *testing.T) {
	s := newSessions()
	shared := make([]byte, 1<<20)
	const count = 1200 // as many MiB: above the 1 GiB that the first version allowed
	for i := range count {
		openAt(t, s, raft.Index(i+1), 1, time.Hour, 0)
		c := s.table[uint64(i+1)]
		c.Last, c.bytes, c.Results = 1, len(shared), []answer{{Index: 1, Result: shared}} // as remember would, but shared
	}
	table := s.capture()
	allocs.AtMost(t, 256<<10, func() {
		if err := table.write(io.Discard); err != nil {
			t.Error(err)
		}
	})
}

// announced are a few bytes of a first version's table that announce two thousand million elements: sessions, indices, results, a result.
var announced = [][]byte{
	{0x94, 1, 0, 0, 0xdd, 0x7f, 0xff, 0xff, 0xff},
	{0x94, 1, 0, 0, 0x91, 0x97, 1, 0, 0, 0, 1, 0xdd, 0x7f, 0xff, 0xff, 0xff},
	{0x94, 1, 0, 0, 0x91, 0x97, 1, 0, 0, 0, 1, 0x91, 9, 0xdd, 0x7f, 0xff, 0xff, 0xff},
	{0x94, 1, 0, 0, 0x91, 0x97, 1, 0, 0, 0, 1, 0x91, 9, 0x91, 0xc6, 0x7f, 0xff, 0xff, 0xff},
	{0xdd, 0x7f, 0xff, 0xff, 0xff},
}

// streamed are the like of the second: sessions, answers, an answer.
var streamed = [][]byte{
	{0x95, 2, 0, 0, 0, 0xce, 0x7f, 0xff, 0xff, 0xff},
	{0x95, 2, 0, 0, 0, 1, 0x99, 1, 0, 0, 0, 1, 64, 0, 1, 0xce, 0x7f, 0xff, 0xff, 0xff},
	{0x95, 2, 0, 0, 0, 1, 0x99, 1, 0, 0, 0, 1, 64, 0, 1, 1, 0x92, 9, 0xc6, 0x7f, 0xff, 0xff, 0xff},
}

// sized puts a table's length before it, as the first version did, and marked the mark of the second.
func sized(table []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(len(table))), table...)
}

func marked(table []byte) []byte { return append(tableMark[:], table...) }

// A snapshot comes from another node, and a session request from its log: neither may end the process with a few bytes.
func TestAnnouncementsAreNotBelieved(t *testing.T) {
	for _, b := range slices.Concat(announced, streamed) {
		for _, raw := range [][]byte{sized(b), marked(b)} {
			in := bufio.NewReader(bytes.NewReader(raw))
			allocs.AtMost(t, 8<<10, func() {
				if _, err := readSessions(in); err == nil {
					t.Errorf("%x was taken for a table", b)
				}
				if _, ok := decodeOpen(b); ok {
					t.Errorf("%x was taken for a request", b)
				}
			})
		}
	}
	deep := slices.Concat([]byte{0x95, 1, 0, 0, 0x90}, bytes.Repeat([]byte{0x91}, 1<<20)) // a field too many, with depth
	in := bufio.NewReader(bytes.NewReader(sized(deep)))
	allocs.AtMost(t, 8<<20, func() {
		if _, err := readSessions(in); err == nil {
			t.Error("a field too many was taken")
		}
	})
}

func TestCutTablesAreRefused(t *testing.T) {
	first, _ := hex.DecodeString(golden1)
	for _, whole := range [][]byte{written(t, tableOf(t)), first} {
		for n := range whole {
			if _, err := readFrom(whole[:n]); !errors.Is(err, io.ErrUnexpectedEOF) && !(n == 0 && errors.Is(err, io.EOF)) {
				t.Fatalf("%d of %d bytes: %v", n, len(whole), err)
			}
		}
	}
}

func TestImpossibleTablesAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*session){
		"as it is":              func(*session) {},
		"same id":               func(c *session) { c.ID = 1 },
		"same turn":             func(c *session) { c.Turn = 2 },
		"turn to come":          func(c *session) { c.Turn = 5 },
		"used later":            func(c *session) { c.Used = 9 },
		"used out of order":     func(c *session) { c.Used = 6 },
		"used before all times": func(c *session) { c.Used = -1 },
		"answers to none":       func(c *session) { c.Last = 0 },
		"more than it keeps":    func(c *session) { c.Answers, c.Keep, c.Results = 1, 1, []answer{{}, {}} },
		"keeps nothing":         func(c *session) { c.Keep = 0 },
		"keeps more than all":   func(c *session) { c.Keep = 65 },
	} {
		bad := tableOf(t).capture()
		spoil(&bad.sessions[2])
		var b bytes.Buffer
		if err := bad.write(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := readFrom(b.Bytes()); (err == nil) != (name == "as it is") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzReadSessions takes any bytes for a table of either version. What is accepted must survive another trip, and use memory in
// proportion to its bytes.
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
	f.Add(written(f, s))
	f.Add(written(f, tableOf(f)))
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	first, _ := hex.DecodeString(golden1)
	f.Add(first)
	for _, b := range announced {
		f.Add(sized(b))
	}
	for _, b := range streamed {
		f.Add(marked(b))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, raw := range [][]byte{raw, sized(raw), marked(raw)} {
			var s *sessions
			var err error
			in := bufio.NewReader(bytes.NewReader(raw))
			allocs.AtMost(t, 64*len(raw)+8<<10, func() { s, err = readSessions(in) })
			if err != nil {
				continue
			}
			once := written(t, s)
			again, err := readFrom(once)
			if err != nil {
				t.Fatalf("what was read cannot be read again: %v", err)
			}
			if twice := written(t, again); !bytes.Equal(twice, once) || again.bytes != s.bytes {
				t.Fatalf("became\n%x\nwas\n%x", twice, once)
			}
			s.tick(1 << 60)
			s.limit = 1
			s.shrink(0)
			if len(s.table) > 1 || len(s.table) == 0 && s.bytes != 0 {
				t.Fatalf("%d bytes count for %d sessions", s.bytes, len(s.table))
			}
		}
	})
}

// FuzzDecodeOpen takes any bytes for a session request.
func FuzzDecodeOpen(f *testing.F) {
	f.Add(EncodeOpen(hour))
	f.Add([]byte{0x93, 1, 5, 6})
	f.Add(announced[len(announced)-1])
	f.Fuzz(func(t *testing.T, raw []byte) {
		var o open
		var ok bool
		allocs.AtMost(t, 4<<10, func() { o, ok = decodeOpen(raw) })
		if !ok {
			return
		}
		if again, ok := decodeOpen(EncodeOpen(o.SessionLimits)); !ok || again.SessionLimits != o.SessionLimits {
			t.Fatalf("%+v became %+v", o, again)
		}
	})
}
