package raft

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// terms returns the term of each entry of a log from index 1.
func terms(s Shape) (ts []Term) {
	for _, r := range s.Runs {
		for i := r.First; i <= r.Last; i++ {
			ts = append(ts, r.Term)
		}
	}
	return ts
}

func TestAppendEntries(t *testing.T) {
	for _, c := range []struct {
		name    string
		log     []Term
		m       AppendEntries
		success bool
		match   Index
		hint    EntryID
		want    []Term
		stored  []Run
		commit  Index
	}{
		{name: "first entry", m: AppendEntries{Runs: []Run{{1, 1, 5}}}, success: true, match: 1, want: []Term{5}, stored: []Run{{1, 1, 5}}},
		{name: "probe of an empty log", m: AppendEntries{}, success: true},
		{name: "several terms at once", log: []Term{1}, m: AppendEntries{Prev: EntryID{1, 1}, Runs: []Run{{2, 3, 2}, {4, 4, 5}}}, success: true, match: 4,
			want: []Term{1, 2, 2, 5}, stored: []Run{{2, 3, 2}, {4, 4, 5}}},
		{name: "everything is here already", log: []Term{1, 1, 2, 2}, m: AppendEntries{Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 1}, {3, 3, 2}}}, success: true, match: 3,
			want: []Term{1, 1, 2, 2}},
		{name: "half is here already", log: []Term{1, 1, 2}, m: AppendEntries{Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 1}, {3, 5, 2}}}, success: true, match: 5,
			want: []Term{1, 1, 2, 2, 2}, stored: []Run{{4, 5, 2}}},
		{name: "conflict in the first", log: []Term{1, 2, 2}, m: AppendEntries{Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 4}}}, success: true, match: 2,
			want: []Term{1, 4}, stored: []Run{{2, 2, 4}}},
		{name: "conflict inside a run", log: []Term{1, 3, 4, 4}, m: AppendEntries{Prev: EntryID{1, 1}, Runs: []Run{{2, 4, 3}}}, success: true, match: 4,
			want: []Term{1, 3, 3, 3}, stored: []Run{{3, 4, 3}}},
		{name: "gap", log: []Term{1, 1}, m: AppendEntries{Prev: EntryID{5, 4}, Runs: []Run{{6, 6, 5}}}, hint: EntryID{2, 1}, want: []Term{1, 1}},
		{name: "another term at prev", log: []Term{1, 2, 2, 3, 3}, m: AppendEntries{Prev: EntryID{5, 4}}, hint: EntryID{5, 3}, want: []Term{1, 2, 2, 3, 3}},
		{name: "a newer term at prev", log: []Term{1, 2, 2, 4, 4}, m: AppendEntries{Prev: EntryID{5, 3}}, hint: EntryID{3, 2}, want: []Term{1, 2, 2, 4, 4}},
		{name: "nothing before prev", log: []Term{3, 3}, m: AppendEntries{Prev: EntryID{2, 2}}, hint: EntryID{}, want: []Term{3, 3}},
		{name: "commit bounded by what matches, not by the log", log: []Term{1, 2, 2}, m: AppendEntries{Prev: EntryID{1, 1}, Commit: 3}, success: true, match: 1, want: []Term{1, 2, 2}, commit: 1},
		{name: "commit of the leader", log: []Term{1, 2, 2}, m: AppendEntries{Prev: EntryID{3, 2}, Commit: 2}, success: true, match: 3, want: []Term{1, 2, 2}, commit: 2},
		{name: "commit bounded by the message", log: []Term{1}, m: AppendEntries{Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 2}}, Commit: 9}, success: true, match: 2, want: []Term{1, 2}, stored: []Run{{2, 2, 2}}, commit: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSubject(t, disk(voters(1, 2, 3), 5, c.log...))
			c.m.Term, c.m.Leader = 5, 2
			e := s.do(Received{From: 2, Message: &c.m})
			r, o := sent[*AppendEntriesReply](t, e, 2)
			want := AppendEntriesReply{Term: 5, Success: c.success, Match: c.match, Prev: c.m.Prev.Index, Hint: c.hint}
			if *r != want || o.AfterSync != c.success {
				t.Errorf("reply %+v, want %+v", *r, want)
			}
			if got := terms(s.Shape()); !slices.Equal(got, c.want) {
				t.Errorf("log %v, want %v", got, c.want)
			}
			var stored []Run
			for _, a := range e.Append {
				stored = append(stored, a.Run)
				if a.Kind != Command {
					t.Errorf("kind %v", a.Kind)
				}
			}
			if !slices.Equal(stored, c.stored) {
				t.Errorf("stored %v, want %v", stored, c.stored)
			}
			if s.CommitIndex() != c.commit || e.Commit.Index != c.commit {
				t.Errorf("commit %d, %v, want %d", s.CommitIndex(), e.Commit, c.commit)
			}
			if e.Patience != WaitAfresh || s.Leader() != 2 {
				t.Errorf("leader %d, patience %v", s.Leader(), e.Patience)
			}
		})
	}
}

// Old appends, repeated and in any order, neither shrink the log nor move the commit index back.
func TestReorderedAppendsNeverShrink(t *testing.T) {
	msgs := []*AppendEntries{
		{Term: 5, Leader: 2, Runs: []Run{{1, 1, 1}}, Commit: 1},
		{Term: 5, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 3, 5}}, Commit: 1},
		{Term: 5, Leader: 2, Prev: EntryID{3, 5}, Runs: []Run{{4, 6, 5}}, Commit: 3},
		{Term: 5, Leader: 2, Prev: EntryID{6, 5}, Commit: 6},
	}
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	for _, m := range msgs {
		s.get(2, m)
	}
	for _, m := range msgs {
		e := s.get(2, m)
		if s.LastIndex() != 6 || s.CommitIndex() != 6 || len(e.Append) > 0 {
			t.Fatalf("after %+v: last %d, commit %d, %+v", m, s.LastIndex(), s.CommitIndex(), e)
		}
		if r, _ := sent[*AppendEntriesReply](t, e, 2); !r.Success || r.Match != 6 {
			t.Fatalf("%+v: %+v; the committed prefix matches in any case", m, r)
		}
	}
}

func TestCommittedEntriesAreNeverReplaced(t *testing.T) {
	fresh := func() *subject {
		s := newSubject(t, disk(voters(1, 2, 3), 5, 1, 2, 2))
		s.get(2, &Heartbeat{Term: 5, Leader: 2, Commit: EntryID{2, 2}})
		return s
	}
	s := fresh()
	s.impossible(Contradicts, 2, &AppendEntries{Term: 5, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 5}}})
	s = fresh()
	s.impossible(Contradicts, 2, &AppendEntries{Term: 5, Leader: 2, Prev: EntryID{2, 3}})
	compacted := State{Hard: HardState{Term: 5}, Snapshot: SnapshotMeta{Index: 4, Term: 3, Membership: voters(1, 2, 3)}, Prev: EntryID{4, 3}}
	s = newSubject(t, compacted)
	s.impossible(Contradicts, 2, &AppendEntries{Term: 5, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 6, 2}}})
	s = fresh() // the uncommitted one may go
	s.get(2, &AppendEntries{Term: 5, Leader: 2, Prev: EntryID{2, 2}, Runs: []Run{{3, 3, 5}}})
	if got := terms(s.Shape()); !slices.Equal(got, []Term{1, 2, 5}) {
		t.Fatalf("%v", got)
	}
}

func TestAppendBelowTheSnapshot(t *testing.T) {
	st := State{Hard: HardState{Term: 5}, Snapshot: SnapshotMeta{Index: 10, Term: 3, Membership: voters(1, 2, 3)},
		Prev: EntryID{10, 3}, Runs: []Run{{11, 12, 4}}}
	for _, c := range []struct {
		m     AppendEntries
		match Index
		want  []Run
	}{
		{AppendEntries{Prev: EntryID{4, 1}}, 10, []Run{{11, 12, 4}}},
		{AppendEntries{Prev: EntryID{4, 1}, Runs: []Run{{5, 8, 2}}}, 10, []Run{{11, 12, 4}}},
		{AppendEntries{Prev: EntryID{4, 1}, Runs: []Run{{5, 10, 3}, {11, 11, 4}}}, 11, []Run{{11, 12, 4}}},
		{AppendEntries{Prev: EntryID{4, 1}, Runs: []Run{{5, 10, 3}, {11, 14, 4}}}, 14, []Run{{11, 14, 4}}},
		{AppendEntries{Prev: EntryID{9, 3}, Runs: []Run{{10, 10, 3}, {11, 11, 5}}}, 11, []Run{{11, 11, 5}}},
		{AppendEntries{Prev: EntryID{10, 3}, Runs: []Run{{11, 11, 5}}}, 11, []Run{{11, 11, 5}}},
	} {
		s := newSubject(t, st)
		c.m.Term, c.m.Leader = 5, 2
		e := s.get(2, &c.m)
		if r, _ := sent[*AppendEntriesReply](t, e, 2); !r.Success || r.Match != c.match {
			t.Errorf("%+v: %+v", c.m, r)
		}
		if got := s.Shape().Runs; !slices.Equal(got, c.want) {
			t.Errorf("%+v: log %v, want %v", c.m, got, c.want)
		}
	}
}

// What no leader could have sent changes nothing at all: not the term, not the patience.
func TestMalformedMessagesAreIgnored(t *testing.T) {
	in := voters(1, 2, 3)
	for name, m := range map[string]Message{
		"nothing":               nil,
		"gap after prev":        &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{3, 3, 2}}},
		"gap between runs":      &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 2}, {4, 4, 2}}},
		"overlap":               &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 3, 2}, {3, 4, 2}}},
		"empty run":             &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 1, 2}}},
		"terms fall":            &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 3}, {3, 3, 2}}},
		"term below prev":       &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{2, 3}, Runs: []Run{{3, 3, 2}}},
		"entry newer than term": &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 10}}},
		"prev newer than term":  &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 10}},
		"prev without term":     &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 0}},
		"term without prev":     &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{0, 1}},
		"the end of the world":  &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1<<64 - 1, 1}, Runs: []Run{{0, 1, 1}}},
		"zero term":             &AppendEntries{Leader: 2},
		"somebody else's":       &AppendEntries{Term: 9, Leader: 3},
		"change outside":        &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 2}}, Changes: []Change{{3, in}}},
		"change before":         &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 2}}, Changes: []Change{{1, in}}},
		"changes out of order":  &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 3, 2}}, Changes: []Change{{3, in}, {2, in}}},
		"change without voters": &AppendEntries{Term: 9, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 2}}, Changes: []Change{{2, Membership{}}}},
		"heartbeat of another":  &Heartbeat{Term: 9, Leader: 3},
		"heartbeat of no term":  &Heartbeat{Leader: 2},
		"heartbeat from future": &Heartbeat{Term: 9, Leader: 2, Commit: EntryID{1, 10}},
		"vote for another":      &RequestVote{Term: 9, Candidate: 3},
		"vote of no term":       &RequestVote{Candidate: 2},
		"vote from the future":  &RequestVote{Term: 9, Candidate: 2, Last: EntryID{3, 10}},
		"snapshot of another":   &InstallSnapshot{Term: 9, Leader: 3, Snapshot: SnapshotMeta{Index: 9, Term: 3, Membership: in}},
		"snapshot of nothing":   &InstallSnapshot{Term: 9, Leader: 2, Snapshot: SnapshotMeta{Membership: in}},
		"snapshot from future":  &InstallSnapshot{Term: 9, Leader: 2, Snapshot: SnapshotMeta{Index: 9, Term: 10, Membership: in}},
		"snapshot of nobody":    &InstallSnapshot{Term: 9, Leader: 2, Snapshot: SnapshotMeta{Index: 9, Term: 9}},
		"timeout of another":    &TimeoutNow{Term: 9, Leader: 3},
	} {
		s := newSubject(t, disk(voters(1, 2, 3), 4, 1, 1, 2))
		why := Malformed
		if strings.Contains(name, "another") || name == "somebody else's" {
			why = Impostor
		}
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.impossible(why, 2, m)
		})
	}
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	for _, from := range []NodeID{None, 1} {
		if e := s.do(Received{From: from, Message: &Heartbeat{Term: 9, Leader: from}}); !reflect.DeepEqual(e, Effects{}) {
			t.Errorf("from %d: %+v", from, e)
		}
	}
}

// A server accepts entries of a leader that its membership does not name (§6).
func TestAppendFromUnknownLeader(t *testing.T) {
	s := newSubject(t, disk(Membership{}, 0))
	s.get(7, &AppendEntries{Term: 3, Leader: 7, Runs: []Run{{1, 2, 3}}, Changes: []Change{{2, voters(1, 7)}}, Commit: 2})
	if s.Role() != Follower || s.CommitIndex() != 2 || s.Leader() != 7 {
		t.Fatalf("%+v", s.Status())
	}
}

func TestProposals(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	s.get(2, &Heartbeat{Term: 4, Leader: 2})
	e := s.do(Propose{Count: 1})
	if lost, ok := e.Refused.(*NotLeaderError); !ok || *lost != (NotLeaderError{Leader: 2, Term: 4}) || lost.Unwrap() != ErrNotLeader {
		t.Fatalf("%v", e.Refused)
	}
	s = leading(t, voters(1, 2, 3))
	e = s.do(Propose{Count: 3})
	if e.Refused != nil || *e.Proposed != (Run{2, 4, 1}) || len(e.Append) != 1 || e.Append[0] != (Appended{Run: Run{2, 4, 1}}) || e.Commit.Index != 0 {
		t.Fatalf("%+v", e)
	}
	if *e.Ack != (Persisted{Term: 1, Last: 4, Hard: HardState{Term: 1, Vote: 1, Promise: testElection}}) {
		t.Fatalf("%+v", *e.Ack)
	}
	for _, n := range []int{0, -1} {
		if e = s.do(Propose{Count: n}); e.Refused != ErrNothingProposed || s.LastIndex() != 4 {
			t.Fatalf("%+v", e)
		}
	}
}

// A late write confirmation names an index that the follower has since overwritten (ABA): as the leader of a later term
// it must not take it for its own entries being durable.
func TestLateConfirmationOfOverwrittenEntries(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2), 3))
	old := s.do(Received{2, &AppendEntries{Term: 3, Leader: 2, Runs: []Run{{1, 5, 3}}}}).Ack
	s.at += testElection
	s.sync(Elapsed{})
	e := s.do(Received{2, &RequestVoteReply{Term: 3, Asked: 4, Granted: true, PreVote: true}})
	vote := e.Ack
	if s.do(*vote); s.Status().Durable != 5 { // the vote was written after the entries
		t.Fatalf("durable %d", s.Status().Durable)
	}
	e = s.do(Received{2, &RequestVoteReply{Term: 4, Asked: 4, Granted: true}})
	if s.Role() != Leader || s.Status().Durable != 5 {
		t.Fatalf("%+v", s.Status())
	}
	late := *old
	late.Last = 6
	if s.do(late); s.Status().Durable != 5 {
		t.Fatal("a confirmation of term 3 counts for the entry of term 4 at the same index")
	}
	if s.do(*e.Ack); s.Status().Durable != 6 { // the no-op's covers all
		t.Fatalf("durable %d", s.Status().Durable)
	}
}

// The same within one term: a follower's log of an older term is confirmed late, after its leader replaced it.
func TestLateConfirmationWithinATerm(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 3, 1))
	a := s.do(Received{2, &AppendEntries{Term: 3, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 6, 3}}}}).Ack
	b := s.do(Received{3, &Heartbeat{Term: 4, Leader: 3}}).Ack // last is 6, of term 3
	c := s.do(Received{3, &AppendEntries{Term: 4, Leader: 3, Prev: EntryID{1, 1}, Runs: []Run{{2, 4, 4}}}}).Ack
	for _, ack := range []*Persisted{a, b} {
		if s.do(*ack); s.Status().Durable != 1 {
			t.Fatalf("%+v confirms through %d what is not written yet", *ack, s.Status().Durable)
		}
	}
	s.do(*c)
	d := s.do(Received{3, &AppendEntries{Term: 4, Leader: 3, Prev: EntryID{4, 4}, Runs: []Run{{5, 7, 4}}}}).Ack
	if s.do(*d); s.Status().Durable != 7 {
		t.Fatalf("durable %d after all is written", s.Status().Durable)
	}
	if got := s.do(Persisted{Term: 9, Last: 99, Hard: HardState{Term: 9}}); !reflect.DeepEqual(got, Effects{}) || s.Status().Durable != 7 {
		t.Fatal("a confirmation from the future counts")
	}
	if _, o := sent[*HeartbeatReply](t, s.do(Received{3, &Heartbeat{Term: 4, Leader: 3}}), 3); o.AfterSync {
		t.Fatal("a confirmation from the future is believed")
	}
	// A later term starts without doubts, though its log is shorter than what was once there.
	s.at += testElection
	s.sync(Elapsed{})
	s.truncateTo(t, 5)
	s.get(2, &RequestVoteReply{Term: s.Term(), Asked: s.Term() + 1, Granted: true, PreVote: true})
	s.get(2, &RequestVoteReply{Term: s.Term(), Asked: s.Term(), Granted: true})
	if s.Role() != Leader || s.Status().Durable != s.LastIndex() {
		t.Fatalf("%+v", s.Status())
	}
}

// truncateTo lets a leader of the next term cut the log, and its time pass.
func (s *subject) truncateTo(t *testing.T, last Index) {
	t.Helper()
	term := s.Term() + 1
	prev, _ := s.TermAt(last - 1)
	s.get(3, &AppendEntries{Term: term, Leader: 3, Prev: EntryID{last - 1, prev}, Runs: []Run{{last, last, term}}})
	s.at += testElection
	s.sync(Elapsed{})
}

// A term that is not durable is not spoken of, whatever the message.
func TestMessagesWaitForTheTerm(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 3))
	first := s.do(Received{2, &Heartbeat{Term: 4, Leader: 2}})
	if _, o := sent[*HeartbeatReply](t, first, 2); !o.AfterSync {
		t.Fatal("first reply does not wait")
	}
	if _, o := sent[*HeartbeatReply](t, s.do(Received{2, &Heartbeat{Term: 4, Leader: 2}}), 2); !o.AfterSync {
		t.Fatal("second reply does not wait")
	}
	s.do(*first.Ack)
	if _, o := sent[*HeartbeatReply](t, s.do(Received{2, &Heartbeat{Term: 4, Leader: 2}}), 2); o.AfterSync {
		t.Fatal("a reply waits for nothing")
	}
	if _, o := sent[*AppendEntriesReply](t, s.do(Received{2, &AppendEntries{Term: 4, Leader: 2, Prev: EntryID{7, 4}}}), 2); o.AfterSync {
		t.Fatal("a refusal waits for nothing")
	}
}

func TestHeartbeatCommit(t *testing.T) {
	for _, c := range []struct {
		commit EntryID
		want   Index
	}{{EntryID{2, 2}, 2}, {EntryID{3, 2}, 3}, {EntryID{3, 5}, 0}, {EntryID{4, 2}, 0}, {EntryID{}, 0}} {
		s := newSubject(t, disk(voters(1, 2, 3), 5, 1, 2, 2))
		e := s.get(2, &Heartbeat{Term: 5, Leader: 2, Round: 7, Sent: 99, Commit: c.commit})
		if s.CommitIndex() != c.want {
			t.Errorf("%v: commit %d, want %d", c.commit, s.CommitIndex(), c.want)
		}
		if r, _ := sent[*HeartbeatReply](t, e, 2); *r != (HeartbeatReply{Term: 5, Round: 7, Sent: 99, Last: 3}) {
			t.Errorf("%+v", r)
		}
		s.get(2, &Heartbeat{Term: 5, Leader: 2, Commit: EntryID{1, 1}})
		if s.CommitIndex() < c.want {
			t.Error("commit fell")
		}
	}
}
