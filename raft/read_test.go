package raft

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// answered returns the reads that e ends without an error, and requires it of all.
func answered(t testing.TB, e Effects) (ids []uint64) {
	t.Helper()
	for _, r := range e.Reads {
		if r.Err != nil {
			t.Fatalf("%+v", r)
		}
		ids = append(ids, r.ID)
	}
	return ids
}

func TestReadNeedsAQuorumOfItsRound(t *testing.T) {
	s := established(t, voters(1, 2, 3, 4, 5))
	s.beaten(2, s.Round(), 0)
	s.beaten(3, s.Round(), 0) // of the round before: sent before the read was asked
	e := s.do(Read{ID: 7})
	if len(e.Reads) != 0 || e.Beat == 0 || e.Beat != s.Round() {
		t.Fatalf("%+v", e)
	}
	s.beaten(2, e.Beat, 0)
	s.beaten(2, e.Beat, 0)
	s.beaten(3, e.Beat-1, 0)
	s.beaten(9, e.Beat, 0)
	s.beaten(4, e.Beat+1, 0) // which was never sent
	s.get(5, &HeartbeatReply{Term: s.Term() - 1, Round: e.Beat})
	s.matched(4, 1) // hearing is not enough
	if len(s.reads) != 1 {
		t.Fatal("answered by a minority")
	}
	e = s.beaten(3, e.Beat, 0)
	if len(e.Reads) != 1 || e.Reads[0] != (ReadDone{ID: 7, Index: 1}) {
		t.Fatalf("%+v", e.Reads)
	}
}

func TestReadQuorumSizes(t *testing.T) {
	for size := 1; size <= MaxVoters; size++ {
		var ids []NodeID
		for i := 1; i <= size; i++ {
			ids = append(ids, NodeID(i))
		}
		s := established(t, voters(ids...))
		e := s.do(Read{ID: 1})
		got := 1
		for id := NodeID(2); len(e.Reads) == 0; id++ {
			e = s.beaten(id, s.Round(), 0)
			got++
		}
		if want := size/2 + 1; got != want {
			t.Errorf("%d voters: answered by %d, want %d", size, got, want)
		}
	}
}

func TestReadInJointConsensusNeedsBothMajorities(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.do(ChangeMembership{Target: voters(1, 4, 5), Force: true})
	s.do(Read{ID: 1})
	if e := s.beaten(2, s.Round(), 0); len(e.Reads) != 0 {
		t.Fatal("the old half alone")
	}
	if e := s.beaten(4, s.Round(), 0); !slices.Equal(answered(t, e), []uint64{1}) {
		t.Fatalf("%+v", e)
	}
}

// One quorum answers all reads up to its round, and none after.
func TestReadsShareRounds(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	var rounds []uint64
	for id := uint64(1); id <= 3; id++ {
		rounds = append(rounds, s.do(Read{ID: id}).Beat)
	}
	if !slices.IsSorted(rounds) || rounds[0] == rounds[2] {
		t.Fatalf("rounds %v", rounds)
	}
	if e := s.beaten(2, rounds[1], 0); !slices.Equal(answered(t, e), []uint64{1, 2}) {
		t.Fatalf("%+v", e.Reads)
	}
	if e := s.beaten(3, rounds[0], 0); len(e.Reads) != 0 {
		t.Fatalf("%+v", e.Reads)
	}
	if e := s.beaten(3, rounds[2], 0); !slices.Equal(answered(t, e), []uint64{3}) {
		t.Fatalf("%+v", e.Reads)
	}
}

// A new leader does not know yet what was committed before it (§8): its commit index may be too low.
func TestReadWaitsForTheTermsFirstCommit(t *testing.T) {
	s := leading(t, voters(1, 2, 3), 1, 1)
	s.do(Read{ID: 1})
	if e := s.beaten(2, s.Round(), 0); len(e.Reads) != 0 {
		t.Fatalf("answered before anything of its term is committed: %+v", e.Reads)
	}
	e := s.matched(2, 3)
	if len(e.Reads) != 1 || e.Reads[0] != (ReadDone{ID: 1, Index: 3}) {
		t.Fatalf("%+v", e.Reads)
	}
	alone := leading(t, voters(1), 1)
	if alone.CommitIndex() != 2 {
		t.Fatal("not committed")
	}
	if e := alone.do(Read{ID: 2}); e.Beat != 0 || len(e.Reads) != 1 || e.Reads[0].Index != 2 {
		t.Fatalf("%+v", e)
	}
}

// The read point is the commit index at arrival, not the later one at the answer.
func TestReadIndexIsTakenAtArrival(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.do(Read{ID: 1})
	s.sync(Propose{Count: 5})
	s.matched(2, 6)
	if e := s.beaten(2, s.Round(), 0); e.Reads[0].Index != 1 {
		t.Fatalf("%+v", e.Reads)
	}
}

func TestReadsAreLostWithTheLeadership(t *testing.T) {
	for name, ev := range map[string]Event{
		"newer leader": Received{3, &Heartbeat{Term: 9, Leader: 3}},
		"step down":    StepDown{},
		"newer term":   Received{3, &HeartbeatReply{Term: 9}},
	} {
		s := established(t, voters(1, 2, 3))
		s.do(Read{ID: 1})
		s.do(Read{ID: 2})
		e := s.do(ev)
		if len(e.Reads) != 2 || !errors.Is(e.Reads[0].Err, ErrNotLeader) || e.Reads[1].ID != 2 {
			t.Fatalf("%s: %+v", name, e.Reads)
		}
		var lost *NotLeaderError
		errors.As(e.Reads[0].Err, &lost)
		if lost.Leader != s.Leader() || lost.Term != s.Term() {
			t.Errorf("%s: %+v", name, lost)
		}
		for _, ev := range []Event{Read{ID: 3}, LeaseRead{ID: 3}} {
			if e = s.do(ev); len(e.Reads) != 1 || !errors.Is(e.Reads[0].Err, ErrNotLeader) || e.Beat != 0 {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
}

// Answers to rounds of an earlier leadership do not count for a later one.
func TestRoundsOfAnEarlierLeadership(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.do(Read{ID: 1})
	old := s.Round()
	s.sync(StepDown{})
	s.at += testElection
	s.elect()
	s.matched(2, s.LastIndex())
	if s.do(Read{ID: 2}); s.Round() <= old {
		t.Fatal("rounds fell")
	}
	if e := s.beaten(2, old, 0); len(e.Reads) != 0 {
		t.Fatalf("%+v", e)
	}
}

func TestLease(t *testing.T) {
	const lasts = testElection - testDrift
	s := established(t, voters(1, 2, 3, 4, 5))
	start := s.at
	if _, ok := s.LeaseUntil(); ok {
		t.Fatal("a lease that nobody gave")
	}
	s.beaten(2, 0, start)
	s.beaten(3, 0, start-5)
	if until, ok := s.LeaseUntil(); !ok || until != start-5+lasts {
		t.Fatalf("%v %v, want the earlier of the two", until, ok)
	}
	s.beaten(4, 0, start)
	if until, _ := s.LeaseUntil(); until != start+lasts {
		t.Fatalf("%v", until)
	}
	s.beaten(5, 0, s.at+time.Hour) // from the future
	s.beaten(2, 0, s.at+time.Hour)
	s.beaten(3, 0, s.at+time.Hour)
	if until, _ := s.LeaseUntil(); until != start+lasts {
		t.Fatalf("%v", until)
	}
	s.at = start + lasts - 1
	if e := s.do(LeaseRead{ID: 1}); len(e.Reads) != 1 || e.Reads[0] != (ReadDone{ID: 1, Index: 1}) || e.Beat != 0 {
		t.Fatalf("%+v", e)
	}
	s.at++
	if e := s.do(LeaseRead{ID: 2}); len(e.Reads) != 0 || e.Beat == 0 {
		t.Fatalf("a lease that ended is used: %+v", e)
	}
	s.beaten(2, s.Round(), 0)
	if e := s.beaten(3, s.Round(), 0); !slices.Equal(answered(t, e), []uint64{2}) {
		t.Fatal("does not fall back to a round")
	}
}

func TestNoLease(t *testing.T) {
	s := leading(t, voters(1, 2, 3), 1)
	s.beaten(2, 0, s.at)
	if e := s.do(LeaseRead{ID: 1}); len(e.Reads) != 0 {
		t.Fatal("before anything of its term was committed")
	}
	s.matched(2, 2)
	if _, ok := s.LeaseUntil(); !ok {
		t.Fatal("none")
	}
	// A transfer's election does not wait for leases: off until another leadership, even if given up, since its message
	// may still be under way (openraft issue 1748).
	s.do(Transfer{To: 3})
	for _, ev := range []Event{LeaseRead{ID: 2}, AbortTransfer{}, LeaseRead{ID: 3}} {
		if e := s.do(ev); len(e.Reads) != 0 {
			t.Fatalf("after a transfer began: %+v", e)
		}
	}
	s.sync(StepDown{})
	s.at += testElection
	s.elect()
	s.matched(2, s.LastIndex())
	if _, ok := s.LeaseUntil(); ok {
		t.Fatal("answers of the leadership before count")
	}
	s.beaten(2, 0, s.at)
	if _, ok := s.LeaseUntil(); !ok {
		t.Fatal("no lease in a new leadership")
	}
	joint := established(t, voters(1, 2, 3))
	joint.beaten(2, 0, joint.at)
	joint.do(ChangeMembership{Target: voters(1, 4, 5), Force: true})
	if _, ok := joint.LeaseUntil(); ok {
		t.Fatal("the new half gave no lease")
	}
	joint.beaten(5, 0, joint.at)
	if _, ok := joint.LeaseUntil(); !ok {
		t.Fatal("both halves did")
	}
}

// The promise behind the lease: whoever answered a heartbeat elects nobody for ElectionMin.
func TestPromiseBehindTheLease(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	s.get(2, &Heartbeat{Term: 4, Leader: 2, Sent: 1})
	asked := s.at
	for _, d := range []time.Duration{0, testElection - 1, testElection} {
		s.at = asked + d
		r, _ := sent[*RequestVoteReply](t, s.get(3, &RequestVote{Term: 5, Candidate: 3}), 3)
		if r.Granted != (d == testElection) {
			t.Errorf("after %v: granted %v", d, r.Granted)
		}
	}
}
