package raft

import (
	"testing"
	"time"
)

// Having seen a vote's term is not having given the vote: a candidate that was refused for its log is refused again, however often
// it asks and whatever the voter had to note (openraft pull request 1220).
func TestRefusedCandidateIsRefusedAgain(t *testing.T) {
	for name, start := range map[string]func() *subject{
		"follower": func() *subject { return newSubject(t, disk(voters(1, 2, 3), 3, 1, 2, 3)) },
		"leader":   func() *subject { s := leading(t, voters(1, 2, 3), 1, 2); s.at += testElection; return s },
	} {
		s := start()
		term := s.Term() + 1
		for range 3 {
			r, _ := sent[*RequestVoteReply](t, s.get(2, &RequestVote{Term: term, Candidate: 2, Last: EntryID{9, 1}}), 2)
			if r.Granted {
				t.Fatalf("%s: a stale log gets the vote", name)
			}
		}
		if s.Term() != term || s.Role() != Follower {
			t.Fatalf("%s: the newer term was not learnt: %+v", name, s.Status())
		}
		// The vote of that term is still free for one whose log will do.
		if r, _ := sent[*RequestVoteReply](t, s.get(3, &RequestVote{Term: term, Candidate: 3, Last: s.log.LastID()}), 3); !r.Granted {
			t.Errorf("%s: the vote went to the one that was refused", name)
		}
	}
}

// A leader that gave up and has the longest log gets a prevote from a follower that has not heard it for ElectionMin, though that one
// may still take it for its leader; and being asked is no contact (hashicorp/raft issues 606, 609).
func TestFormerLeaderIsGivenAPrevote(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	s.get(2, &Heartbeat{Term: 4, Leader: 2})
	asked := s.at
	for _, after := range []time.Duration{testElection / 2, testElection - 1, testElection, testElection + 1} {
		s.at = asked + after
		e := s.get(2, &RequestVote{Term: 5, Candidate: 2, Last: EntryID{9, 4}, PreVote: true})
		if r, _ := sent[*RequestVoteReply](t, e, 2); r.Granted != (after >= testElection) {
			t.Errorf("after %v: granted %v", after, r.Granted)
		}
		if e.Patience != KeepWaiting {
			t.Errorf("after %v: a prevote moves the timer: %v", after, e.Patience)
		}
	}
}

// Crash a voter before and after each write of a vote: the votes that left it name one candidate a term (raft-java issue 57,
// sofa-jraft issue 96).
func TestVoteSurvivesACrashAnywhere(t *testing.T) {
	granted := func(packets []Packet) (to []NodeID) {
		for _, p := range packets {
			if r, ok := p.Message.(*RequestVoteReply); ok && r.Granted && !r.PreVote {
				to = append(to, p.To)
			}
		}
		return to
	}
	start := func(disk *ReplicaState) *Replica {
		r, err := NewReplica(ReplicaConfig{
			ID: 1, Membership: voters(1, 2, 3), State: disk, ElectionMin: testElection, HoldSync: true,
			Rand: func(int64) int64 { return int64(testElection) - 1 },
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Advance(testElection) // what it promised before the crash is over
		return r
	}
	ask := func(r *Replica, candidate NodeID) {
		r.Receive(candidate, Packet{From: candidate, To: 1, Message: &RequestVote{Term: 5, Candidate: candidate}})
	}
	votes := 0
	for _, synced := range []bool{false, true} {
		r := start(&ReplicaState{Hard: HardState{Term: 4}})
		ask(r, 2)
		if synced {
			r.Sync()
		}
		heard := granted(r.TakePackets())
		r = start(r.Durable())
		ask(r, 3)
		r.Sync()
		heard = append(heard, granted(r.TakePackets())...)
		if len(heard) != 1 {
			t.Errorf("synced %v: votes for %v in one term", synced, heard)
		}
		votes += len(heard)
	}
	if votes == 0 {
		t.Fatal("nobody voted: nothing was tested")
	}
}
