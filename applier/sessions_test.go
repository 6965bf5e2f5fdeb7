package applier

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// limits are those of most tests.
func limits(ttl time.Duration, sessions int) SessionLimits {
	return SessionLimits{TTL: ttl, Sessions: sessions, Table: 256 << 20, Answers: 64, Bytes: 1 << 20, Keep: 2}
}

var hour = limits(time.Hour, 10)

func openAt(t testing.TB, s *sessions, index raft.Index, stamp int64, ttl time.Duration, limit int) uint64 {
	t.Helper()
	return openWith(t, s, index, stamp, limits(ttl, limit))
}

func openWith(t testing.TB, s *sessions, index raft.Index, stamp int64, l SessionLimits) uint64 {
	t.Helper()
	if _, err := s.open(&entry.Entry{Index: index, Stamp: stamp, Data: EncodeOpen(l)}); err != nil {
		t.Fatal(err)
	}
	return uint64(index)
}

func openEntry(index raft.Index, stamp, ttl int64, limit int) *entry.Entry {
	return &entry.Entry{Index: index, Stamp: stamp, Data: EncodeOpen(limits(time.Duration(ttl)*time.Millisecond, limit))}
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
	}{{100, nil}, {37, nil}, {36, ErrSessionForgotten}, {1, ErrSessionForgotten}, {0, ErrSessionOrder}, {102, ErrSessionOrder}, {math.MaxUint64, ErrSessionOrder}} {
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
