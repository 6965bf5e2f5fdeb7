package raft

import "testing"

func TestNonVoterNeverCampaigns(t *testing.T) {
	for _, m := range []Membership{{}, voters(2, 3), {Voters: []NodeID{2, 3}, Learners: []NodeID{1}}} {
		for _, ev := range []Event{Elapsed{}, Campaign{}} {
			s := newSubject(t, disk(m, 4))
			e := s.do(ev)
			if s.Role() != Learner || len(e.Send) > 0 || e.Patience != StopWaiting || s.Term() != 4 {
				t.Errorf("members %v, %T: %v in term %d, %+v", m, ev, s.Role(), s.Term(), e)
			}
		}
	}
}

// A server that votes in the old half of a joint membership may still be needed.
func TestOutgoingVoterCampaigns(t *testing.T) {
	s := newSubject(t, disk(Membership{Voters: []NodeID{2, 3}, Outgoing: []NodeID{1, 2}}, 4))
	e := s.do(Elapsed{})
	if s.Role() != PreCandidate {
		t.Fatalf("%v", s.Role())
	}
	sent[*RequestVote](t, e, 2)
	sent[*RequestVote](t, e, 3)
	if len(e.Send) != 2 {
		t.Fatalf("%+v", e.Send)
	}
	s = newSubject(t, disk(Membership{Voters: []NodeID{1, 2}, Outgoing: []NodeID{2, 3}}, 4))
	sent[*RequestVote](t, s.do(Elapsed{}), 3)
}

func TestElectionSteps(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3, 4, 5), 4, 1, 4))
	s.get(5, &Heartbeat{Term: 4, Leader: 5})
	s.at += testElection
	e := s.do(Elapsed{})
	if s.Leader() != None {
		t.Fatalf("still follows %d", s.Leader())
	}
	if s.Role() != PreCandidate || s.Term() != 4 || e.Hard != nil || len(e.Send) != 4 || e.Patience != WaitAfresh {
		t.Fatalf("%v, %+v", s.Role(), e)
	}
	ask, o := sent[*RequestVote](t, e, 2)
	if *ask != (RequestVote{Term: 5, Candidate: 1, Last: EntryID{2, 4}, PreVote: true, Founders: s.Founders()}) || !o.AfterSync {
		t.Fatalf("%+v", ask)
	}
	yes := &RequestVoteReply{Term: 4, Asked: 5, Granted: true, PreVote: true}
	s.do(Received{From: 2, Message: yes})
	s.do(Received{From: 2, Message: yes}) // a duplicate counts once
	s.do(Received{From: 9, Message: yes}) // a stranger not at all
	s.do(Received{From: 3, Message: &RequestVoteReply{Term: 4, Asked: 4, Granted: true, PreVote: true}})
	s.do(Received{From: 3, Message: &RequestVoteReply{Term: 4, Asked: 5, Granted: true}})
	if s.Role() != PreCandidate {
		t.Fatal("a minority of prevotes was enough")
	}
	e = s.do(Received{From: 3, Message: yes})
	if s.Role() != Candidate || *e.Hard != (HardState{Term: 5, Vote: 1, Promise: testElection}) || len(e.Send) != 4 || e.Patience != WaitAfresh {
		t.Fatalf("%v, %+v", s.Role(), e)
	}
	ask, o = sent[*RequestVote](t, e, 5)
	if *ask != (RequestVote{Term: 5, Candidate: 1, Last: EntryID{2, 4}, Founders: s.Founders()}) || !o.AfterSync {
		t.Fatalf("%+v", ask)
	}
	ack := *e.Ack
	yes = &RequestVoteReply{Term: 5, Asked: 5, Granted: true}
	s.do(Received{From: 4, Message: yes})
	s.do(Received{From: 4, Message: yes})
	s.do(Received{From: 2, Message: &RequestVoteReply{Term: 5, Asked: 5, Granted: true, PreVote: true}})
	s.do(Received{From: 3, Message: yes})
	if s.Role() != Candidate {
		t.Fatal("leads with its own vote not on disk, or by a minority")
	}
	e = s.do(ack)
	if s.Role() != Leader || s.Leader() != 1 || e.Beat == 0 || e.Patience != WaitAfresh {
		t.Fatalf("%v, %+v", s.Role(), e)
	}
	if want := (Run{3, 3, 5}); len(e.Append) != 1 || e.Append[0].Run != want || e.Append[0].Kind != NoOp {
		t.Fatalf("no-op: %+v", e.Append)
	}
	if *e.Role != (RoleState{Role: Leader, Term: 5, Leader: 1}) {
		t.Fatalf("%+v", *e.Role)
	}
}

// A majority is more than half, for every size (simple for odd sizes, often wrong for even ones).
func TestVotesNeeded(t *testing.T) {
	for size := 1; size <= MaxVoters; size++ {
		var ids []NodeID
		for i := 1; i <= size; i++ {
			ids = append(ids, NodeID(i))
		}
		for _, pre := range []bool{true, false} {
			s := newSubject(t, disk(voters(ids...), 4))
			s.sync(Elapsed{})
			role, asked := PreCandidate, Term(5)
			if !pre {
				for id := NodeID(2); s.Role() == PreCandidate; id++ {
					s.get(id, &RequestVoteReply{Term: 4, Asked: 5, Granted: true, PreVote: true})
				}
				role = Candidate
			}
			got := 1 // its own
			for id := NodeID(2); s.Role() == role; id++ {
				s.get(id, &RequestVoteReply{Term: s.Term(), Asked: asked, Granted: true, PreVote: pre})
				got++
			}
			if want := size/2 + 1; got != want {
				t.Errorf("%d voters, prevote %v: %d votes were enough, want %d", size, pre, got, want)
			}
		}
	}
}

func TestJointElectionNeedsBothMajorities(t *testing.T) {
	m := Membership{Voters: []NodeID{1, 2, 3}, Outgoing: []NodeID{3, 4, 5}}
	for mask := 0; mask < 16; mask++ {
		s := newSubject(t, disk(m, 4))
		s.sync(Elapsed{})
		grants := map[NodeID]bool{1: true}
		for bit, id := range []NodeID{2, 3, 4, 5} {
			if mask&(1<<bit) != 0 {
				grants[id] = true
				s.get(id, &RequestVoteReply{Term: 4, Asked: 5, Granted: true, PreVote: true})
			}
		}
		count := func(ids []NodeID) (n int) {
			for _, id := range ids {
				if grants[id] {
					n++
				}
			}
			return n
		}
		want := count(m.Voters) >= 2 && count(m.Outgoing) >= 2
		if got := s.Role() == Candidate; got != want {
			t.Errorf("grants %v: elected %v", grants, got)
		}
	}
}

func TestLostElectionReturnsToWaiting(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	s.sync(Elapsed{})
	s.get(2, &RequestVoteReply{Term: 4, Asked: 5, PreVote: true})
	if s.Role() != PreCandidate {
		t.Fatal("one of two refusals ended it")
	}
	e := s.get(3, &RequestVoteReply{Term: 3, Asked: 5, PreVote: true})
	if s.Role() != Follower || e.Patience != KeepWaiting {
		t.Fatalf("%v, %+v", s.Role(), e)
	}
	if s.sync(Elapsed{}); s.Role() != PreCandidate {
		t.Fatal("does not try again")
	}
}

func TestCandidateTriesAgainByPrevote(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	s.sync(Elapsed{})
	s.get(2, &RequestVoteReply{Term: 4, Asked: 5, Granted: true, PreVote: true})
	s.at += testElection
	e := s.sync(Elapsed{})
	if s.Role() != PreCandidate || s.Term() != 5 || len(e.Send) != 2 {
		t.Fatalf("%v in term %d, %+v", s.Role(), s.Term(), e.Send)
	}
	s.get(2, &RequestVoteReply{Term: 5, Asked: 5, Granted: true}) // from the election before
	if s.Role() != PreCandidate {
		t.Fatal("an old vote counts")
	}
}

func TestReplyOfNewerTermEndsCandidacy(t *testing.T) {
	for _, pre := range []bool{true, false} {
		s := newSubject(t, disk(voters(1, 2, 3), 4))
		s.sync(Elapsed{})
		e := s.get(3, &RequestVoteReply{Term: 8, Asked: 5, PreVote: pre})
		if s.Role() != Follower || s.Term() != 8 || *e.Hard != (HardState{Term: 8, Promise: testElection}) || e.Patience != WaitAfresh {
			t.Errorf("prevote %v: %v in term %d", pre, s.Role(), s.Term())
		}
	}
}

func TestLeaderOfSameTermEndsCandidacy(t *testing.T) {
	for name, m := range map[string]Message{
		"append":    &AppendEntries{Term: 4, Leader: 2},
		"heartbeat": &Heartbeat{Term: 4, Leader: 2},
		"snapshot":  &InstallSnapshot{Term: 4, Leader: 2, Snapshot: SnapshotMeta{Index: 3, Term: 4, Membership: voters(1, 2, 3)}},
	} {
		s := newSubject(t, disk(voters(1, 2, 3), 4))
		s.sync(Elapsed{})
		e := s.get(2, m)
		if s.Role() != Follower || s.Leader() != 2 || e.Patience != WaitAfresh {
			t.Errorf("%s: %v, leader %d", name, s.Role(), s.Leader())
		}
	}
}

// Forcing a campaign must not break the promise that another leader's lease rests on.
func TestCampaignWhileLeaderIsHeard(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3, 4, 5), 4))
	s.get(2, &Heartbeat{Term: 4, Leader: 2})
	s.sync(Campaign{})
	for _, id := range []NodeID{3, 4, 5} {
		s.get(id, &RequestVoteReply{Term: 4, Asked: 5, Granted: true, PreVote: true})
	}
	if s.Term() != 4 {
		t.Fatal("voted for itself within ElectionMin of its leader's heartbeat")
	}
}
