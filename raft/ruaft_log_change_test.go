package raft

import (
	"errors"
	"slices"
	"testing"
)

// TestRuaftLogArrayChanges is the part of ruaft's log_array.rs that changes the log: there by calls that panic, here by what
// a leader, a disk and a snapshot may ask of a node.
func TestRuaftLogArrayChanges(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"test_add_command": func(t *testing.T) {
			s := established(t, voters(1, 2, 3), 1, 2, 7) // now in term 8
			e := s.sync(Propose{Count: 1})
			if want := (Run{5, 5, 8}); *e.Proposed != want || e.Append[0] != (Appended{Run: want, Kind: Command}) || s.LastIndex() != 5 {
				t.Errorf("%+v", e)
			}
		},
		"test_add_term_change": func(t *testing.T) {
			s := leading(t, voters(1, 2, 3), 1, 2, 7)
			if term, _ := s.TermAt(4); term != 8 || s.LastIndex() != 4 {
				t.Errorf("%+v", s.Status())
			}
		},
		"test_push": func(t *testing.T) {
			s := ruaftFollower(t)
			if !s.appendAt(17, 1) {
				t.Error("refused")
			}
			sameLog(t, s.Shape(), 8, 17, 17)
		},
		"test_push_small_index":      func(t *testing.T) { ruaftMalformed(t, Run{15, 15, 9}, Run{16, 16, 9}) },
		"test_push_big_index":        func(t *testing.T) { ruaftMalformed(t, Run{18, 18, 9}, Run{19, 20, 9}) },
		"test_push_falling_term":     func(t *testing.T) { ruaftMalformed(t, Run{17, 17, 4}, Run{17, 17, 10}, Run{17, 17, 0}) },
		"test_truncate":              ruaftTruncate,
		"test_truncate_at_start":     func(t *testing.T) { ruaftCommittedStays(t, EntryID{7, 2}) },
		"test_truncate_before_start": func(t *testing.T) { ruaftCommittedStays(t, EntryID{5, 1}) },
		"test_truncate_at_end": func(t *testing.T) { // nothing is there to be removed
			s := ruaftFollower(t)
			if e := s.get(2, &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{16, 5}}); len(e.Append) != 0 {
				t.Errorf("%+v", e)
			}
			sameLog(t, s.Shape(), 8, 16, never9)
		},
		"test_truncate_after_end": func(t *testing.T) {
			s := ruaftFollower(t)
			if s.appendAt(18, 1) {
				t.Error("took an entry after a gap")
			}
			sameLog(t, s.Shape(), 8, 16, never9)
		},
		"test_shift":              ruaftShift,
		"test_shift_before_start": func(t *testing.T) { ruaftShiftChangesNothing(t, SnapshotMeta{Index: 7, Term: 2}) },
		"test_shift_at_start":     func(t *testing.T) { ruaftShiftChangesNothing(t, SnapshotMeta{Index: 8, Term: 2}) },
		"test_shift_at_end":       func(t *testing.T) { ruaftShiftBreaks(t, SnapshotMeta{Index: 17, Term: 5}) },
		"test_shift_after_end":    func(t *testing.T) { ruaftShiftBreaks(t, SnapshotMeta{Index: 18, Term: 5}) },
		"test_reset": func(t *testing.T) {
			s := ruaftFollower(t)
			meta := SnapshotMeta{Index: 88, Term: 99, Membership: voters(1, 2)}
			e := s.get(2, &InstallSnapshot{Term: 99, Leader: 2, Snapshot: meta})
			if sh := s.Shape(); len(sh.Runs) != 0 || sh.Prev != (EntryID{88, 99}) || e.Reset == nil || e.Reset.Index != 88 || s.CommitIndex() != 88 {
				t.Errorf("%+v, %+v", sh, e)
			}
		},
		"test_check_range_index":                  ruaftRangeIndex,
		"test_check_middle_index":                 ruaftMiddleIndex,
		"test_validate_or_panic_current_term":     ruaftCurrentTerm,
		"test_validate_or_panic_increasing_term":  ruaftIncreasingTerm,
		"test_validate_or_panic_increasing_index": ruaftIncreasingIndex,
	} {
		t.Run(name, test)
	}
}

// ruaftMalformed: entries that do not follow each other come from no leader, and change nothing.
func ruaftMalformed(t *testing.T, runs ...Run) {
	t.Helper()
	for _, r := range runs {
		s := ruaftFollower(t)
		if e := s.get(2, &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{16, 5}, Runs: []Run{r}}); len(e.Send)+len(e.Append) != 0 {
			t.Errorf("%v: %+v", r, e)
		}
		sameLog(t, s.Shape(), 8, 16, never9)
	}
}

// ruaftCommittedStays: another entry in the place of one that the snapshot covers is refused.
func ruaftCommittedStays(t *testing.T, prev EntryID) {
	t.Helper()
	s := ruaftFollower(t)
	s.impossible(Contradicts, 2, &AppendEntries{Term: 9, Leader: 2, Prev: prev, Runs: []Run{{prev.Index + 1, 20, 9}}})
}

func ruaftShiftChangesNothing(t *testing.T, meta SnapshotMeta) {
	t.Helper()
	s := ruaftFollower(t)
	s.sync(Compacted{Meta: meta, Through: meta.Index})
	sameLog(t, s.Shape(), 8, 16, never9)
	if s.Snapshot().Index != 8 {
		t.Errorf("%+v", s.Snapshot())
	}
}

func ruaftShiftBreaks(t *testing.T, meta SnapshotMeta) {
	t.Helper()
	s := ruaftFollower(t)
	s.get(2, &Heartbeat{Term: 9, Leader: 2, Commit: EntryID{16, 5}})
	if s.CommitIndex() != 16 {
		t.Fatalf("commit %d", s.CommitIndex())
	}
	breaks(t, "State Machine Safety", func() { s.Step(s.at, Compacted{Meta: meta, Through: meta.Index}) })
}

// ruaftRangeIndex: an append may begin anywhere up to the end of the log, and not one further.
func ruaftRangeIndex(t *testing.T) {
	for _, c := range []struct {
		index Index
		ok    bool
	}{{9, true}, {10, true}, {16, true}, {17, true}, {18, false}, {22, false}} {
		s := ruaftFollower(t)
		if got := s.appendAt(c.index, 2); got != c.ok {
			t.Errorf("append at %d: %v", c.index, got)
		}
	}
}

// ruaftMiddleIndex: what is not committed may be replaced, and nothing else.
func ruaftMiddleIndex(t *testing.T) {
	const commit = 11
	for index := Index(9); index <= 18; index++ {
		s := ruaftFollower(t)
		s.get(2, &Heartbeat{Term: 9, Leader: 2, Commit: EntryID{commit, 3}})
		switch {
		case index <= commit:
			prev := EntryID{index - 1, Term((index - 1) / 3)}
			s.impossible(Contradicts, 2, &AppendEntries{Term: 9, Leader: 2, Prev: prev, Runs: []Run{{index, index, 9}}})
		case index <= 16:
			if s.appendAt(index, 1); s.LastIndex() != index {
				t.Errorf("at %d: log ends at %d", index, s.LastIndex())
			}
		default:
			if s.appendAt(index, 1) != (index == 17) {
				t.Errorf("append at %d", index)
			}
		}
	}
}

// ruaftStarts requires that a server starts from a log of these runs in this term, or that none does.
func ruaftStarts(t *testing.T, term Term, ok bool, runs ...Run) {
	t.Helper()
	var bad *InvalidStateError
	_, err := New(Config{ID: 1, ElectionMin: testElection}, State{Hard: HardState{Term: term}, Runs: runs}, 0)
	if ok && err != nil || !ok && !errors.As(err, &bad) {
		t.Errorf("log %v in term %d: %v", runs, term, err)
	}
}

func ruaftCurrentTerm(t *testing.T) {
	runs := ruaftRange(0, 7).Runs
	runs[0].Term = 1 // there is no term 0
	last := runs[len(runs)-1].Term
	ruaftStarts(t, last, true, runs...)
	ruaftStarts(t, last+1, true, runs...)
	ruaftStarts(t, last-1, false, runs...)
}

func ruaftIncreasingTerm(t *testing.T) {
	runs := []Run{{1, 1, 1}, {2, 3, 2}, {4, 6, 3}}
	ruaftStarts(t, 4, true, runs...)
	runs[0].Term = 3
	ruaftStarts(t, 4, false, runs...)
}

func ruaftIncreasingIndex(t *testing.T) {
	runs := []Run{{1, 1, 1}, {2, 2, 2}, {3, 3, 3}}
	ruaftStarts(t, 4, true, runs...)
	for _, wrong := range []Run{{1, 1, 2}, {3, 3, 2}, {2, 3, 2}, {1, 2, 2}} {
		bad := slices.Clone(runs)
		bad[1] = wrong
		ruaftStarts(t, 4, false, bad...)
	}
}

func ruaftTruncate(t *testing.T) {
	s := ruaftFollower(t)
	for _, at := range []Index{13, 9} {
		if !s.appendAt(at, 1) {
			t.Errorf("refused at %d", at)
		}
		sameLog(t, s.Shape(), 8, at, at)
		s = ruaftFollower(t)
	}
}

func ruaftShift(t *testing.T) {
	s := ruaftFollower(t)
	s.get(2, &Heartbeat{Term: 9, Leader: 2, Commit: EntryID{12, 4}})
	s.sync(Compacted{Meta: SnapshotMeta{Index: 10, Term: 3}, Through: 10})
	sameLog(t, s.Shape(), 10, 16, never9)
	if s.Snapshot().Index != 10 {
		t.Errorf("%+v", s.Snapshot())
	}
	// SnapshotNotCommitted: entry 13 is here, but nobody applied it
	breaks(t, "State Machine Safety", func() { s.Step(s.at, Compacted{Meta: SnapshotMeta{Index: 13, Term: 4}, Through: 13}) })
}
