package raft_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// simpleRaftEntries are those of simple_raft's log tests, the first of which is empty and the last of a term as much higher as a message may bring.
func simpleRaftEntries() []raft.CommittedEntry {
	return []raft.CommittedEntry{
		{Index: 1, Term: 1, Data: []byte{}},
		{Index: 2, Term: 1, Data: []byte{2}},
		{Index: 3, Term: 2, Data: []byte{3, 3}},
		{Index: 4, Term: 9, Data: bytes.Repeat([]byte{4}, 100)},
		{Index: 5, Term: raft.MaxTermJump, Data: bytes.Repeat([]byte{5}, 100)},
	}
}

// appended feeds a follower one entry, as its leader in term would, and reports whether it took it.
func appended(t *testing.T, r *raft.Replica, term raft.Term, prev raft.EntryID, e raft.CommittedEntry) bool {
	t.Helper()
	r.TakePackets()
	r.Receive(2, raft.Packet{From: 2, To: 1, Data: [][]byte{e.Data}, Kinds: []raft.Kind{e.Kind}, Message: &raft.AppendEntries{
		Term: term, Leader: 2, Prev: prev, Runs: []raft.Run{{First: e.Index, Last: e.Index, Term: e.Term}},
	}})
	for _, p := range r.TakePackets() {
		if m, ok := p.Message.(*raft.AppendEntriesReply); ok {
			return m.Success
		}
	}
	t.Fatalf("no answer to entry %d", e.Index)
	return false
}

// verifyLog is simple_raft's verify_log: exactly these entries, after prev.
func verifyLog(t *testing.T, r *raft.Replica, prev raft.EntryID, want []raft.CommittedEntry) {
	t.Helper()
	s, d := r.Status(), r.Durable()
	if s.First != prev.Index+1 || s.Last != prev.Index+raft.Index(len(want)) || d.Prev != prev {
		t.Fatalf("log %d..%d after %v, want %d entries after %v", s.First, s.Last, d.Prev, len(want), prev)
	}
	if !slices.EqualFunc(d.Entries, want, func(a, b raft.CommittedEntry) bool {
		return a.Index == b.Index && a.Term == b.Term && a.Kind == b.Kind && bytes.Equal(a.Data, b.Data)
	}) {
		t.Fatalf("log %+v, want %+v", d.Entries, want)
	}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestSimpleRaftLog is simple_raft's src/log/tests.rs on the log in memory, which a Replica keeps. Package persister runs the
// same on disk.
func TestSimpleRaftLog(t *testing.T) {
	t.Run("test_log_empty", func(t *testing.T) {
		r := lone(t, 3)
		verifyLog(t, r, raft.EntryID{}, nil)
		if got := r.TakeCommitted(); len(got) != 0 {
			t.Fatalf("%+v", got)
		}
	})
	t.Run("test_log_append", func(t *testing.T) { filledLog(t, simpleRaftEntries()) })
	// Nothing is cancelled but by what replaces it: n entries go when another one comes in the place of the first of them.
	t.Run("test_log_cancel_from", func(t *testing.T) {
		entries := simpleRaftEntries()[:4]
		r := filledLog(t, entries)
		for i, n := range []int{1, 2, 1} {
			term, last := raft.Term(10+i), entries[len(entries)-1]
			for _, beyond := range []raft.Index{2, 3} {
				far := raft.CommittedEntry{Index: last.Index + beyond, Term: term}
				if appended(t, r, term, raft.EntryID{Index: far.Index - 1, Term: term}, far) {
					t.Fatalf("took entry %d after %d", far.Index, last.Index)
				}
				verifyLog(t, r, raft.EntryID{}, entries)
			}
			kept := entries[:len(entries)-n]
			prev := raft.EntryID{}
			if len(kept) > 0 {
				prev = entryID(kept[len(kept)-1])
			}
			by := raft.CommittedEntry{Index: prev.Index + 1, Term: term, Data: []byte{byte(term)}}
			if !appended(t, r, term, prev, by) {
				t.Fatalf("entry %d refused", by.Index)
			}
			entries = append(slices.Clone(kept), by)
			verifyLog(t, r, raft.EntryID{}, entries)
		}
	})
	// Only what was taken may be discarded, and the term of the last discarded entry stays known.
	t.Run("take_next", func(t *testing.T) {
		entries := simpleRaftEntries()[:4]
		r := filledLog(t, entries)
		commit := &raft.Heartbeat{Term: 9, Leader: 2, Commit: entryID(entries[2])}
		r.Receive(2, raft.Packet{From: 2, To: 1, Message: commit})
		if err := r.Compact(3, nil, 0); !errors.Is(err, raft.ErrNotTaken) {
			t.Fatal(err)
		}
		verifyLog(t, r, raft.EntryID{}, entries)
		if got := r.TakeCommitted(); len(got) != 3 || got[2].Index != 3 {
			t.Fatalf("%+v", got)
		}
		if got := r.TakeCommitted(); len(got) != 0 {
			t.Fatalf("taken twice: %+v", got)
		}
		if err := r.Compact(4, nil, 0); !errors.Is(err, raft.ErrNotTaken) {
			t.Fatal(err)
		}
		if err := r.Compact(3, []byte("state"), 0); err != nil {
			t.Fatal(err)
		}
		verifyLog(t, r, entryID(entries[2]), entries[3:])
		if !appended(t, r, 9, entryID(entries[3]), raft.CommittedEntry{Index: 5, Term: 9}) {
			t.Fatal("does not go on after it was compacted")
		}
	})
}

func entryID(e raft.CommittedEntry) raft.EntryID { return raft.EntryID{Index: e.Index, Term: e.Term} }

// filledLog is a follower with these entries, each appended alone and verified, in the term of the last.
func filledLog(t *testing.T, entries []raft.CommittedEntry) *raft.Replica {
	t.Helper()
	r, prev := lone(t, 3), raft.EntryID{}
	for i, e := range entries {
		if !appended(t, r, entries[len(entries)-1].Term, prev, e) {
			t.Fatalf("entry %d refused", e.Index)
		}
		verifyLog(t, r, raft.EntryID{}, entries[:i+1])
		prev = entryID(e)
	}
	return r
}
