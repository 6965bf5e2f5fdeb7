package raft

import "testing"

// TestRemovedKeepsItsPromise: a notice may come late, to a server that was added again since and whose log does not say so yet. The leader of the membership that
// has it counts on what it promised in answer to a heartbeat: a lease read would return what is long overwritten, if it helped to elect another one.
func TestRemovedKeepsItsPromise(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	s.at = 10 * testElection
	s.get(2, &Heartbeat{Term: 5, Leader: 2, Round: 1, Sent: 1})
	s.sync(nil)
	e := s.get(2, &Heartbeat{Term: 5, Leader: 2, Round: 2, Sent: 2})
	if r, _ := sent[*HeartbeatReply](t, e, 2); r.Promise != testElection {
		t.Fatalf("it promises %v", r.Promise)
	}
	heard := s.at
	s.do(Received{From: 3, Message: &Removed{Index: 7}})
	if s.Removed() != 7 {
		t.Fatal("it does not rest")
	}
	s.at = heard + testElection - 1
	for _, m := range []*RequestVote{{Term: 6, Candidate: 3, Last: EntryID{9, 5}, PreVote: true}, {Term: 6, Candidate: 3, Last: EntryID{9, 5}}} {
		if r, _ := sent[*RequestVoteReply](t, s.get(3, m), 3); r.Granted {
			t.Errorf("prevote %t: it votes for another one", m.PreVote)
		}
	}
	s.at = heard + testElection
	if r, _ := sent[*RequestVoteReply](t, s.get(3, &RequestVote{Term: 6, Candidate: 3, Last: EntryID{9, 5}, PreVote: true}), 3); !r.Granted {
		t.Error("it keeps for ever what it promised for a while")
	}
}
