package raft

import (
	"slices"
	"testing"
)

func TestInstallSnapshot(t *testing.T) {
	in := voters(1, 2, 3)
	for _, c := range []struct {
		name   string
		log    []Term
		commit Index
		at     EntryID
		reset  bool
		shape  Shape
		want   Index // commit and match
	}{
		{"into an empty log", nil, 0, EntryID{7, 3}, true, Shape{Prev: EntryID{7, 3}}, 7},
		{"beyond the log", []Term{1, 1, 2}, 1, EntryID{7, 3}, true, Shape{Prev: EntryID{7, 3}}, 7},
		{"entry in the log: the rest stays", []Term{1, 1, 2, 2}, 1, EntryID{3, 2}, false, Shape{Runs: logOf(1, 1, 2, 2)}, 3},
		{"last entry of the log", []Term{1, 1, 2}, 1, EntryID{3, 2}, false, Shape{Runs: logOf(1, 1, 2)}, 3},
		{"conflicting tail goes", []Term{1, 1, 2, 2, 2}, 1, EntryID{3, 3}, true, Shape{Prev: EntryID{3, 3}}, 3},
		{"at the commit index", []Term{1, 1, 2}, 2, EntryID{2, 1}, false, Shape{Runs: logOf(1, 1, 2)}, 2},
		{"below the commit index", []Term{1, 1, 2}, 3, EntryID{2, 1}, false, Shape{Runs: logOf(1, 1, 2)}, 3},
	} {
		s := newSubject(t, disk(in, 4, c.log...))
		if c.commit > 0 {
			s.get(2, &Heartbeat{Term: 4, Leader: 2, Commit: EntryID{c.commit, c.log[c.commit-1]}})
		}
		e := s.do(Received{2, &InstallSnapshot{Term: 4, Leader: 2, Snapshot: SnapshotMeta{Index: c.at.Index, Term: c.at.Term, Membership: voters(1, 2, 5)}}})
		if (e.Reset != nil) != c.reset || c.reset && e.Reset.Index != c.at.Index {
			t.Errorf("%s: reset %+v", c.name, e.Reset)
		}
		if got := s.Shape(); got.Prev != c.shape.Prev || !slices.Equal(got.Runs, c.shape.Runs) {
			t.Errorf("%s: log %+v, want %+v", c.name, got, c.shape)
		}
		r, o := sent[*InstallSnapshotReply](t, e, 2)
		if *r != (InstallSnapshotReply{Term: 4, Match: c.want}) || !o.AfterSync || s.CommitIndex() != c.want {
			t.Errorf("%s: %+v, commit %d", c.name, r, s.CommitIndex())
		}
		wantMembers := in
		if c.reset {
			wantMembers = voters(1, 2, 5)
			if e.Membership == nil || e.Membership.Index != c.at.Index || e.Ack == nil || e.Ack.Last != c.at.Index {
				t.Errorf("%s: %+v", c.name, e)
			}
		}
		if !s.Membership().Equal(wantMembers) {
			t.Errorf("%s: members %v", c.name, s.Membership())
		}
		if e.Patience != WaitAfresh || s.Leader() != 2 {
			t.Errorf("%s: no contact with the leader", c.name)
		}
	}
}

func TestSnapshotOlderThanWhatIsCommitted(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 5, 1, 4))
	s.get(2, &Heartbeat{Term: 5, Leader: 2, Commit: EntryID{2, 4}})
	s.impossible(Contradicts, 2, &InstallSnapshot{Term: 5, Leader: 2, Snapshot: SnapshotMeta{Index: 9, Term: 3, Membership: voters(1)}})
}

// A late confirmation of what the snapshot replaced is none of what follows it.
func TestLateConfirmationAfterASnapshot(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	late := s.do(Received{2, &AppendEntries{Term: 4, Leader: 2, Runs: []Run{{1, 9, 3}}}}).Ack
	s.do(Received{2, &InstallSnapshot{Term: 4, Leader: 2, Snapshot: SnapshotMeta{Index: 6, Term: 4, Membership: voters(1, 2, 3)}}})
	fresh := s.do(Received{2, &AppendEntries{Term: 4, Leader: 2, Prev: EntryID{6, 4}, Runs: []Run{{7, 10, 4}}}}).Ack
	if s.do(*late); s.Status().Durable != 6 {
		t.Fatalf("durable %d", s.Status().Durable)
	}
	if s.do(*fresh); s.Status().Durable != 10 {
		t.Fatalf("durable %d", s.Status().Durable)
	}
}

// A membership beyond the snapshot, in entries that the snapshot replaces, is gone with them (openraft issue 1808).
func TestSnapshotDropsUncommittedMembership(t *testing.T) {
	st := disk(voters(1, 2, 3), 4, 1, 2, 2)
	st.Changes = []Change{{3, voters(1)}}
	s := newSubject(t, st)
	s.get(2, &InstallSnapshot{Term: 4, Leader: 2, Snapshot: SnapshotMeta{Index: 2, Term: 3, Membership: voters(1, 2, 3)}})
	if !s.Membership().Equal(voters(1, 2, 3)) || s.LastIndex() != 2 {
		t.Fatalf("%+v", s.Status())
	}
	s = newSubject(t, st) // and stays with the ones that it does not
	s.get(2, &InstallSnapshot{Term: 4, Leader: 2, Snapshot: SnapshotMeta{Index: 2, Term: 2, Membership: voters(1, 2, 3)}})
	if !s.Membership().Equal(voters(1)) || s.LastIndex() != 3 {
		t.Fatalf("%+v", s.Status())
	}
}

// A snapshot makes a learner of a server that it does not name, and a voter of one that waits to be added.
func TestSnapshotChangesRole(t *testing.T) {
	for _, c := range []struct {
		before, after Membership
		want          Role
		patience      Patience
	}{
		{voters(1, 2, 3), voters(2, 3), Learner, StopWaiting},
		{Membership{}, voters(1, 2, 3), Follower, WaitAfresh},
		{Membership{}, Membership{Voters: []NodeID{2}, Learners: []NodeID{1}}, Learner, KeepWaiting},
	} {
		s := newSubject(t, disk(c.before, 4))
		e := s.get(2, &InstallSnapshot{Term: 4, Leader: 2, Snapshot: SnapshotMeta{Index: 2, Term: 3, Membership: c.after}})
		if s.Role() != c.want || e.Patience != c.patience {
			t.Errorf("%v: %v, patience %v", c.after, s.Role(), e.Patience)
		}
	}
}

func TestInstallReplyCounts(t *testing.T) {
	s := leading(t, voters(1, 2, 3), 1, 1)
	s.get(2, &InstallSnapshotReply{Term: s.Term(), Match: 2})
	if st := s.Status(); st.Match[2] != 2 || st.Commit != 0 {
		t.Fatalf("%+v", st)
	}
	if e := s.get(2, &InstallSnapshotReply{Term: s.Term(), Match: 3}); e.Commit.Index != 3 {
		t.Fatalf("%+v", e)
	}
}

func TestCompacted(t *testing.T) {
	fresh := func() *subject {
		s := established(t, voters(1, 2, 3), 1, 1, 2, 2) // its no-op is entry 5, of term 3
		s.sync(ChangeMembership{Target: voters(1, 2), Force: true})
		s.matched(2, 6)
		s.sync(ChangeMembership{Target: voters(1, 2, 4), Force: true}) // entry 7, not committed
		return s
	}
	s := fresh()
	if got := s.MembershipAt(5); !got.Equal(voters(1, 2, 3)) {
		t.Fatalf("%v", got)
	}
	e := s.do(Compacted{Meta: SnapshotMeta{Index: 6, Term: 3, Membership: voters(1, 2)}, Through: 3})
	if e.Ack != nil || e.Membership != nil || s.FirstIndex() != 4 || s.LastIndex() != 7 || s.Snapshot().Index != 6 {
		t.Fatalf("%+v, %+v", e, s.Status())
	}
	if term, ok := s.TermAt(3); !ok || term != 2 {
		t.Fatalf("the term before the first entry: %d, %v", term, ok)
	}
	if _, ok := s.TermAt(2); ok {
		t.Fatal("a compacted term is known")
	}
	if !s.Membership().Equal(voters(1, 2, 4)) || !s.MembershipAt(6).Equal(voters(1, 2)) || !s.MembershipAt(5).IsZero() {
		t.Fatal("memberships")
	}
	s.do(Compacted{Meta: SnapshotMeta{Index: 4, Term: 2, Membership: voters(1, 2, 3)}, Through: 99}) // an older one
	if s.Snapshot().Index != 6 || s.FirstIndex() != 5 {
		t.Fatalf("%+v", s.Status())
	}
	s.do(Compacted{Meta: SnapshotMeta{Index: 6, Term: 3}, Through: 99})
	if s.FirstIndex() != 7 || s.LastIndex() != 7 || !s.Membership().Equal(voters(1, 2, 4)) || !s.MembershipAt(6).Equal(voters(1, 2)) {
		t.Fatalf("%+v", s.Status())
	}
	// The uncommitted change can still be rolled back to what the snapshot knows.
	got := s.get(2, &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{6, 3}, Runs: []Run{{7, 7, 9}}})
	if got.Membership == nil || !s.Membership().Equal(voters(1, 2)) {
		t.Fatalf("%+v", got.Membership)
	}
	for name, meta := range map[string]SnapshotMeta{
		"not committed":      {Index: 7, Term: 3, Membership: voters(1, 2, 4)},
		"wrong term":         {Index: 6, Term: 2, Membership: voters(1, 2)},
		"later membership":   {Index: 6, Term: 3, Membership: voters(1, 2, 4)},
		"earlier membership": {Index: 6, Term: 3, Membership: voters(1, 2, 3)},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh()
			breaks(t, "State Machine Safety", func() { s.Step(s.at, Compacted{Meta: meta, Through: 1}) })
		})
	}
}

// A server that joined later does not know the founding membership; a snapshot of that time is refused, not made up.
func TestCompactedWithUnknownMembership(t *testing.T) {
	s := newSubject(t, disk(Membership{}, 0))
	s.get(2, &AppendEntries{Term: 3, Leader: 2, Runs: []Run{{1, 4, 3}}, Changes: []Change{{3, voters(1, 2)}}, Commit: 4})
	if e := s.do(Compacted{Meta: SnapshotMeta{Index: 2, Term: 3}, Through: 2}); e.Refused != ErrMembershipUnknown || s.FirstIndex() != 1 {
		t.Fatalf("%+v", e)
	}
	if e := s.do(Compacted{Meta: SnapshotMeta{Index: 3, Term: 3}, Through: 2}); e.Refused != nil || s.FirstIndex() != 3 || !s.Snapshot().Membership.Equal(voters(1, 2)) {
		t.Fatalf("%+v", e)
	}
}

// A leader may commit, apply and snapshot entries that its own disk does not have yet; the snapshot stands for them.
func TestSnapshotAheadOfTheDisk(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.do(Propose{Count: 4})
	s.do(Matched{From: 2, Term: 1, Index: 5})
	s.do(Matched{From: 3, Term: 1, Index: 5})
	if s.CommitIndex() != 5 || s.Status().Durable != 1 {
		t.Fatalf("%+v", s.Status())
	}
	s.do(Compacted{Meta: SnapshotMeta{Index: 4, Term: 1}, Through: 4})
	if s.Status().Durable != 4 {
		t.Fatalf("%+v", s.Status())
	}
}
