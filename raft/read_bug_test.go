package raft

import (
	"slices"
	"testing"
	"time"
)

// Answers that were under way when a read arrived say nothing about the time after it: another may lead by then. Nor do
// they when an earlier read still waits for them (etcd issue 20418).
func TestLateAnswersConfirmNoLaterRead(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	first := s.do(Read{ID: 1}).Beat
	second := s.do(Read{ID: 2}).Beat
	if second == first {
		t.Fatal("no heartbeat of its own is asked for")
	}
	if e := s.beaten(2, first, 0); !slices.Equal(answered(t, e), []uint64{1}) {
		t.Fatalf("%+v", e.Reads)
	}
	if e := s.beaten(3, first, 0); len(e.Reads) != 0 {
		t.Fatalf("confirmed by answers to heartbeats from before: %+v", e.Reads)
	}
	third := s.do(Read{ID: 1}).Beat // the client tries again
	if e := s.beaten(2, first, 0); len(e.Reads) != 0 {
		t.Fatalf("an answer come twice confirms a retry: %+v", e.Reads)
	}
	if e := s.beaten(2, second, 0); !slices.Equal(answered(t, e), []uint64{2}) {
		t.Fatalf("%+v", e.Reads)
	}
	if e := s.beaten(2, third, 0); !slices.Equal(answered(t, e), []uint64{1}) {
		t.Fatalf("%+v", e.Reads)
	}
}

// A follower's promise runs from when it got the heartbeat, by its own clock, however late its answer arrives. With clocks that run as
// differently as LeaseDrift covers, the lease is over before the follower votes for another (sofa-jraft issues 26, 34).
func TestLeaseOfSlowAnswers(t *testing.T) {
	const slow, fast = 0.95, 1.05
	local := func(rate float64, real time.Duration) time.Duration { return time.Duration(rate * float64(real)) }
	for late := time.Duration(0); late < testElection; late += 5 * time.Millisecond {
		leader := established(t, voters(1, 2, 3))
		follower := newSubject(t, disk(voters(1, 2, 3), 4))
		start, promised := leader.at, follower.at
		follower.get(3, &Heartbeat{Term: 4, Leader: 3, Sent: start}) // at real time zero; its leader is called 3 here
		leader.at = start + local(slow, late)
		leader.beaten(2, 0, start)
		votes := time.Duration(0)
		for granted := false; !granted; votes += time.Millisecond {
			follower.at = promised + local(fast, votes)
			r, _ := sent[*RequestVoteReply](t, follower.get(2, &RequestVote{Term: 5, Candidate: 2, Last: EntryID{9, 4}, PreVote: true}), 2)
			granted = r.Granted
		}
		leader.at = max(leader.at, start+local(slow, votes))
		if e := leader.do(LeaseRead{ID: 1}); len(e.Reads) != 0 {
			t.Fatalf("answer after %v: a lease is used %v after the heartbeat, when its giver votes for another", late, votes)
		}
		if votes > testElection {
			t.Fatalf("the follower's promise lasts %v", votes)
		}
	}
}

// A heartbeat of an earlier term, perhaps of an earlier start of the leader, may be answered in the term that it leads now: it asked for
// another round 7, by another clock.
func TestStaleHeartbeatConfirmsNothing(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 5, 1))
	r, _ := sent[*HeartbeatReply](t, s.get(2, &Heartbeat{Term: 4, Leader: 2, Round: 7, Sent: 99}), 2)
	if *r != (HeartbeatReply{Term: 5, Last: 1}) {
		t.Fatalf("%+v", r)
	}
	leader := established(t, voters(1, 2, 3))
	id := leader.do(Read{ID: 1}).Beat
	if e := leader.get(2, &HeartbeatReply{Term: leader.Term(), Last: 1}); len(e.Reads) != 0 || id == 0 {
		t.Fatalf("%+v", e.Reads)
	}
	if _, ok := leader.LeaseUntil(); ok {
		t.Error("a lease that nobody promised")
	}
}
