package raft

import (
	"errors"
	"reflect"
	"slices"
	"testing"
)

func TestMembershipValidate(t *testing.T) {
	many := func(n int) (ids []NodeID) {
		for i := 1; i <= n; i++ {
			ids = append(ids, NodeID(i))
		}
		return ids
	}
	for _, c := range []struct {
		m  Membership
		ok bool
	}{
		{voters(1), true},
		{voters(many(MaxVoters)...), true},
		{voters(many(MaxVoters + 1)...), false},
		{Membership{Voters: []NodeID{1}, Outgoing: many(MaxVoters + 1)}, false},
		{Membership{}, false},
		{Membership{Learners: []NodeID{1}}, false},
		{Membership{Outgoing: []NodeID{1}}, false},
		{voters(0, 1), false},
		{voters(1, 1), false},
		{voters(2, 1), false},
		{Membership{Voters: []NodeID{1, 2}, Learners: []NodeID{2}}, false},
		{Membership{Voters: []NodeID{1, 2}, Learners: []NodeID{3}, Outgoing: []NodeID{1, 3}}, true}, // demoted at the end
		{Membership{Voters: []NodeID{1}, Members: []Member{{ID: 1, Addr: "a"}}}, true},
		{Membership{Voters: []NodeID{1}, Members: []Member{{ID: 2}}}, false},
		{Membership{Voters: []NodeID{1}, Members: []Member{{ID: 1}, {ID: 1}}}, false},
	} {
		var invalid *InvalidChangeError
		if err := c.m.Validate(); (err == nil) != c.ok || err != nil && !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", c.m, err)
		}
	}
}

func TestChangeIsRefused(t *testing.T) {
	var invalid *InvalidChangeError
	old := Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}, Members: []Member{{ID: 1, Addr: "one"}}}
	for name, target := range map[string]Membership{
		"nobody":       {},
		"no voter":     {Learners: []NodeID{1}},
		"joint":        {Voters: []NodeID{1, 2}, Outgoing: []NodeID{1}},
		"twice":        {Voters: []NodeID{1, 1, 2}},
		"both":         {Voters: []NodeID{1, 2}, Learners: []NodeID{2}},
		"zero":         {Voters: []NodeID{0, 1}},
		"ten":          voters(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
		"the same":     old,
		"same, sorted": {Voters: []NodeID{3, 1, 2}, Learners: []NodeID{4}},
		"stranger":     {Voters: []NodeID{1, 2}, Members: []Member{{ID: 7}}},
	} {
		s := established(t, old)
		if e := s.do(ChangeMembership{Target: target}); !errors.As(e.Refused, &invalid) || e.Proposed != nil || e.Append != nil || e.Membership != nil {
			t.Errorf("%s: %+v", name, e)
		}
	}
	s := leading(t, voters(1, 2, 3))
	if e := s.do(ChangeMembership{Target: voters(1, 2)}); e.Refused != ErrTermNotCommitted {
		t.Errorf("before its term's first commit: %v", e.Refused)
	}
	s.matched(2, 1)
	if e := s.do(ChangeMembership{Target: voters(1, 2)}); e.Refused != nil {
		t.Errorf("%v", e.Refused)
	}
	if e := s.do(ChangeMembership{Target: voters(1, 2, 4)}); e.Refused != ErrChangeInProgress {
		t.Errorf("while one is not committed: %v", e.Refused)
	}
	s.sync(StepDown{})
	if e := s.do(ChangeMembership{Target: voters(1, 3)}); !errors.Is(e.Refused, ErrNotLeader) {
		t.Errorf("%v", e.Refused)
	}
}

// One voter more or less is a simple change, effective at once and finished by its commit.
func TestSimpleChanges(t *testing.T) {
	for name, target := range map[string]Membership{
		"add voter":    voters(1, 2, 3, 4),
		"remove voter": voters(1, 3),
		"add learners": {Voters: []NodeID{1, 2, 3}, Learners: []NodeID{7, 8, 9}},
		"demote":       {Voters: []NodeID{1, 2}, Learners: []NodeID{3}},
		"addresses":    {Voters: []NodeID{1, 2, 3}, Members: []Member{{ID: 2, Addr: "two"}}},
	} {
		s := established(t, voters(1, 2, 3))
		e := s.do(ChangeMembership{Target: target, Force: true})
		if e.Refused != nil || *e.Proposed != (Run{2, 2, 1}) || len(e.Append) != 1 || e.Append[0].Kind != Reconfigure || !e.Append[0].Membership.Equal(target) {
			t.Fatalf("%s: %+v", name, e)
		}
		if e.Membership == nil || e.Membership.Index != 2 || !s.Membership().Equal(target) || s.Membership().Joint() {
			t.Fatalf("%s: %+v, not effective when appended (§6)", name, e.Membership)
		}
		s.do(*e.Ack)
		for _, id := range target.Voters {
			if id != 1 {
				s.matched(id, 2)
			}
		}
		if s.CommitIndex() != 2 || s.LastIndex() != 2 {
			t.Fatalf("%s: %+v", name, s.Status())
		}
		if e = s.do(ChangeMembership{Target: voters(1, 2, 3, 5), Force: true}); e.Refused != nil {
			t.Fatalf("%s: the next change: %v", name, e.Refused)
		}
	}
}

func TestMembersAreKept(t *testing.T) {
	m := Membership{Voters: []NodeID{1, 2, 3}, Members: []Member{{ID: 1, Addr: "one", Tag: ""}, {ID: 2, Addr: "two", Tag: ""}, {ID: 3, Addr: "three", Tag: "x"}}}
	s := established(t, m)
	s.do(ChangeMembership{Target: Membership{Voters: []NodeID{4, 3, 1}, Members: []Member{{ID: 4, Addr: "four", Tag: ""}, {ID: 3, Addr: "drei", Tag: ""}}}, Force: true})
	want := []Member{{ID: 1, Addr: "one", Tag: ""}, {ID: 2, Addr: "two", Tag: ""}, {ID: 3, Addr: "drei", Tag: ""}, {ID: 4, Addr: "four", Tag: ""}}
	if got := s.Membership(); !slices.Equal(got.Members, want) || !slices.Equal(got.Voters, []NodeID{1, 3, 4}) {
		t.Fatalf("%+v", got)
	}
	s.sync(Persisted{Term: 1, Last: 2})
	s.matched(2, 2)
	s.matched(3, 2)
	if got := s.Membership(); got.Joint() || slices.ContainsFunc(got.Members, func(e Member) bool { return e.ID == 2 }) {
		t.Fatalf("%+v", got)
	}
}

// More than one voter goes through joint consensus, and the leader leaves it by itself (§6).
func TestJointChange(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	e := s.sync(ChangeMembership{Target: voters(1, 4, 5), Force: true})
	joint := Membership{Voters: []NodeID{1, 4, 5}, Outgoing: []NodeID{1, 2, 3}}
	if !s.Membership().Equal(joint) || !e.Append[0].Membership.Equal(joint) {
		t.Fatalf("%+v", s.Membership())
	}
	for _, id := range []NodeID{4, 5} {
		if e = s.matched(id, 2); e.Commit.Index != 0 {
			t.Fatal("committed by the new half alone")
		}
	}
	e = s.do(Matched{From: 2, Term: 1, Index: 2})
	if e.Commit != (EntryID{2, 1}) || len(e.Append) != 1 || e.Append[0].Run != (Run{3, 3, 1}) || e.Proposed != nil {
		t.Fatalf("does not leave: %+v", e)
	}
	if want := voters(1, 4, 5); !s.Membership().Equal(want) || e.Membership.Index != 3 || !e.Append[0].Membership.Equal(want) {
		t.Fatalf("%+v", e.Membership)
	}
	if refused := s.do(ChangeMembership{Target: voters(1, 4), Force: true}).Refused; refused != ErrChangeInProgress {
		t.Fatal(refused)
	}
	s.do(*e.Ack)
	if s.matched(2, 3); s.CommitIndex() != 2 {
		t.Fatal("a server that is out counts")
	}
	if s.matched(4, 3); s.CommitIndex() != 3 {
		t.Fatal("not committed")
	}
	if st := s.Status(); len(st.Match) != 3 {
		t.Fatalf("%v", st.Match)
	}
}

// What the new half has already is committed as soon as the old one no longer counts.
func TestLeavingJointCommits(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.sync(ChangeMembership{Target: voters(1, 4, 5), Force: true})
	s.sync(Propose{Count: 1})
	s.matched(4, 3)
	s.matched(5, 3)
	if e := s.do(Matched{From: 2, Term: 1, Index: 2}); e.Commit.Index != 3 || s.LastIndex() != 4 {
		t.Fatalf("%+v", e)
	}
}

// A new leader that finds the cluster between two memberships finishes the change (etcd issue 12136), however much of it
// was committed when the old leader died (camunda issue 60086: never before the joint entry is).
func TestNewLeaderLeavesJoint(t *testing.T) {
	joint := Membership{Voters: []NodeID{1, 4, 5}, Outgoing: []NodeID{1, 2, 3}}
	for _, committed := range []Index{0, 2} {
		st := disk(voters(1, 2, 3), 4, 1, 4)
		st.Changes = []Change{{2, joint}}
		s := newSubject(t, st)
		if committed != 0 {
			s.get(2, &Heartbeat{Term: 4, Leader: 2, Commit: EntryID{committed, 4}})
			s.at += testElection
		}
		if !s.Membership().Equal(joint) || s.CommitIndex() != committed {
			t.Fatalf("%+v", s.Status())
		}
		s.elect()
		if s.LastIndex() != 3 || !s.Membership().Joint() {
			t.Fatal("left before anything of its term was committed")
		}
		s.matched(4, 3)
		if s.CommitIndex() != committed {
			t.Fatal("one half commits")
		}
		e := s.matched(2, 3)
		if e.Commit.Index != 3 || s.LastIndex() != 4 || !s.Membership().Equal(voters(1, 4, 5)) {
			t.Fatalf("committed %d: %+v", committed, s.Status())
		}
	}
}

func TestChangeIsRolledBack(t *testing.T) {
	for _, target := range []Membership{voters(1, 2, 3, 4), voters(1, 4, 5), {Voters: []NodeID{2, 3, 4}}} {
		s := established(t, voters(1, 2, 3))
		s.sync(ChangeMembership{Target: target, Force: true})
		e := s.get(2, &AppendEntries{Term: 2, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 2}}})
		if e.Membership == nil || !e.Membership.Membership.Equal(voters(1, 2, 3)) || !s.Membership().Equal(voters(1, 2, 3)) {
			t.Fatalf("%+v, %+v", e.Membership, s.Membership())
		}
		if s.Role() != Follower {
			t.Fatalf("%v", s.Role())
		}
	}
}

// One message may both roll back a membership and bring others; the last one counts.
func TestChangesReplacedInOneMessage(t *testing.T) {
	st := disk(voters(1, 2, 3), 4, 1, 2, 2)
	st.Changes = []Change{{2, voters(1, 2, 3, 4)}, {3, voters(1, 2, 3, 4, 5)}}
	s := newSubject(t, st)
	e := s.get(2, &AppendEntries{Term: 4, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 4, 3}},
		Changes: []Change{{3, voters(2, 3)}, {4, voters(1, 2)}}})
	if e.Membership == nil || e.Membership.Index != 4 || !s.Membership().Equal(voters(1, 2)) {
		t.Fatalf("%+v", e.Membership)
	}
	for i, want := range []Membership{voters(1, 2, 3), voters(1, 2, 3), voters(1, 2, 3), voters(2, 3), voters(1, 2), voters(1, 2)} {
		if got := s.MembershipAt(Index(i)); !got.Equal(want) {
			t.Errorf("at %d: %v, want %v", i, got, want)
		}
	}
	// Known entries bring their changes only once.
	e = s.get(2, &AppendEntries{Term: 4, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 4, 3}, {5, 5, 4}},
		Changes: []Change{{3, voters(2, 3)}, {4, voters(1, 2)}}})
	if e.Membership != nil || len(s.changes) != 2 {
		t.Fatalf("%+v, %v", e.Membership, s.changes)
	}
}

func TestLearnerBecomesVoter(t *testing.T) {
	s := newSubject(t, disk(Membership{Voters: []NodeID{2, 3}, Learners: []NodeID{1}}, 4))
	e := s.get(2, &AppendEntries{Term: 4, Leader: 2, Runs: []Run{{1, 1, 4}}})
	if s.Role() != Learner || e.Patience == WaitAfresh {
		t.Fatalf("%v %v", s.Role(), e.Patience)
	}
	e = s.get(2, &AppendEntries{Term: 4, Leader: 2, Prev: EntryID{1, 4}, Runs: []Run{{2, 2, 4}}, Changes: []Change{{2, voters(1, 2, 3)}}})
	if s.Role() != Follower || e.Patience != WaitAfresh || e.Role == nil || e.Role.Role != Follower {
		t.Fatalf("%v %+v", s.Role(), e)
	}
}

// Two removals by successive leaders (hydro issue 3192): the second waits for its own term's commit, so that
// no two disjoint majorities arise.
func TestSingleServerChangesAcrossTerms(t *testing.T) {
	s1 := established(t, voters(1, 2, 3, 4)) // knows of the removal of 4, which nobody else has
	s1.sync(ChangeMembership{Target: voters(1, 2, 3), Force: true})
	st := State{Hard: HardState{Term: 1}, Snapshot: SnapshotMeta{Membership: voters(1, 2, 3, 4)}, Runs: []Run{{1, 1, 1}}}
	n, err := New(Config{ID: 2, ElectionMin: testElection}, st, 0)
	if err != nil {
		t.Fatal(err)
	}
	s2 := &subject{Node: n, t: t, at: later}
	s2.sync(Elapsed{})
	for _, pre := range []bool{true, false} {
		for _, id := range []NodeID{3, 4} {
			s2.get(id, &RequestVoteReply{Term: s2.Term(), Asked: 2, Granted: true, PreVote: pre})
		}
	}
	if s2.Role() != Leader {
		t.Fatal("not elected")
	}
	if e := s2.do(ChangeMembership{Target: voters(2, 3, 4), Force: true}); e.Refused != ErrTermNotCommitted {
		t.Fatalf("%+v: {1 2} could commit for the one, {3 4} for the other", e)
	}
}

func TestMembershipAccessors(t *testing.T) {
	m := Membership{Voters: []NodeID{1, 2}, Outgoing: []NodeID{2, 3}, Learners: []NodeID{3, 4}}
	if got := m.IDs(); !slices.Equal(got, []NodeID{1, 2, 3, 4}) {
		t.Error(got)
	}
	if !m.IsVoter(3) || m.IsLearner(3) || !m.IsLearner(4) || m.Has(5) || !m.Has(4) || m.IsZero() || !m.Joint() {
		t.Error("wrong")
	}
	s := established(t, voters(1, 2, 3))
	got := s.Membership()
	s.sync(ChangeMembership{Target: voters(1, 2, 3, 4), Force: true})
	if !reflect.DeepEqual(got, voters(1, 2, 3)) {
		t.Error("a Membership that was handed out changed")
	}
	if c := s.ChangesIn(1, 1); c != nil {
		t.Error(c)
	}
	if c := s.ChangesIn(1, 2); len(c) != 1 || c[0].Index != 2 {
		t.Error(c)
	}
}
