package applier

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/internal/allocs"
	"github.com/troupe-raft/troupe/raft"
)

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

// respond has a session's command answered by so many bytes.
func respond(t testing.TB, s *sessions, id, seq uint64, bytes int) {
	t.Helper()
	if _, _, err := s.apply(command(id, seq, raft.Index(100+seq), 1), func() []byte { return make([]byte, bytes) }); err != nil {
		t.Fatal(err)
	}
}

func TestResultsAreBoundedInBytes(t *testing.T) {
	s := newSessions()
	l := limits(time.Hour, 2)
	id := openWith(t, s, 1, 1, l)
	for seq := uint64(1); seq <= 10; seq++ {
		respond(t, s, id, seq, l.Bytes/4)
	}
	c := s.table[id]
	if len(c.Results) != 4 || c.bytes != l.Bytes {
		t.Errorf("%d results of %d bytes are kept", len(c.Results), c.bytes)
	}
	if _, _, err := s.apply(command(id, 6, 30, 1), nil); !errors.Is(err, ErrSessionForgotten) {
		t.Errorf("a forgotten one: %v", err)
	}
}

// A client with two writes under way, whose answers are large, is not told that the first did not happen.
func TestLatestAnswersStayWhateverTheirSize(t *testing.T) {
	for keep := 1; keep <= 3; keep++ {
		s := newSessions()
		l := limits(time.Hour, 2)
		l.Keep = keep
		id := openWith(t, s, 1, 1, l)
		const size = 600 << 10
		for seq := uint64(1); seq <= 5; seq++ {
			respond(t, s, id, seq, size)
		}
		for seq := uint64(1); seq <= 5; seq++ {
			index, r, err := s.apply(command(id, seq, 200, 1), nil)
			switch known := seq > uint64(5-keep); {
			case known && (err != nil || len(r) != size || index != raft.Index(100+seq)):
				t.Errorf("%d are to stay, number %d: %d bytes at %d, %v", keep, seq, len(r), index, err)
			case !known && !errors.Is(err, ErrSessionForgotten):
				t.Errorf("%d are to stay, number %d: %v, want ErrSessionForgotten", keep, seq, err)
			}
		}
	}
}

// Above its bytes the table forgets whole sessions, the least recently used first, and never the one in use.
func TestTableIsBoundedInBytes(t *testing.T) {
	s := newSessions()
	l := limits(time.Hour, 0)
	l.Table = 3*(sessionCost+answerCost) + 3000
	a, b, c := openWith(t, s, 1, 1, l), openWith(t, s, 2, 1, l), openWith(t, s, 3, 1, l)
	for _, id := range []uint64{a, b, c} {
		respond(t, s, id, 1, 1000)
	}
	if len(s.table) != 3 || s.bytes != l.Table {
		t.Fatalf("%d sessions of %d bytes", len(s.table), s.bytes)
	}
	if _, _, err := s.apply(command(a, 1, 50, 1), nil); err != nil { // a repetition is a use
		t.Fatal(err)
	}
	respond(t, s, c, 2, 1)
	if s.table[a] == nil || s.table[b] != nil || s.table[c] == nil {
		t.Errorf("kept %v, of which the second was least recently used", s.table)
	}
	respond(t, s, a, 2, 10*l.Table)
	if len(s.table) != 1 || s.table[a] == nil {
		t.Errorf("kept %v", s.table)
	}
	if _, r, err := s.apply(command(a, 2, 60, 1), nil); err != nil || len(r) != 10*l.Table {
		t.Errorf("the session in use lost its answer: %d bytes, %v", len(r), err)
	}
	openWith(t, s, 4, 1, l)
	if len(s.table) != 1 || s.table[4] == nil || s.bytes != sessionCost {
		t.Errorf("kept %v of %d bytes", s.table, s.bytes)
	}
	l.Table = 0
	d := openWith(t, s, 5, 1, l) // the latest opening decides
	respond(t, s, d, 1, 1<<20)
	if len(s.table) != 2 {
		t.Errorf("kept %v without a limit", s.table)
	}
}

// A capture shares the answers, and is what it was whatever is applied before it is written.
func TestCaptureSharesAnswers(t *testing.T) {
	s := newSessions()
	const sessions, answers = 10_000, 64
	for i := range sessions {
		id := openWith(t, s, raft.Index(i+1), 1, limits(time.Hour, 0))
		for seq := uint64(1); seq <= answers; seq++ {
			respond(t, s, id, seq, 1)
		}
	}
	want := written(t, s)
	var table *captured
	allocs.AtMost(t, sessions*256, func() { table = s.capture() })
	for i := range sessions {
		respond(t, s, uint64(i+1), answers+1, 1)
		respond(t, s, uint64(i+1), answers+2, 1)
	}
	s.tick(1 << 40)
	var b bytes.Buffer
	if err := table.write(&b); err != nil || !bytes.Equal(b.Bytes(), want) {
		t.Errorf("the captured table changed with the live one: %v", err)
	}
}

// naive is the rule in its plainest form: look at every session every time.
type naive struct {
	clock, turn int64
	limit       int
	table       map[uint64]*naiveSession
}

type naiveSession struct {
	SessionLimits
	ttl, used, turn, last int64
	answers               []int // their lengths
}

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

func (n *naive) bytes() (total int) {
	for _, c := range n.table {
		total += 256
		for _, size := range c.answers {
			total += 64 + size
		}
	}
	return total
}

func (n *naive) evict(full func() bool) {
	for full() {
		var oldest uint64
		for id, c := range n.table {
			if oldest == 0 || c.turn < n.table[oldest].turn {
				oldest = id
			}
		}
		delete(n.table, oldest)
	}
}

func (n *naive) open(id uint64, stamp int64, l SessionLimits) {
	n.expire(stamp)
	c := &naiveSession{SessionLimits: l, ttl: l.TTL.Milliseconds()}
	n.use(c)
	n.table[id] = c
	n.limit = l.Table
	n.evict(func() bool { return len(n.table) > l.Sessions })
	n.evict(n.full)
}

func (n *naive) full() bool { return n.limit > 0 && n.bytes() > n.limit && len(n.table) > 1 }

func (n *naive) apply(id uint64, stamp, seq int64, size int) string {
	n.expire(stamp)
	c := n.table[id]
	switch {
	case c == nil:
		return ErrSessionExpired.Error()
	case seq == c.last+1:
		n.use(c)
		c.last = seq
		c.answers = append(c.answers, size)
		for {
			total := 0
			for _, size := range c.answers {
				total += size
			}
			if len(c.answers) <= max(c.Answers, c.Keep) && (total <= c.Bytes || len(c.answers) <= c.Keep) {
				break
			}
			c.answers = c.answers[1:]
		}
		n.evict(n.full)
		return "applied"
	case seq < 1 || seq > c.last:
		return ErrSessionOrder.Error()
	case c.last-seq < int64(len(c.answers)):
		n.use(c)
		return fmt.Sprint("known ", c.answers[len(c.answers)-1-int(c.last-seq)])
	}
	return ErrSessionForgotten.Error()
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
				l := SessionLimits{
					TTL: time.Duration(rapid.Int64Range(0, 100).Draw(t, "ttl")) * time.Millisecond, Sessions: rapid.IntRange(1, 4).Draw(t, "sessions"),
					Table: rapid.SampledFrom([]int{0, 500, 1000, 2000}).Draw(t, "table"), Answers: rapid.IntRange(1, 4).Draw(t, "answers"),
					Bytes: rapid.IntRange(0, 300).Draw(t, "bytes"), Keep: rapid.IntRange(1, 3).Draw(t, "keep"),
				}
				if _, err := s.open(&entry.Entry{Index: index, Stamp: stamp, Data: EncodeOpen(l)}); err != nil {
					t.Fatal(err)
				}
				n.open(uint64(index), stamp, l)
				ids = append(ids, uint64(index))
			case op == 1:
				s = throughSnapshot(t, s)
			case op == 2:
				s.capture()
			default:
				id := rapid.SampledFrom(ids[max(0, len(ids)-6):]).Draw(t, "id")
				seq := rapid.Int64Range(0, 8).Draw(t, "seq")
				if c := n.table[id]; c != nil && rapid.Bool().Draw(t, "next") {
					seq = c.last + 1
				}
				size := rapid.SampledFrom([]int{0, 1, 100, 400}).Draw(t, "size")
				ran := false
				_, result, err := s.apply(command(id, uint64(seq), index, stamp), func() []byte { ran = true; return make([]byte, size) })
				got := fmt.Sprint("known ", len(result))
				switch {
				case err != nil:
					got = err.Error()
				case ran:
					got = "applied"
				}
				if want := n.apply(id, stamp, seq, size); got != want {
					t.Fatalf("session %d, seq %d, stamp %d: %s, want %s", id, seq, stamp, got, want)
				}
			}
		}
	})
}

func throughSnapshot(t *rapid.T, s *sessions) *sessions {
	want := written(t, s)
	back, err := readFrom(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(written(t, back), want) || back.bytes != s.bytes {
		t.Fatalf("the table changed on its way: %d bytes count, were %d", back.bytes, s.bytes)
	}
	return back
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
