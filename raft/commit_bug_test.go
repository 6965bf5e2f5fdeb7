package raft

import "testing"

// What a follower acknowledges while it catches up with an earlier term's entries commits none of them: it would still elect a
// rival whose last term is higher, who lacks them (nats-server pull request 6944).
func TestCatchUpCommitsNothing(t *testing.T) {
	old := make([]Term, 100)
	for i := range old {
		old[i] = 1
	}
	s1 := newSubject(t, disk(voters(1, 2, 3), 2, old...)) // led term 1; server 2 led term 2 and appended entry 51 alone
	s1.elect()
	if s1.Term() != 3 || s1.LastIndex() != 101 {
		t.Fatalf("%+v", s1.Status())
	}
	for match := Index(50); match <= 100; match += 10 { // server 3 catches up
		if s1.matched(3, match); s1.CommitIndex() != 0 {
			t.Fatalf("entry %d of term 1 is committed by the acknowledgement of %d", s1.CommitIndex(), match)
		}
	}
	// Server 3, with all of them, still votes for server 2: had any been committed, it would be lost now.
	s3 := newSubject(t, disk(voters(1, 2, 3), 3, old...))
	r, _ := sent[*RequestVoteReply](t, s3.get(2, &RequestVote{Term: 4, Candidate: 2, Last: EntryID{51, 2}}), 2)
	if !r.Granted {
		t.Fatal("the rival is refused: the scenario is not the one of the issue")
	}
	if s1.matched(3, 101); s1.CommitIndex() != 101 { // the leader's own entry brings all before it with it
		t.Fatalf("commit %d", s1.CommitIndex())
	}
}

// The answer to a heartbeat says that its sender lives and follows, not what it has: whoever answers with an empty log adds nothing to what is
// committed (Ratis RATIS-2605).
func TestHeartbeatAnswerSaysNothingOfTheLog(t *testing.T) {
	s1 := newSubject(t, disk(voters(1, 2, 3), 2, 1, 2))
	s1.elect()
	last, commit := s1.LastIndex(), s1.CommitIndex()
	if last == commit {
		t.Fatalf("nothing is uncommitted: %+v", s1.Status())
	}
	for _, id := range []NodeID{2, 3} {
		s1.get(id, &HeartbeatReply{Term: s1.Term(), Round: s1.Round()})
		if match, _, fed := s1.Follower(id); match != 0 || !fed {
			t.Errorf("server %d is believed to have entry %d", id, match)
		}
	}
	if s1.CommitIndex() != commit {
		t.Errorf("entries through %d are committed by answers to heartbeats", s1.CommitIndex())
	}
}
