package raft

import "testing"

// notices are the notices to a server that it is no member.
func notices(e Effects, to NodeID) (list []*Removed) {
	for _, o := range e.Send {
		if m, ok := o.Message.(*Removed); ok && o.To == to {
			list = append(list, m)
		}
	}
	return list
}

// Who was taken out while it did not hear of it is told: as that is committed, and whenever it asks for a prevote.
func TestRemovedAreTold(t *testing.T) {
	s := established(t, voters(1, 2, 3, 4))
	s.sync(ChangeMembership{Target: voters(1, 2, 3), Force: true})
	if e := s.get(4, &RequestVote{Term: 9, Candidate: 4, PreVote: true}); len(notices(e, 4)) > 0 {
		t.Error("told of what is not committed")
	}
	s.matched(2, s.LastIndex())
	if m := notices(s.eff, 4); len(m) != 1 || m[0].Index != s.MembershipIndex() {
		t.Errorf("as it is committed: %+v", m)
	}
	if m := notices(s.eff, 2); len(m) > 0 {
		t.Error("a member is told")
	}
	if m := notices(s.get(4, &RequestVote{Term: 9, Candidate: 4, PreVote: true}), 4); len(m) != 1 || m[0].Index != s.MembershipIndex() {
		t.Errorf("as it asks: %+v", m)
	}
	if m := notices(s.get(3, &RequestVote{Term: 9, Candidate: 3, PreVote: true}), 3); len(m) > 0 {
		t.Error("a member that asks is told")
	}
}

// Both halves of a joint membership are members until the new one is committed.
func TestRemovedByAJointChangeAreTold(t *testing.T) {
	s := established(t, voters(1, 2, 3, 4, 5))
	s.sync(ChangeMembership{Target: voters(1, 2, 3), Force: true})
	for id := NodeID(2); id <= 4; id++ {
		if s.matched(id, s.LastIndex()); len(notices(s.eff, 5)) > 0 {
			t.Fatal("told too early")
		}
	}
	s.sync(nil)
	if s.matched(2, s.LastIndex()); len(notices(s.eff, 4)) != 1 || len(notices(s.eff, 5)) != 1 {
		t.Errorf("%+v", s.eff.Send)
	}
}

// Who was told rests, and hears no more than before of whoever has a later membership.
func TestRemovedRests(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 0))
	if s.do(Elapsed{}); s.Role() != PreCandidate {
		t.Fatalf("%+v", s.Status())
	}
	if e := s.do(Received{From: 2, Message: &Removed{Index: 7}}); s.Removed() != 7 || s.Role() != Learner || e.Patience != StopWaiting {
		t.Fatalf("%+v: %+v", s.Status(), e)
	}
	if e := s.do(Elapsed{}); s.Role() != Learner || len(e.Send) > 0 {
		t.Errorf("it campaigns: %+v", e.Send)
	}
	if e := s.get(3, &RequestVote{Term: 5, Candidate: 3}); s.Term() != 5 || len(e.Send) != 1 { // it may be a member by what it has not heard of
		t.Errorf("it does not vote: %+v", e.Send)
	}
	if e := s.do(Received{From: 3, Message: &Heartbeat{Term: 5, Leader: 3}}); s.Removed() != 0 || s.Role() != Follower || e.Patience != WaitAfresh {
		t.Errorf("it hears of a leader: %+v, %+v", s.Status(), e)
	}
}

// Whoever knows a later membership than the one that it is told of is none of those that are meant.
func TestRemovedEarlierIsNotRemoved(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.sync(ChangeMembership{Target: voters(1, 2, 3, 4), Force: true})
	at := s.MembershipIndex()
	s.do(StepDown{})
	s.do(Received{From: 2, Message: &Removed{Index: at - 1}})
	if s.Removed() != 0 || s.Role() != Follower {
		t.Errorf("%+v", s.Status())
	}
	s.do(Received{From: 2, Message: &Removed{Index: at}}) // another membership was committed there
	if s.Removed() != at || s.Role() != Learner {
		t.Errorf("%+v", s.Status())
	}
}
