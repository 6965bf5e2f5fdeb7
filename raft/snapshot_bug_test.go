package raft

import "testing"

// A new learner takes a snapshot from before it was added, and finds itself in the entries that follow (raft-rs issue 472).
func TestLearnerTakesASnapshotOlderThanItself(t *testing.T) {
	s := newSubject(t, State{})
	e := s.get(2, &InstallSnapshot{Term: 4, Leader: 2, Snapshot: SnapshotMeta{Index: 7, Term: 3, Membership: voters(2, 3)}})
	if e.Reset == nil || s.LastIndex() != 7 || s.CommitIndex() != 7 {
		t.Fatalf("not installed: %+v", s.Status())
	}
	if r, _ := sent[*InstallSnapshotReply](t, e, 2); r.Match != 7 {
		t.Fatalf("%+v", r)
	}
	with := Membership{Voters: []NodeID{2, 3}, Learners: []NodeID{1}}
	e = s.get(2, &AppendEntries{Term: 4, Leader: 2, Prev: EntryID{7, 3}, Runs: []Run{{8, 9, 4}}, Changes: []Change{{8, with}}, Commit: 9})
	if r, _ := sent[*AppendEntriesReply](t, e, 2); !r.Success || r.Match != 9 {
		t.Fatalf("%+v", r)
	}
	if !s.Membership().Equal(with) || s.Role() != Learner || s.CommitIndex() != 9 {
		t.Fatalf("%+v", s.Status())
	}
}

// The same through the whole rules of both sides: the leader compacts, then adds the learner.
func TestLearnerJoinsByAnOldSnapshot(t *testing.T) {
	w := newWorld(t, 3, 3, 1, faults{})
	w.run(5 * testElection)
	leader := w.leader()
	for range 5 {
		if _, err := leader.Propose([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	w.run(testElection)
	if err := leader.Compact(leader.applied, digest(w.committed[:leader.applied]), 0); err != nil {
		t.Fatal(err)
	}
	snapshot := leader.Status().Snapshot
	if _, err := leader.ChangeMembers(Membership{Voters: w.ids[:3], Learners: w.ids[3:]}); err != nil {
		t.Fatal(err)
	}
	w.collect(leader)
	w.run(5 * testElection)
	joined := w.servers[4]
	if st := joined.Status(); st.Role != Learner || !st.Membership.IsLearner(4) || st.Commit <= snapshot || st.Snapshot != snapshot {
		t.Fatalf("%s", w.picture())
	}
	if w.happened["restored"] != 1 {
		t.Fatalf("the snapshot was not what it joined by: %v", w.happened)
	}
}
