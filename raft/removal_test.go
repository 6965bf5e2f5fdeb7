package raft

import (
	"errors"
	"testing"
)

// A smaller quorum may have an entry that the larger one lacked; nobody need answer again for it to be committed.
func TestRemovalCommitsWhatTheRestHas(t *testing.T) {
	s := established(t, voters(1, 2, 3, 4))
	s.sync(Propose{Count: 1})
	if s.matched(2, 2); s.CommitIndex() != 1 {
		t.Fatal("two of four commit")
	}
	if e := s.do(ChangeMembership{Target: voters(1, 2, 3), Force: true}); e.Commit.Index != 2 {
		t.Fatalf("%+v", e.Commit)
	}
}

// A leader that removes itself leads, without counting itself, until that is committed; then it tells and stops (§6).
func TestRemovedLeaderRetires(t *testing.T) {
	for name, target := range map[string]Membership{
		"removed": voters(2, 3), "demoted": {Voters: []NodeID{2, 3}, Learners: []NodeID{1}},
	} {
		s := established(t, voters(1, 2, 3))
		s.sync(ChangeMembership{Target: target, Force: true})
		if s.Role() != Leader {
			t.Fatalf("%s: gave up before the commit", name)
		}
		if e := s.sync(Propose{Count: 1}); e.Refused != nil {
			t.Fatalf("%s: %v", name, e.Refused)
		}
		if e := s.matched(2, 2); e.Commit.Index != 0 {
			t.Fatalf("%s: counts itself", name)
		}
		s.do(Read{ID: 1})
		s.beaten(2, s.Round(), 0)
		e := s.do(Matched{From: 3, Term: 1, Index: 2})
		if e.Commit.Index != 2 || s.Role() != Learner || s.Leader() != None || e.Patience != StopWaiting {
			t.Fatalf("%s: %+v, %+v", name, e, s.Status())
		}
		for _, id := range []NodeID{2, 3} {
			m, _ := sent[*Heartbeat](t, e, id)
			if m.Term != 1 || m.Leader != 1 || m.Commit != (EntryID{2, 1}) {
				t.Errorf("%s: %+v", name, m)
			}
		}
		if len(e.Reads) != 1 || !errors.Is(e.Reads[0].Err, ErrNotLeader) {
			t.Errorf("%s: %+v", name, e.Reads)
		}
		if e = s.do(Elapsed{}); s.Role() != Learner || len(e.Send) > 0 {
			t.Errorf("%s: campaigns", name)
		}
	}
}

func TestJointRemovalOfTheLeader(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.sync(ChangeMembership{Target: voters(4, 5), Force: true})
	for _, id := range []NodeID{2, 4, 5} {
		s.matched(id, 2)
	}
	if s.CommitIndex() != 2 || s.Role() != Leader || !s.Membership().Equal(voters(4, 5)) {
		t.Fatalf("%+v", s.Status())
	}
	s.matched(4, 3)
	if s.Role() != Leader {
		t.Fatal("gave up early")
	}
	s.matched(5, 3)
	if s.Role() != Learner || s.CommitIndex() != 3 {
		t.Fatalf("%+v", s.Status())
	}
}

// In a cluster of two, the remaining server goes on by itself, though the last notice is lost (etcd issue 10563).
func TestTwoServersLeaderRemoved(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2), 4))
	s.get(2, &AppendEntries{Term: 4, Leader: 2, Runs: []Run{{1, 2, 4}}, Changes: []Change{{2, voters(1)}}, Commit: 1})
	s.at += testElection
	s.sync(Elapsed{})
	if s.Role() != Leader || s.CommitIndex() != 3 {
		t.Fatalf("%+v", s.Status())
	}
}

// A server that holds the uncommitted entry of its own removal may be the only one that can spread it (thesis §4.2.2).
func TestRemovedServerCampaignsUntilItsRemovalIsCommitted(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2), 4))
	s.get(2, &AppendEntries{Term: 4, Leader: 2, Runs: []Run{{1, 2, 4}}, Changes: []Change{{2, voters(2)}}, Commit: 1})
	if s.Role() != Follower {
		t.Fatalf("%v", s.Role())
	}
	s.at += testElection
	s.sync(Elapsed{})
	s.get(2, &RequestVoteReply{Term: 4, Asked: 5, Granted: true, PreVote: true})
	s.get(2, &RequestVoteReply{Term: 5, Asked: 5, Granted: true})
	if s.Role() != Leader {
		t.Fatalf("%v", s.Role())
	}
	s.matched(2, 3)
	if s.Role() != Learner || s.CommitIndex() != 3 {
		t.Fatalf("%+v", s.Status())
	}
	// Once it knows, it is quiet.
	s = newSubject(t, disk(voters(1, 2), 4))
	e := s.get(2, &AppendEntries{Term: 4, Leader: 2, Runs: []Run{{1, 2, 4}}, Changes: []Change{{2, voters(2)}}, Commit: 2})
	if s.Role() != Learner || e.Patience != StopWaiting {
		t.Fatalf("%v, %v", s.Role(), e.Patience)
	}
}

// A server removed and added again starts from nothing: its former matches do not count.
func TestReaddedServerStartsAfresh(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.sync(ChangeMembership{Target: voters(1, 2), Force: true})
	s.matched(2, 2)
	s.sync(ChangeMembership{Target: voters(1, 2, 3), Force: true})
	if st := s.Status(); st.Match[3] != 0 {
		t.Fatalf("%v", st.Match)
	}
}

// A server restarts with its removal in the log, uncommitted, and commit index 0: it joined by a change that it must assume may be in
// force. Others lack its last entries, so that nobody can be elected without its campaign.
func TestRemovedServerCampaignsAfterARestart(t *testing.T) {
	n, err := New(Config{ID: 3, ElectionMin: 10}, State{
		Hard: HardState{Term: 1}, Runs: []Run{{First: 1, Last: 5, Term: 1}},
		Changes: []Change{{Index: 2, Membership: voters(1, 3)}, {Index: 4, Membership: voters(1)}},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n.Role() != Follower {
		t.Fatalf("it begins as a %v", n.Role())
	}
	e := n.Step(20, Elapsed{})
	if n.Role() != PreCandidate || len(e.Send) != 1 || e.Send[0].To != 1 {
		t.Fatalf("%v, %+v", n.Role(), e)
	}
}
