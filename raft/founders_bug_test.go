package raft

import "testing"

// Servers that were founded with others do not hear each other, as long as neither knows a later membership: two of them could lead side by side.
func TestOtherFoundersAreNotHeard(t *testing.T) {
	ours, theirs := voters(1, 2, 3), voters(2, 3)
	for name, m := range map[string]Message{
		"prevote":   &RequestVote{Term: 9, Candidate: 2, Last: EntryID{9, 8}, PreVote: true, Founders: theirs.Sum()},
		"vote":      &RequestVote{Term: 9, Candidate: 2, Last: EntryID{9, 8}, Founders: theirs.Sum()},
		"append":    &AppendEntries{Term: 9, Leader: 2, Founders: theirs.Sum()},
		"heartbeat": &Heartbeat{Term: 9, Leader: 2, Founders: theirs.Sum()},
	} {
		s := newSubject(t, disk(ours, 1, 1))
		e := s.do(Received{From: 2, Message: m})
		if e.Stranger != 2 || len(e.Send) > 0 || s.Term() != 1 || s.Leader() != None || e.Patience != KeepWaiting {
			t.Errorf("%s: %+v, term %d", name, e, s.Term())
		}
	}
	// The leader of a term is not taken for a rival by one that was founded alone and leads the same term.
	alone := newSubject(t, disk(voters(1), 0))
	alone.sync(Campaign{})
	if e := alone.do(Received{From: 2, Message: &Heartbeat{Term: 1, Leader: 2, Founders: ours.Sum()}}); e.Stranger != 2 || alone.Role() != Leader {
		t.Errorf("%+v, %v", e, alone.Role())
	}
}

// Whoever knows no founders, or a later membership, listens to all.
func TestFoundersAreComparedOnlyWhereBothStandAtThem(t *testing.T) {
	beat := func(founders uint32) *Heartbeat { return &Heartbeat{Term: 9, Leader: 2, Founders: founders} }
	changed := disk(voters(1, 2, 3), 1, 1)
	changed.Changes = []Change{{Index: 1, Membership: voters(1, 2)}}
	compacted := State{Hard: HardState{Term: 1}, Snapshot: SnapshotMeta{Index: 3, Term: 1, Membership: voters(1, 2)}, Prev: EntryID{3, 1}}
	for name, st := range map[string]State{"changed": changed, "compacted": compacted, "waits to be added": disk(Membership{}, 1, 1)} {
		s := newSubject(t, st)
		if s.Founders() != 0 {
			t.Errorf("%s: it tells of founders", name)
		}
		if e := s.do(Received{From: 2, Message: beat(77)}); e.Stranger != None || s.Leader() != 2 {
			t.Errorf("%s: %+v", name, e)
		}
	}
	s := newSubject(t, disk(voters(1, 2, 3), 1, 1))
	if e := s.do(Received{From: 2, Message: beat(0)}); e.Stranger != None || s.Leader() != 2 {
		t.Errorf("from one that knows a later membership: %+v", e)
	}
	same := Membership{Voters: []NodeID{1, 2, 3}, Members: []Member{{ID: 1, Addr: "elsewhere"}}}
	if e := s.do(Received{From: 2, Message: beat(same.Sum())}); e.Stranger != None {
		t.Error("addresses are no part of it")
	}
}

func TestSumTellsMembershipsApart(t *testing.T) {
	seen := map[uint32]int{0: -1}
	for i, m := range []Membership{
		voters(1), voters(2), voters(1, 2), voters(1, 2, 3), {Voters: []NodeID{1}, Learners: []NodeID{2}},
		{Voters: []NodeID{1}, Outgoing: []NodeID{2}}, {Voters: []NodeID{1, 2}, Learners: []NodeID{3}}, voters(1 << 63),
	} {
		if k, had := seen[m.Sum()]; had {
			t.Errorf("%d and %d: %d", k, i, m.Sum())
		}
		seen[m.Sum()] = i
	}
	if (Membership{}).Sum() != 0 {
		t.Error("nobody has a sum")
	}
}

// What a server sends says with whom it was founded, until it knows more.
func TestRequestsNameTheFounders(t *testing.T) {
	m := voters(1, 2, 3)
	s := newSubject(t, disk(m, 1, 1))
	ask, _ := sent[*RequestVote](t, s.do(Elapsed{}), 2)
	if ask.Founders != m.Sum() {
		t.Errorf("%+v", ask)
	}
	s = established(t, m)
	s.sync(ChangeMembership{Target: voters(1, 2)})
	s.matched(2, s.LastIndex())
	s.sync(StepDown{})
	s.at += later
	if ask, _ := sent[*RequestVote](t, s.do(Elapsed{}), 2); ask.Founders != 0 {
		t.Errorf("%+v", ask)
	}
}
