package raft

import (
	"fmt"
	"slices"
	"testing"
)

// ruaftLog is ruaft's default_log_array: entries 9 to 16 after a snapshot at 8, entry i of term i/3.
func ruaftLog() Shape { return ruaftRange(8, 17) }

// ruaftRange is its make_log_array_range: what it keeps as the first element is Prev here.
func ruaftRange(start, end Index) Shape {
	s := Shape{Prev: EntryID{Index: start, Term: Term(start / 3)}}
	for i := start + 1; i < end; i++ {
		s.extend(Run{First: i, Last: i, Term: Term(i / 3)})
	}
	return s
}

// ruaftFollower is a follower in term 9 with that log, of which the snapshot alone is committed.
func ruaftFollower(t testing.TB) *subject {
	s := ruaftLog()
	return newSubject(t, State{
		Hard: HardState{Term: 9}, Prev: s.Prev, Runs: s.Runs,
		Snapshot: SnapshotMeta{Index: s.Prev.Index, Term: s.Prev.Term, Membership: voters(1, 2, 3)},
	})
}

// appendAt lets the leader of term 9 send count entries of its term from index on, and reports whether they were taken.
func (s *subject) appendAt(index Index, count Index) bool {
	s.t.Helper()
	prev := EntryID{Index: index - 1, Term: Term((index - 1) / 3)}
	e := s.get(2, &AppendEntries{Term: 9, Leader: 2, Prev: prev, Runs: []Run{{index, index + count - 1, 9}}})
	r, _ := sent[*AppendEntriesReply](s.t, e, 2)
	return r.Success
}

// sameLog requires entries prev+1..last, those before changed of term i/3 and the others of term 9.
func sameLog(t testing.TB, s Shape, prev, last, changed Index) {
	t.Helper()
	if s.Prev.Index != prev || s.Last() != last {
		t.Errorf("log %d..%d, want %d..%d", s.First(), s.Last(), prev+1, last)
	}
	for i := prev; i <= last; i++ {
		want := Term(i / 3)
		if i >= changed {
			want = 9
		}
		if got, ok := s.TermAt(i); !ok || got != want {
			t.Errorf("entry %d: term %d, %v, want %d", i, got, ok, want)
		}
	}
	if err := s.validate(); err != nil {
		t.Error(err)
	}
}

const never9 = Index(1 << 60) // for sameLog: nothing is of term 9

// TestRuaftLogArray is ruaft's log_array.rs over Shape and the Node that owns it. Where ruaft panics on an index out of range, the
// accessors here say so by their second result, foreign messages are dropped, and a broken invariant stops the node.
func TestRuaftLogArray(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"test_create": func(t *testing.T) {
			s := newSubject(t, State{})
			if term, ok := s.TermAt(0); s.FirstIndex() != 1 || s.LastIndex() != 0 || term != 0 || !ok {
				t.Errorf("%+v", s.Status())
			}
		},
		"test_start": func(t *testing.T) {
			if a, b := ruaftRange(9, 17), ruaftRange(0, 9); a.First() != 10 || b.First() != 1 {
				t.Error(a.First(), b.First())
			}
		},
		"test_end": func(t *testing.T) {
			if a, b := ruaftRange(0, 7), ruaftRange(8, 17); a.Last() != 6 || b.Last() != 16 {
				t.Error(a.Last(), b.Last())
			}
		},
		"test_accessors": func(t *testing.T) {
			s := ruaftLog()
			if s.Prev != (EntryID{8, 2}) || s.LastID() != (EntryID{16, 5}) || len(s.Runs) != 3 {
				t.Errorf("%+v", s)
			}
			sameLog(t, s, 8, 16, never9)
		},
		"test_at":                ruaftAt,
		"test_check_start_index": ruaftAt,
		"test_first_after": func(t *testing.T) {
			s := ruaftLog()
			for next, want := range map[Index]Advice{1: SendSnapshot, 8: SendSnapshot, 9: SendEntries, 10: SendEntries, 17: SendProbe} {
				if got := NewProgress(Pace{}, next-1).Advise(0, s.First(), s.Last()); got != want {
					t.Errorf("from %d: advice %d, want %d", next, got, want)
				}
			}
		},
		"test_index_operator": func(t *testing.T) {
			s := ruaftLog()
			for i := Index(0); i < 20; i++ {
				term, ok := s.TermAt(i)
				if got := s.Contains(Run{i, i, term}); got != (ok && i > 8) || got && s.Contains(Run{i, i, term + 1}) {
					t.Errorf("entry %d: %v", i, got)
				}
			}
		},
		"test_after":   func(t *testing.T) { ruaftSlice(t, 12, 16) },
		"test_between": func(t *testing.T) { ruaftSlice(t, 10, 16); ruaftSlice(t, 9, 16); ruaftSlice(t, 11, 13) },
		"test_private_accessors": func(t *testing.T) {
			if s := ruaftLog(); s.First() != 9 || s.Last() != 16 || s.runOf(8) != -1 || s.runOf(9) != 0 || s.runOf(16) != 2 || s.runOf(17) != -1 {
				t.Errorf("%+v", s)
			}
		},
		// ruaft's array always holds one element. An empty log is fine here: Prev stands for what is before.
		"test_check_one_element": func(t *testing.T) {
			s := Shape{Prev: EntryID{8, 2}}
			if term, ok := s.TermAt(8); term != 2 || !ok || s.First() != 9 || s.Last() != 8 || s.LastID() != s.Prev || s.validate() != nil {
				t.Errorf("%+v", s)
			}
		},
		"test_log_entry_command": ruaftKinds,
		"test_integration_test":  ruaftIntegration,
	} {
		t.Run(name, test)
	}
}

func ruaftAt(t *testing.T) {
	s := ruaftLog()
	for i := Index(0); i < 25; i++ {
		term, ok := s.TermAt(i)
		if in := i >= 8 && i <= 16; ok != in || in && term != Term(i/3) || !in && term != 0 {
			t.Errorf("entry %d: term %d, %v", i, term, ok)
		}
	}
}

// ruaftSlice reads entries first to last with their payload, which a Replica keeps.
func ruaftSlice(t *testing.T, first, last Index) {
	t.Helper()
	l := memoryLog{prev: EntryID{8, 2}}
	for i := Index(9); i < 17; i++ {
		l.apply(write{entries: []CommittedEntry{{Index: i, Term: Term(i / 3), Data: fmt.Append(nil, i)}}})
	}
	got := l.slice(first, last)
	if Index(len(got)) != last-first+1 {
		t.Fatalf("%d entries in %d..%d", len(got), first, last)
	}
	for k, e := range got {
		if i := first + Index(k); e.Index != i || e.Term != Term(i/3) || string(e.Data) != fmt.Sprint(i) {
			t.Errorf("%+v in place of %d", e, i)
		}
	}
	kept := slices.Clone(got)
	l.apply(write{entries: []CommittedEntry{{Index: first, Term: 9}}}) // what was lent stays as it was
	if !slices.EqualFunc(got, kept, func(a, b CommittedEntry) bool { return a.Term == b.Term && a.Index == b.Index }) {
		t.Errorf("a slice changed under its reader: %+v", got)
	}
}

// ruaftKinds: commands carry data; what the rules append themselves does not.
func ruaftKinds(t *testing.T) {
	rs, deliver := trio(t, false)
	if _, err := rs[1].Propose([]byte("1")); err != nil {
		t.Fatal(err)
	}
	deliver()
	if _, err := rs[1].ChangeMembers(Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}); err != nil {
		t.Fatal(err)
	}
	deliver()
	got := rs[1].TakeCommitted()
	if len(got) != 3 || got[0].Kind != NoOp || got[0].Data != nil || got[1].Kind != Command || string(got[1].Data) != "1" ||
		got[2].Kind != Reconfigure || got[2].Data != nil || got[2].Membership == nil {
		t.Errorf("%+v", got)
	}
}

// ruaftIntegration is one long life of a log: it grows, loses its end, its beginning, and all of itself.
func ruaftIntegration(t *testing.T) {
	s := newSubject(t, State{Hard: HardState{Term: 7}, Snapshot: SnapshotMeta{Membership: voters(1, 2, 3)}})
	send := func(m *AppendEntries) {
		t.Helper()
		m.Term, m.Leader = max(m.Term, 7), 2
		if r, _ := sent[*AppendEntriesReply](t, s.get(2, m), 2); !r.Success {
			t.Fatalf("refused %+v", m)
		}
	}
	ends := func(first, last Index, term Term) {
		t.Helper()
		if got, _ := s.TermAt(s.LastIndex()); s.FirstIndex() != first || s.LastIndex() != last || got != term {
			t.Fatalf("log %d..%d, the last of term %d; want %d..%d, %d", s.FirstIndex(), s.LastIndex(), got, first, last, term)
		}
	}
	send(&AppendEntries{Runs: []Run{{1, 2, 3}, {3, 4, 4}, {5, 104, 5}}})
	ends(1, 104, 5)
	send(&AppendEntries{Prev: EntryID{49, 5}, Runs: []Run{{50, 50, 7}}})
	ends(1, 50, 7)
	if term, _ := s.TermAt(5); term != 5 || s.Snapshot().Index != 0 {
		t.Fatalf("entry 5 of term %d, snapshot %+v", term, s.Snapshot())
	}
	s.get(2, &Heartbeat{Term: 7, Leader: 2, Commit: EntryID{5, 5}})
	s.sync(Compacted{Meta: SnapshotMeta{Index: 5, Term: 5}, Through: 5})
	ends(6, 50, 7)
	if term, ok := s.TermAt(5); term != 5 || !ok || s.Snapshot().Index != 5 {
		t.Fatalf("entry 5 of term %d, snapshot %+v", term, s.Snapshot())
	}
	if _, ok := s.TermAt(4); ok {
		t.Fatal("entry 4 is still there")
	}
	if sh := s.Shape(); !sh.Contains(Run{20, 40, 5}) || sh.Contains(Run{5, 40, 5}) || sh.Contains(Run{40, 50, 5}) {
		t.Fatalf("%+v", sh)
	}
	s.get(2, &InstallSnapshot{Term: 7, Leader: 2, Snapshot: SnapshotMeta{Index: 90, Term: 7, Membership: voters(1, 2, 3)}})
	ends(91, 90, 7)
	if s.CommitIndex() != 90 || s.Snapshot().Index != 90 {
		t.Fatalf("%+v", s.Status())
	}
}
