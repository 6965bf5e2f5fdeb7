package raft

import (
	"errors"
	"slices"
	"testing"
)

// inDoubt is server 1, which has gone back, in term 5 of three voters, with entries of terms 1, 2, 2.
func inDoubt(t testing.TB) *subject {
	t.Helper()
	st := disk(voters(1, 2, 3), 5, 1, 2, 2)
	st.Hard.Doubt = true
	n, err := New(Config{ID: 1, ElectionMin: testElection, LeaseDrift: testDrift, Life: 77}, st, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &subject{Node: n, t: t, at: later}
}

// doubts answers a heartbeat as a member in doubt.
func (s *subject) doubts(from NodeID, life uint64, last Index) Effects {
	s.t.Helper()
	s.at++
	return s.get(from, &HeartbeatReply{Term: s.Term(), Sent: s.at, Last: last, Doubt: life})
}

// heldInDoubt acknowledges an entry as a member in doubt.
func (s *subject) heldInDoubt(from NodeID, life uint64, index Index) Effects {
	s.t.Helper()
	return s.sync(Matched{From: from, Term: s.Term(), Index: index, Doubt: life})
}

func TestRecallIsJudgedByWhoForgot(t *testing.T) {
	compacted := disk(voters(1, 2, 3), 5)
	compacted.Snapshot = SnapshotMeta{Index: 3, Term: 2, Membership: voters(1, 2, 3)}
	compacted.Prev = EntryID{3, 2}
	for name, c := range map[string]struct {
		st    State
		m     Recall
		doubt bool
	}{
		"it has it":                  {disk(voters(1, 2, 3), 5, 1, 2, 2), Recall{Term: 5, Leader: 2, Entry: EntryID{3, 2}}, false},
		"it has more":                {disk(voters(1, 2, 3), 5, 1, 2, 2), Recall{Term: 5, Leader: 2, Entry: EntryID{2, 2}}, false},
		"it has less":                {disk(voters(1, 2, 3), 5, 1, 2, 2), Recall{Term: 5, Leader: 2, Entry: EntryID{4, 5}}, true},
		"it has another one there":   {disk(voters(1, 2, 3), 5, 1, 2, 2), Recall{Term: 5, Leader: 2, Entry: EntryID{3, 4}}, true},
		"nothing is left":            {disk(voters(1, 2, 3), 0), Recall{Term: 5, Leader: 2, Entry: EntryID{1, 1}}, true},
		"the term is not known":      {disk(voters(1, 2, 3), 5, 1, 2, 2), Recall{Term: 5, Leader: 2, Entry: EntryID{3, 0}}, false},
		"the term is not, nor it":    {disk(voters(1, 2, 3), 5, 1, 2, 2), Recall{Term: 5, Leader: 2, Entry: EntryID{4, 0}}, true},
		"it is compacted":            {compacted, Recall{Term: 5, Leader: 2, Entry: EntryID{2, 1}}, false},
		"it is of an earlier leader": {disk(voters(1, 2, 3), 5, 1, 2, 2), Recall{Term: 4, Leader: 2, Entry: EntryID{4, 4}}, false},
		"somebody else says so":      {disk(voters(1, 2, 3), 5, 1, 2, 2), Recall{Term: 5, Leader: 3, Entry: EntryID{4, 4}}, false},
		"it is none":                 {disk(voters(1, 2, 3), 5, 1, 2, 2), Recall{Term: 5, Leader: 2}, false},
		"it cannot be":               {disk(voters(1, 2, 3), 5, 1, 2, 2), Recall{Term: 5, Leader: 2, Entry: EntryID{4, 6}}, false},
	} {
		s := newSubject(t, c.st)
		c.m.Sent = 9
		e := s.do(Received{From: 2, Message: &c.m})
		if got := s.InDoubt(1); got != c.doubt {
			t.Errorf("%s: in doubt %v", name, got)
		}
		if !c.doubt {
			continue
		}
		if e.Hard == nil || !e.Hard.Doubt || !slices.Contains(e.Doubts, DoubtChange{Server: 1, InDoubt: true}) {
			t.Errorf("%s: it is not stored and said: %+v", name, e)
		}
		if r, out := sent[*HeartbeatReply](t, e, 2); r.Doubt != 1 || r.Sent != 9 || !out.AfterSync {
			t.Errorf("%s: answer %+v, %v", name, r, out)
		}
	}
}

// TestInDoubt: whoever is in doubt has no vote, says so in every answer, and goes on to be fed. Terms come and go, a restart changes nothing.
func TestInDoubt(t *testing.T) {
	s := inDoubt(t)
	if s.Role() != Learner || !s.Status().Doubt {
		t.Fatalf("it is a %v: %+v", s.Role(), s.Status())
	}
	for _, pre := range []bool{true, false} {
		e := s.get(2, &RequestVote{Term: 6, Candidate: 2, Last: EntryID{9, 5}, PreVote: pre, Transfer: !pre})
		if r, _ := sent[*RequestVoteReply](t, e, 2); r.Granted {
			t.Errorf("prevote %v: %+v", pre, r)
		}
	}
	if s.Term() != 6 || !s.InDoubt(1) {
		t.Fatalf("a new term ends the doubt: %+v", s.Status())
	}
	s.sync(Campaign{})
	s.get(2, &Heartbeat{Term: 6, Leader: 2})
	s.get(2, &TimeoutNow{Term: 6, Leader: 2})
	if e := s.sync(Elapsed{}); s.Role() != Learner || s.Term() != 6 {
		t.Errorf("it campaigns: %v in term %d, %+v", s.Role(), s.Term(), e)
	}
	e := s.get(2, &Heartbeat{Term: 6, Leader: 2, Sent: 8})
	if r, out := sent[*HeartbeatReply](t, e, 2); r.Doubt != 77 || r.Last != 3 || r.Sent != 8 || !out.AfterSync {
		t.Errorf("%+v, %v", r, out)
	}
	e = s.get(2, &AppendEntries{Term: 6, Leader: 2, Prev: EntryID{5, 6}})
	if r, _ := sent[*AppendEntriesReply](t, e, 2); r.Success || r.Doubt != 77 {
		t.Errorf("%+v", r)
	}
	e = s.get(2, &AppendEntries{Term: 6, Leader: 2, Prev: EntryID{3, 2}, Runs: []Run{{4, 4, 6}}})
	if r, _ := sent[*AppendEntriesReply](t, e, 2); !r.Success || r.Match != 4 || r.Doubt != 77 {
		t.Errorf("%+v", r)
	}
	e = s.get(2, &InstallSnapshot{Term: 6, Leader: 2, Snapshot: SnapshotMeta{Index: 9, Term: 6, Membership: voters(1, 2, 3)}})
	if r, _ := sent[*InstallSnapshotReply](t, e, 2); r.Match != 9 || r.Doubt != 77 {
		t.Errorf("%+v", r)
	}
}

// TestTrust: the doubt ends by the word of the leader of its term, to this very start, about an entry that is held on disk, unless the
// term may have two leaders.
func TestTrust(t *testing.T) {
	good := Trust{Term: 6, Leader: 2, Life: 77, Entry: EntryID{4, 6}}
	for name, c := range map[string]struct {
		change func(*Trust)
		vote   NodeID
		unsync bool
		ends   bool
	}{
		"all is well":               {ends: true},
		"an older one":              {change: func(m *Trust) { m.Term = 5 }},
		"a newer one":               {change: func(m *Trust) { m.Term = 7 }},
		"of another":                {change: func(m *Trust) { m.Leader = 3 }},
		"to another start":          {change: func(m *Trust) { m.Life = 76 }},
		"not held":                  {change: func(m *Trust) { m.Entry.Index = 5 }},
		"another one held":          {change: func(m *Trust) { m.Entry.Index = 3 }},
		"of an older leader":        {change: func(m *Trust) { m.Entry = EntryID{3, 2} }},
		"not on disk":               {unsync: true},
		"voted for it":              {vote: 2, ends: true},
		"voted for another":         {vote: 3},
		"elected without this vote": {vote: 3, change: func(m *Trust) { m.Unaided = true }, ends: true},
	} {
		st := disk(voters(1, 2, 3), 6, 1, 2, 2)
		st.Hard.Doubt, st.Hard.Vote = true, c.vote
		n, err := New(Config{ID: 1, ElectionMin: testElection, Life: 77}, st, 0)
		if err != nil {
			t.Fatal(err)
		}
		s := &subject{Node: n, t: t, at: later}
		s.get(2, &Heartbeat{Term: 6, Leader: 2})
		step := s.sync
		if c.unsync {
			step = s.do
		}
		step(Received{From: 2, Message: &AppendEntries{Term: 6, Leader: 2, Prev: EntryID{3, 2}, Runs: []Run{{4, 4, 6}}}})
		m := good
		if c.change != nil {
			c.change(&m)
		}
		e := s.sync(Received{From: 2, Message: &m})
		if ends := !s.InDoubt(1); ends != c.ends {
			t.Errorf("%s: the doubt ends: %v", name, ends)
		}
		if c.ends && (e.Hard == nil || e.Hard.Doubt || s.Role() != Follower || e.Patience != WaitAfresh || e.Hard.Vote != c.vote) {
			t.Errorf("%s: %+v, %v", name, e, s.Role())
		}
	}
}

// TestDoubtAgain: a member that was trusted, and said so, may go back again in the same start. Then nothing that it acknowledged before counts, and the
// fence of the first time does not end its doubt; a late answer from the first time is no doubt.
func TestDoubtAgain(t *testing.T) {
	s := established(t, voters(1, 2, 3), 1)
	s.doubts(3, 77, 0)
	fence := s.LastIndex()
	late := &HeartbeatReply{Term: s.Term(), Sent: s.at, Last: fence, Doubt: 77}
	s.heldInDoubt(3, 77, fence)
	s.matched(2, fence)
	if s.InDoubt(3) || s.CommitIndex() != fence {
		t.Fatalf("%+v", s.Status())
	}
	s.at++
	s.get(3, &HeartbeatReply{Term: s.Term(), Sent: s.at, Last: fence})
	if e := s.get(3, late); s.InDoubt(3) || s.LastIndex() != fence || len(e.Send) > 0 {
		t.Errorf("a late answer: %+v", e)
	}
	e := s.doubts(3, 77, fence)
	for _, o := range e.Send {
		if _, trust := o.Message.(*Trust); trust {
			t.Errorf("it is trusted by the fence of the first time: %+v", o)
		}
	}
	if match, _, _ := s.Follower(3); !s.InDoubt(3) || match != 0 || s.LastIndex() != fence+1 {
		t.Errorf("match %d, in doubt %t, log ends at %d", match, s.InDoubt(3), s.LastIndex())
	}
	s.heldInDoubt(3, 77, fence+1)
	s.matched(2, fence+1)
	if s.InDoubt(3) {
		t.Error("it is never trusted again")
	}
}

// TestLeaderOfOneInDoubt follows a member through its doubt, as its leader sees it.
func TestLeaderOfOneInDoubt(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.sync(Propose{Count: 3}) // 2..4
	s.matched(2, 4)
	if e := s.beaten(2, 0, 0); len(e.Send) != 1 { // with a log that ends at 0
		t.Fatalf("%+v", e)
	} else if m, _ := sent[*Recall](t, e, 2); m.Entry != (EntryID{4, 1}) || m.Sent != s.at {
		t.Errorf("%+v", m)
	}
	e := s.doubts(2, 9, 0)
	if !slices.Equal(e.Doubts, []DoubtChange{{Server: 2, InDoubt: true}}) || !s.InDoubt(2) || !slices.Equal(s.Status().InDoubt, []NodeID{2}) {
		t.Errorf("it is not said: %+v", e)
	}
	if len(e.Append) != 1 || e.Append[0].Kind != NoOp || e.Append[0].First != 5 {
		t.Fatalf("no fence: %+v", e.Append)
	}
	if match, _, _ := s.Follower(2); match != 0 {
		t.Errorf("match is %d", match)
	}
	if e := s.doubts(2, 9, 0); len(e.Append)+len(e.Doubts) > 0 {
		t.Errorf("it is said again: %+v", e)
	}
	s.sync(Propose{Count: 1}) // 6
	s.heldInDoubt(2, 9, 6)
	if s.CommitIndex() != 4 {
		t.Fatalf("whoever is in doubt counts: %d is committed", s.CommitIndex())
	}
	if e := s.sync(Transfer{To: 2}); !errors.As(e.Refused, new(*InvalidTransferError)) {
		t.Errorf("it may lead: %v", e.Refused)
	}
	e = s.matched(3, 5)
	if s.CommitIndex() != 6 { // 5 by the third, 6 by the second, which is trusted from then on
		t.Errorf("%d is committed", s.CommitIndex())
	}
	if !slices.Equal(e.Doubts, []DoubtChange{{Server: 2}}) || s.InDoubt(2) {
		t.Errorf("it is trusted, and that is not said: %+v", e)
	}
	if m, _ := sent[*Trust](t, e, 2); *m != (Trust{Term: 1, Leader: 1, Life: 9, Entry: EntryID{5, 1}, Unaided: m.Unaided}) {
		t.Errorf("%+v", m)
	}
	if e := s.doubts(2, 9, 6); len(e.Append) > 0 {
		t.Errorf("%+v", e)
	} else if m, _ := sent[*Trust](t, e, 2); m.Life != 9 { // the first one was lost
		t.Errorf("%+v", m)
	}
	if e := s.doubts(2, 10, 6); len(e.Append) != 1 || !s.InDoubt(2) {
		t.Errorf("another start in doubt is taken for the one before: %+v", e)
	}
}

// TestOldAnswersOfOneInDoubt: what comes late from before, or from an earlier start, neither counts nor undoes anything.
func TestOldAnswersOfOneInDoubt(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.sync(Propose{Count: 3}) // 2..4
	s.doubts(2, 9, 0)         // 5 is its fence
	s.matched(2, 4)
	if s.CommitIndex() != 1 {
		t.Errorf("an acknowledgement of what is lost counts: %d is committed", s.CommitIndex())
	}
	s.heldInDoubt(2, 8, 5)
	if match, _, _ := s.Follower(2); match > 4 {
		t.Errorf("an acknowledgement of an earlier start is taken: %d", match)
	}
	s.matched(3, 5)
	s.heldInDoubt(2, 9, 5)
	if s.InDoubt(2) {
		t.Fatal("it is not trusted")
	}
	late := s.at - 1
	if e := s.get(2, &HeartbeatReply{Term: 1, Sent: late, Last: 0, Doubt: 8}); s.InDoubt(2) || len(e.Append) > 0 {
		t.Errorf("a late answer of an earlier start: %+v", e)
	}
}

// TestDoubtAndReads: whoever is in doubt confirms no read and prolongs no lease.
func TestDoubtAndReads(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.beaten(2, 0, s.at)
	if _, ok := s.LeaseUntil(); !ok {
		t.Fatal("no lease")
	}
	s.doubts(2, 9, 1)
	if until, ok := s.LeaseUntil(); ok {
		t.Errorf("a lease until %v", until)
	}
	s.sync(Read{ID: 1})
	s.at++
	if e := s.get(2, &HeartbeatReply{Term: 1, Round: s.Round(), Sent: s.at, Last: 1, Doubt: 9}); len(e.Reads) > 0 {
		t.Errorf("%+v", e.Reads)
	}
	if e := s.beaten(3, s.Round(), s.at); len(e.Reads) != 1 || e.Reads[0].Err != nil {
		t.Errorf("%+v", e.Reads)
	}
}

// TestDoubtAndQuorum: a leader steps down when only whoever is in doubt answers, but not where nobody else could be elected.
func TestDoubtAndQuorum(t *testing.T) {
	for size, stays := range map[int]bool{2: true, 3: false} {
		s := established(t, voters([]NodeID{1, 2, 3}[:size]...))
		s.doubts(2, 9, 1)
		s.at += testElection
		s.doubts(2, 9, 1)
		s.sync(Elapsed{})
		if leads := s.Role() == Leader; leads != stays {
			t.Errorf("%d servers: it leads on: %v", size, leads)
		}
	}
}

// TestFenceOfTwo: with two voters the leader alone is who everybody else is.
func TestFenceOfTwo(t *testing.T) {
	s := established(t, voters(1, 2))
	s.sync(Propose{Count: 1}) // 2
	e := s.doubts(2, 9, 0)    // 3 is the fence
	e2 := s.heldInDoubt(2, 9, 2)
	if len(e.Append) != 1 || s.CommitIndex() != 1 || len(e2.Doubts) > 0 {
		t.Fatalf("%+v, %d is committed", e2, s.CommitIndex())
	}
	e = s.heldInDoubt(2, 9, 3)
	if m, _ := sent[*Trust](t, e, 2); m.Unaided || s.CommitIndex() != 3 {
		t.Errorf("%+v, %d is committed", m, s.CommitIndex())
	}
}

// TestFenceUnderAChange: the fence holds by every membership that may be in force.
func TestFenceUnderAChange(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.doubts(2, 9, 0)                                                // 2 is the fence
	e := s.sync(ChangeMembership{Target: voters(1, 2), Force: true}) // 3; by it alone the leader would be enough
	if e.Refused != nil || s.Status().Membership.Has(3) {
		t.Fatal(e.Refused)
	}
	if e = s.heldInDoubt(2, 9, 3); len(e.Doubts) > 0 || !s.InDoubt(2) {
		t.Errorf("it is trusted although server 3 may win an election without the fence: %+v", e)
	}
}

// TestTransferEndsAtDoubt: a target that turns out to have gone back does not get the leadership, and a transfer keeps the fence waiting.
func TestTransferEndsAtDoubt(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.sync(Transfer{To: 2})
	if e := s.doubts(2, 9, 0); e.Transfer == nil || e.Transfer.Err == nil || len(e.Append) != 1 {
		t.Errorf("%+v", e)
	}
	s = established(t, voters(1, 2, 3))
	s.sync(Transfer{To: 3})
	if e := s.doubts(2, 9, 0); e.Transfer != nil || len(e.Append) > 0 {
		t.Errorf("%+v", e)
	}
	s.sync(AbortTransfer{})
	if e := s.doubts(2, 9, 0); len(e.Append) != 1 {
		t.Errorf("%+v", e)
	}
}

// TestPromotionInDoubt: a learner that has gone back does not become a voter before it is trusted again.
func TestPromotionInDoubt(t *testing.T) {
	s := established(t, Membership{Voters: []NodeID{1, 2}, Learners: []NodeID{3}})
	s.doubts(3, 9, 0)
	if e := s.sync(ChangeMembership{Target: voters(1, 2, 3)}); !errors.As(e.Refused, new(*UnsafeChangeError)) {
		t.Errorf("%v", e.Refused)
	}
	s.matched(2, s.LastIndex())
	s.heldInDoubt(3, 9, s.LastIndex())
	if e := s.sync(ChangeMembership{Target: voters(1, 2, 3), Force: true}); e.Refused != nil {
		t.Error(e.Refused)
	}
}

// The leader's Trust of the first doubt arrives twice, the second time after the same start has fallen into doubt again.
func TestLateTrustEndsItsOwnDoubt(t *testing.T) {
	st := disk(voters(1, 2, 3), 6, 1, 2, 2)
	st.Hard.Doubt = true
	n, err := New(Config{ID: 1, ElectionMin: testElection, Life: 77}, st, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &subject{Node: n, t: t, at: later}
	s.get(2, &Heartbeat{Term: 6, Leader: 2})
	s.sync(Received{From: 2, Message: &AppendEntries{Term: 6, Leader: 2, Prev: EntryID{3, 2}, Runs: []Run{{4, 4, 6}}}})
	trust := Trust{Term: 6, Leader: 2, Life: 77, Entry: EntryID{4, 6}}
	first, second := trust, trust
	s.sync(Received{From: 2, Message: &first})
	if s.InDoubt(1) {
		t.Fatal("not trusted")
	}
	s.sync(GoneBack{})
	if !s.InDoubt(1) {
		t.Fatal("not in doubt")
	}
	s.sync(Received{From: 2, Message: &second})
	if !s.InDoubt(1) {
		t.Error("the first doubt's Trust ends the second doubt")
	}
}

// It falls in doubt again before it has answered without doubt.
func TestDoubtWithoutPause(t *testing.T) {
	s := established(t, voters(1, 2, 3), 1)
	s.doubts(3, 77, 0)
	fence := s.LastIndex()
	s.heldInDoubt(3, 77, fence)
	s.matched(2, fence)
	if s.InDoubt(3) {
		t.Fatal("not trusted")
	}
	// It takes the Trust, and goes back before the next heartbeat: its doubt has another name.
	e := s.doubts(3, 78, fence)
	for _, o := range e.Send {
		if m, trust := o.Message.(*Trust); trust {
			t.Errorf("trusted by the fence of the first time: %+v", m)
		}
	}
}

// Two starts of one name would take what was said to the first for said to the second: whoever starts a Node gives it a name of its own.
func TestTrustIsForOneLife(t *testing.T) {
	for life, doubt := range map[uint64]bool{77: false, 78 + 1<<32: true} {
		st := disk(voters(1, 2, 3), 6, 1, 2, 2, 6)
		st.Hard.Doubt = true
		n, err := New(Config{ID: 1, ElectionMin: testElection, Life: life}, st, 0)
		if err != nil {
			t.Fatal(err)
		}
		s := &subject{Node: n, t: t, at: later}
		s.sync(Received{From: 2, Message: &Trust{Term: 6, Leader: 2, Life: 77, Entry: EntryID{4, 6}}})
		if s.InDoubt(1) != doubt {
			t.Errorf("life %d: in doubt %t", life, s.InDoubt(1))
		}
	}
}
