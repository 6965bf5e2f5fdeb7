package raft

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestNewRefusesImpossibleStates(t *testing.T) {
	in := voters(1, 2, 3)
	snap := SnapshotMeta{Index: 5, Term: 2, Membership: in}
	var invalid *InvalidStateError
	for name, st := range map[string]State{
		"hole after the start":        {Hard: HardState{Term: 3}, Runs: []Run{{2, 3, 1}}},
		"hole in the log":             {Hard: HardState{Term: 3}, Runs: []Run{{1, 2, 1}, {4, 4, 1}}},
		"overlap":                     {Hard: HardState{Term: 3}, Runs: []Run{{1, 2, 1}, {2, 4, 2}}},
		"empty run":                   {Hard: HardState{Term: 3}, Runs: []Run{{1, 0, 1}}},
		"terms fall":                  {Hard: HardState{Term: 3}, Runs: []Run{{1, 1, 2}, {2, 2, 1}}},
		"term zero":                   {Hard: HardState{Term: 3}, Runs: []Run{{1, 1, 0}}},
		"log newer than the term":     {Hard: HardState{Term: 1}, Runs: []Run{{1, 1, 2}}},
		"log without a term":          {Runs: []Run{{1, 1, 2}}},
		"vote in no term":             {Hard: HardState{Vote: 2}},
		"hole after the snapshot":     {Hard: HardState{Term: 3}, Snapshot: snap, Prev: EntryID{6, 2}, Runs: []Run{{7, 7, 3}}},
		"compacted without snapshot":  {Hard: HardState{Term: 3}, Prev: EntryID{6, 2}, Runs: []Run{{7, 7, 3}}},
		"snapshot's other term":       {Hard: HardState{Term: 3}, Snapshot: snap, Prev: EntryID{5, 1}},
		"snapshot without a term":     {Hard: HardState{Term: 3}, Snapshot: SnapshotMeta{Index: 5, Membership: in}},
		"snapshot without members":    {Hard: HardState{Term: 3}, Snapshot: SnapshotMeta{Index: 5, Term: 2}},
		"snapshot of bad members":     {Hard: HardState{Term: 3}, Snapshot: SnapshotMeta{Index: 5, Term: 2, Membership: voters(2, 1)}},
		"founded by bad members":      {Snapshot: SnapshotMeta{Membership: voters(2, 2)}},
		"prev without an index":       {Hard: HardState{Term: 3}, Prev: EntryID{0, 1}},
		"change outside":              {Hard: HardState{Term: 3}, Runs: []Run{{1, 2, 1}}, Changes: []Change{{3, in}}},
		"changes out of order":        {Hard: HardState{Term: 3}, Runs: []Run{{1, 2, 1}}, Changes: []Change{{2, in}, {1, in}}},
		"bad change":                  {Hard: HardState{Term: 3}, Runs: []Run{{1, 2, 1}}, Changes: []Change{{2, Membership{}}}},
		"a term without a next":       {Hard: HardState{Term: 1<<64 - 1}},
		"an entry without a next":     {Hard: HardState{Term: 3}, Runs: []Run{{1, 1<<64 - 1, 1}}},
		"a snapshot without a next":   {Hard: HardState{Term: 3}, Snapshot: SnapshotMeta{Index: 1<<64 - 1, Term: 2, Membership: in}},
		"snapshot's term has no next": {Hard: HardState{Term: 3}, Snapshot: SnapshotMeta{Index: 5, Term: 1<<64 - 1, Membership: in}},
		"a promise beyond reason":     {Hard: HardState{Term: 3, Promise: 1 << 62}},
		"a negative promise":          {Hard: HardState{Term: 3, Promise: -1}},
		"snapshot contradicts change": {Hard: HardState{Term: 3}, Snapshot: snap, Runs: []Run{{1, 6, 2}}, Changes: []Change{{4, voters(1)}}},
	} {
		n, err := New(Config{ID: 1, ElectionMin: time.Second}, st, 0)
		if !errors.As(err, &invalid) || n != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var bad *InvalidConfigError
	for _, cfg := range []Config{{}, {ID: 1}, {ElectionMin: 1}, {ID: 1, ElectionMin: 1, LeaseDrift: -1}, {ID: 1, ElectionMin: 1 << 62}} {
		if _, err := New(cfg, State{}, 0); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestNewRestores(t *testing.T) {
	st := State{
		Hard:     HardState{Term: 7, Vote: 3},
		Snapshot: SnapshotMeta{Index: 5, Term: 2, Membership: voters(1, 2, 3)},
		Prev:     EntryID{3, 1}, Runs: []Run{{4, 4, 1}, {5, 6, 2}, {7, 8, 2}, {9, 9, 6}},
		Changes: []Change{{4, voters(1, 2, 3)}, {8, voters(1, 2, 3, 4)}},
	}
	s := newSubject(t, st)
	got := s.Status()
	want := Status{ID: 1, Role: Follower, Term: 7, Vote: 3, Commit: 5, First: 4, Last: 9, Durable: 9, Snapshot: 5, Membership: voters(1, 2, 3, 4)}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v\n%+v", got, want)
	}
	if runs := s.Shape().Runs; !slices.Equal(runs, []Run{{4, 4, 1}, {5, 8, 2}, {9, 9, 6}}) {
		t.Fatalf("%v", runs)
	}
	st.Changes[0].Membership, st.Runs[0].Term = Membership{}, 99
	if err := s.Check(); err != nil || !s.MembershipAt(4).Equal(voters(1, 2, 3)) {
		t.Fatal("shares slices with the State")
	}
}

// A crash may leave a snapshot of entries whose own writes were lost, with whatever the log held before them.
func TestNewWithASnapshotAheadOfTheLog(t *testing.T) {
	for name, runs := range map[string][]Run{
		"log ends before":      {{1, 3, 1}},
		"log differs there":    {{1, 3, 1}, {4, 9, 3}},
		"log older everywhere": nil,
	} {
		st := State{Hard: HardState{Term: 3}, Snapshot: SnapshotMeta{Index: 6, Term: 4, Membership: voters(1, 2)}, Runs: runs}
		if len(runs) > 1 {
			st.Changes = []Change{{5, voters(1)}}
		}
		s := newSubject(t, st)
		if got := s.Status(); got.First != 7 || got.Last != 6 || got.Commit != 6 || got.Term != 4 || got.Vote != None || !got.Membership.Equal(voters(1, 2)) {
			t.Errorf("%s: %+v", name, got)
		}
		e := s.do(StepDown{}) // anything
		hard := HardState{Term: 4, Promise: testElection}
		if e.Reset == nil || e.Reset.Index != 6 || *e.Hard != hard || *e.Ack != (Persisted{Term: 4, Last: 6, Hard: hard}) {
			t.Errorf("%s: the disk is not told: %+v", name, e)
		}
		if e = s.do(StepDown{}); !reflect.DeepEqual(e, Effects{}) {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	s := established(t, voters(1, 2, 3), 1, 2)
	s.do(Read{ID: 1})
	a, b := s.Clone(), s.Clone()
	before := a.Status()
	for _, ev := range []Event{
		Propose{Count: 3}, ChangeMembership{Target: voters(1, 2, 3, 4)}, Matched{From: 2, Term: 3, Index: 4},
		Received{2, &HeartbeatReply{Term: 3, Round: 2}}, Received{3, &AppendEntries{Term: 8, Leader: 3, Prev: EntryID{3, 3}, Runs: []Run{{4, 9, 8}}}},
		Elapsed{}, Compacted{Meta: SnapshotMeta{Index: 3, Term: 3}, Through: 2},
	} {
		s.do(ev)
	}
	if got := a.Status(); !reflect.DeepEqual(got, before) {
		t.Fatalf("%+v\n%+v", got, before)
	}
	for _, ev := range []Event{Propose{Count: 1}, Read{ID: 2}, Received{2, &HeartbeatReply{Term: 3, Round: 3}}, StepDown{}, Elapsed{}} {
		if x, y := a.Step(s.at, ev), b.Step(s.at, ev); !reflect.DeepEqual(x, y) {
			t.Fatalf("%+v: clones differ:\n%+v\n%+v", ev, x, y)
		}
	}
}

func TestShape(t *testing.T) {
	s := Shape{Prev: EntryID{3, 1}, Runs: []Run{{4, 5, 1}, {6, 6, 3}, {7, 9, 4}}}
	want := map[Index]Term{3: 1, 4: 1, 5: 1, 6: 3, 7: 4, 8: 4, 9: 4}
	for i := Index(0); i < 12; i++ {
		term, ok := s.TermAt(i)
		if w, in := want[i]; ok != in || term != w {
			t.Errorf("TermAt(%d) = %d, %v", i, term, ok)
		}
		for last := i; last < 12; last++ {
			for term := Term(1); term < 5; term++ {
				in := i > 3
				for j := i; j <= last; j++ {
					in = in && want[j] == term
				}
				if got := s.Contains(Run{i, last, term}); got != in {
					t.Errorf("Contains(%d..%d of %d) = %v", i, last, term, got)
				}
			}
		}
	}
	if s.First() != 4 || s.Last() != 9 || s.LastID() != (EntryID{9, 4}) || !s.Contains(Run{5, 4, 7}) {
		t.Error("ends")
	}
	empty := Shape{Prev: EntryID{3, 1}}
	if empty.First() != 4 || empty.Last() != 3 || empty.LastID() != empty.Prev || empty.Contains(Run{3, 3, 1}) {
		t.Error("empty")
	}
	for _, c := range []struct {
		i    Index
		t    Term
		want EntryID
		ok   bool
	}{
		{20, 9, EntryID{9, 4}, true}, {8, 4, EntryID{8, 4}, true}, {8, 3, EntryID{6, 3}, true}, {8, 2, EntryID{5, 1}, true},
		{6, 1, EntryID{5, 1}, true}, {4, 1, EntryID{4, 1}, true}, {3, 1, EntryID{3, 1}, true}, {8, 0, EntryID{3, 1}, false}, {2, 9, EntryID{}, false},
	} {
		if got, ok := s.lastAtMost(c.i, c.t); got != c.want || ok != c.ok {
			t.Errorf("lastAtMost(%d, %d) = %v, %v", c.i, c.t, got, ok)
		}
	}
}

func TestShapeHandedOutDoesNotChange(t *testing.T) {
	s := established(t, voters(1, 2, 3), 1, 2)
	got := s.Shape()
	before := got.clone()
	s.sync(Propose{Count: 5})
	s.get(2, &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{3, 3}, Runs: []Run{{4, 4, 9}}})
	s.sync(Compacted{Meta: SnapshotMeta{Index: 3, Term: 3}, Through: 3})
	if !reflect.DeepEqual(got, before) {
		t.Fatalf("%+v\n%+v", got, before)
	}
}

// A clock that goes back does not confuse the rules.
func TestTimeNeverGoesBack(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.beaten(2, 0, s.at)
	s.at += testElection
	s.do(LeaseRead{ID: 1})
	s.at -= testElection
	if e := s.do(LeaseRead{ID: 2}); len(e.Reads) != 0 {
		t.Fatal("an old time revived the lease")
	}
}
