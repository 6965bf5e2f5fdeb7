package applier

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-raft/troupe/raft"
)

func TestOpenGolden(t *testing.T) {
	if got := hex.EncodeToString(EncodeOpen(time.Hour, 10_000)); got != "9301ce0036ee80cd2710" {
		t.Error(got)
	}
}

func TestRefusedCommandDoesNotCountAsUse(t *testing.T) {
	s := newSessions()
	a, b := openAt(t, s, 1, 1, time.Hour, 2), openAt(t, s, 2, 1, time.Hour, 2)
	if _, _, err := s.apply(command(a, 7, 3, 1), nil); !errors.Is(err, ErrSessionOrder) {
		t.Fatal(err)
	}
	openAt(t, s, 4, 1, time.Hour, 2)
	if s.table[a] != nil || s.table[b] == nil {
		t.Error("a refused command kept its session in the table")
	}
}

func TestResultsAreBoundedInBytes(t *testing.T) {
	s := newSessions()
	id := openAt(t, s, 1, 1, time.Hour, 2)
	big := make([]byte, rememberedBytes/4)
	for seq := uint64(1); seq <= 10; seq++ {
		if _, _, err := s.apply(command(id, seq, raft.Index(seq+1), 1), func() []byte { return big }); err != nil {
			t.Fatal(err)
		}
	}
	c := s.table[id]
	if len(c.Results) != 4 || c.bytes != rememberedBytes {
		t.Errorf("%d results of %d bytes are kept", len(c.Results), c.bytes)
	}
	if _, _, err := s.apply(command(id, 11, 12, 1), func() []byte { return make([]byte, 2*rememberedBytes) }); err != nil {
		t.Fatal(err)
	}
	if _, r, err := s.apply(command(id, 11, 13, 1), nil); err != nil || len(r) != 2*rememberedBytes || len(c.Results) != 1 {
		t.Errorf("the newest result is not kept: %d bytes, %v", len(r), err)
	}
}

// naive is the rule in its plainest form: look at every session every time.
type naive struct {
	clock, turn int64
	table       map[uint64]*naiveSession
}

type naiveSession struct{ ttl, used, turn, last int64 }

func (n *naive) expire(stamp int64) {
	n.clock = max(n.clock, stamp)
	for id, c := range n.table {
		if n.clock-c.used > c.ttl {
			delete(n.table, id)
		}
	}
}

func (n *naive) use(c *naiveSession) {
	n.turn++
	c.used, c.turn = n.clock, n.turn
}

func (n *naive) open(id uint64, stamp, ttl int64, limit int) {
	n.expire(stamp)
	c := &naiveSession{ttl: ttl}
	n.use(c)
	n.table[id] = c
	for len(n.table) > limit {
		var oldest uint64
		for id, c := range n.table {
			if oldest == 0 || c.turn < n.table[oldest].turn {
				oldest = id
			}
		}
		delete(n.table, oldest)
	}
}

func (n *naive) apply(id uint64, stamp, seq int64) string {
	n.expire(stamp)
	c := n.table[id]
	switch {
	case c == nil:
		return ErrSessionExpired.Error()
	case seq == c.last+1:
		n.use(c)
		c.last = seq
		return "applied"
	case seq >= 1 && seq <= c.last && c.last-seq < remembered:
		n.use(c)
		return "known"
	}
	return ErrSessionOrder.Error()
}

// The list must decide as the naive rule does, whatever the order of stamps and however TTLs and limits differ, also after the
// table went through a snapshot at any point.
func TestTableMatchesTheNaiveRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, n := newSessions(), &naive{table: map[uint64]*naiveSession{}}
		var ids []uint64
		for index := raft.Index(1); index < 200; index++ {
			stamp := rapid.Int64Range(0, 300).Draw(t, "stamp")
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op == 0 || len(ids) == 0:
				ttl, limit := rapid.Int64Range(0, 100).Draw(t, "ttl"), rapid.IntRange(1, 4).Draw(t, "limit")
				if _, err := s.open(openEntry(index, stamp, ttl, limit)); err != nil {
					t.Fatal(err)
				}
				n.open(uint64(index), stamp, ttl, limit)
				ids = append(ids, uint64(index))
			case op == 1:
				s = throughSnapshot(t, s)
			default:
				id := rapid.SampledFrom(ids[max(0, len(ids)-6):]).Draw(t, "id")
				seq := rapid.Int64Range(0, 5).Draw(t, "seq")
				got := "known"
				_, _, err := s.apply(command(id, uint64(seq), index, stamp), func() []byte { got = "applied"; return nil })
				if err != nil {
					got = err.Error()
				}
				if want := n.apply(id, stamp, seq); got != want {
					t.Fatalf("session %d, seq %d, stamp %d: %s, want %s", id, seq, stamp, got, want)
				}
			}
		}
	})
}

func throughSnapshot(t *rapid.T, s *sessions) *sessions {
	var b bytes.Buffer
	if err := s.capture().write(&b); err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(b.Bytes())
	back, err := readSessions(&b)
	if err != nil {
		t.Fatal(err)
	}
	if err := back.capture().write(&b); err != nil || !bytes.Equal(b.Bytes(), want) {
		t.Fatalf("the table changed on its way: %v", err)
	}
	return back
}

func TestImpossibleTablesAreRefused(t *testing.T) {
	good := encoded{Version: sessionsVersion, Clock: 10, Turn: 3, Sessions: []encodedSession{
		{ID: 1, TTL: 5, Used: 9, Turn: 2, Last: 1, Indices: []uint64{2}, Results: [][]byte{nil}},
		{ID: 3, TTL: 5, Used: 10, Turn: 3},
	}}
	if _, err := good.table(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*encodedSession){
		"same id":           func(c *encodedSession) { c.ID = 1 },
		"same turn":         func(c *encodedSession) { c.Turn = 2 },
		"turn to come":      func(c *encodedSession) { c.Turn = 4 },
		"used later":        func(c *encodedSession) { c.Used = 11 },
		"used out of order": func(c *encodedSession) { c.Used = 8 },
		"answers to none":   func(c *encodedSession) { c.Indices, c.Results = []uint64{4}, [][]byte{nil} },
		"answer of nowhere": func(c *encodedSession) { c.Last, c.Results = 1, [][]byte{nil} },
	} {
		bad := good
		bad.Sessions = slices.Clone(good.Sessions)
		spoil(&bad.Sessions[1])
		if _, err := bad.table(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func BenchmarkSessionCommand(b *testing.B) {
	for _, count := range []int{10, 10_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			s := newSessions()
			for i := range count {
				if _, err := s.open(openEntry(raft.Index(i+1), 1, 1<<30, 0)); err != nil {
					b.Fatal(err)
				}
			}
			result, seq, stamp := make([]byte, 16), uint64(0), int64(1)
			execute := func() []byte { return result }
			b.ReportAllocs()
			for b.Loop() { // the clock moves with every command
				seq++
				stamp++
				if _, _, err := s.apply(command(1, seq, raft.Index(seq), stamp), execute); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
