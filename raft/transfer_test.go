package raft

import (
	"errors"
	"strings"
	"testing"
)

func TestTransferIsRefused(t *testing.T) {
	m := Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}
	s := established(t, m)
	var invalid *InvalidTransferError
	for _, to := range []NodeID{1, 4, 9, None} {
		if e := s.do(Transfer{To: to}); !errors.As(e.Refused, &invalid) || e.Transfer != nil || s.Status().TransferTo != None {
			t.Errorf("to %d: %+v", to, e)
		}
	}
	s.do(Transfer{To: 2})
	if e := s.do(Transfer{To: 3}); e.Refused != ErrTransferring || e.Transfer != nil || s.Status().TransferTo != 2 {
		t.Errorf("%+v", e)
	}
	s.sync(StepDown{})
	if e := s.do(Transfer{To: 2}); !errors.Is(e.Refused, ErrNotLeader) {
		t.Errorf("%+v", e)
	}
}

// Only a voter of the new half may be chosen: the other is on its way out.
func TestTransferToOutgoingVoter(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.do(ChangeMembership{Target: voters(1, 4, 5), Force: true})
	var invalid *InvalidTransferError
	if e := s.do(Transfer{To: 2}); !errors.As(e.Refused, &invalid) {
		t.Fatalf("%+v", e)
	}
}

// A target that was not heard for as long as a follower waits for its leader is refused at once: it could not take over, and writes would wait for it.
func TestTransferToTheSilentIsRefused(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	for range 2 { // server 3 answers, server 2 does not
		s.at += testElection / 2
		s.beaten(3, 0, s.at)
	}
	e := s.do(Transfer{To: 2})
	var silent *SilentTargetError
	if !errors.As(e.Refused, &silent) || *silent != (SilentTargetError{To: 2, Silence: testElection}) || e.Transfer != nil || s.Status().TransferTo != None {
		t.Fatalf("%+v, refused: %v", e, e.Refused)
	}
	if words := silent.Error(); !strings.Contains(words, "server 2") || !strings.Contains(words, testElection.String()) {
		t.Error(words)
	}
	if e = s.do(Propose{Count: 1}); e.Refused != nil {
		t.Errorf("a write waits beside it: %v", e.Refused)
	}
	s.beaten(2, 0, s.at)
	if e = s.do(Transfer{To: 2}); e.Refused != nil {
		t.Errorf("it answers again: %v", e.Refused)
	}
}

// A leader that has just been elected has heard nobody yet, which is not their silence.
func TestTransferRightAfterTheElection(t *testing.T) {
	s := leading(t, voters(1, 2, 3))
	s.at += testElection - 1
	if e := s.do(Transfer{To: 2}); e.Refused != nil {
		t.Fatal(e.Refused)
	}
	s = leading(t, voters(1, 2, 3))
	s.at += testElection
	var silent *SilentTargetError
	if e := s.do(Transfer{To: 2}); !errors.As(e.Refused, &silent) || silent.Silence != testElection {
		t.Fatalf("%v", e.Refused)
	}
}

func TestTransferWaitsForTheTarget(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.sync(Propose{Count: 2})
	if e := s.do(Transfer{To: 2}); e.Refused != nil || len(e.Send) != 0 {
		t.Fatalf("urges a target that lacks entries: %+v", e)
	}
	if e := s.do(Propose{Count: 1}); e.Refused != ErrTransferring || s.LastIndex() != 3 {
		t.Fatalf("%+v", e)
	}
	if e := s.do(ChangeMembership{Target: voters(1, 2), Force: true}); e.Refused != ErrTransferring {
		t.Fatalf("%+v", e)
	}
	if e := s.matched(2, 2); len(e.Send) != 0 {
		t.Fatalf("%+v", e)
	}
	if e := s.matched(3, 3); len(e.Send) != 0 {
		t.Fatalf("urges somebody else: %+v", e)
	}
	for range 2 { // the message may be lost: it comes again with every answer
		if m, _ := sent[*TimeoutNow](t, s.matched(2, 3), 2); *m != (TimeoutNow{Term: 1, Leader: 1}) {
			t.Fatalf("%+v", m)
		}
	}
	sent[*TimeoutNow](t, s.beaten(2, 0, 0), 2)
	e := s.get(2, &RequestVote{Term: 2, Candidate: 2, Last: s.log.LastID(), Transfer: true})
	if r, _ := sent[*RequestVoteReply](t, e, 2); !r.Granted {
		t.Fatal("the old leader denies its vote to the one it chose")
	}
	if e.Transfer == nil || *e.Transfer != (TransferDone{To: 2}) || s.Role() != Follower || s.Status().TransferTo != None {
		t.Fatalf("%+v", e)
	}
}

func TestTransferAtOnce(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	sent[*TimeoutNow](t, s.do(Transfer{To: 2}), 2)
}

func TestTransferEnds(t *testing.T) {
	for name, c := range map[string]struct {
		ev   Event
		want error // by errors.Is
	}{
		"abort":              {AbortTransfer{}, ErrTransferAborted},
		"step down":          {StepDown{}, ErrNotLeader},
		"another's new term": {Received{3, &HeartbeatReply{Term: 5}}, ErrNotLeader},
		"another leads":      {Received{3, &Heartbeat{Term: 5, Leader: 3}}, nil},
		"the target's term":  {Received{2, &HeartbeatReply{Term: 5}}, nil},
	} {
		s := established(t, voters(1, 2, 3))
		s.do(Transfer{To: 2})
		e := s.sync(c.ev)
		if e.Transfer == nil || e.Transfer.To != 2 || !errors.Is(e.Transfer.Err, c.want) || c.want == nil && e.Transfer.Err != nil {
			t.Errorf("%s: %+v", name, e.Transfer)
		}
		if name == "abort" {
			if e = s.do(Propose{Count: 1}); e.Refused != nil {
				t.Errorf("%s: %v", name, e.Refused)
			}
			e = s.matched(2, s.LastIndex())
			if len(e.Send) != 0 {
				t.Errorf("%s: urges on", name)
			}
		}
		if e = s.do(AbortTransfer{}); e.Transfer != nil {
			t.Errorf("%s: ends twice", name)
		}
	}
	// A leadership that follows knows nothing of it (hashicorp/raft issue 696).
	s := established(t, voters(1, 2, 3))
	s.do(Transfer{To: 2})
	s.sync(StepDown{})
	s.at += testElection
	s.elect()
	if e := s.do(Propose{Count: 1}); e.Refused != nil {
		t.Fatal(e.Refused)
	}
}

// Check-quorum ends a transfer too: nobody is left waiting.
func TestTransferEndsWithTheQuorum(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.do(Transfer{To: 2})
	s.at += testElection
	if e := s.do(Elapsed{}); e.Transfer == nil || !errors.Is(e.Transfer.Err, ErrNotLeader) {
		t.Fatalf("%+v", e)
	}
}

func TestTimeoutNow(t *testing.T) {
	for name, c := range map[string]struct {
		m      Membership
		leader NodeID
		msg    TimeoutNow
		runs   bool
	}{
		"asked by its leader": {voters(1, 2, 3), 2, TimeoutNow{Term: 4, Leader: 2}, true},
		"no leader known":     {voters(1, 2, 3), None, TimeoutNow{Term: 4, Leader: 2}, false},
		"asked by another":    {voters(1, 2, 3), 3, TimeoutNow{Term: 4, Leader: 2}, false},
		"old term":            {voters(1, 2, 3), 2, TimeoutNow{Term: 3, Leader: 2}, false},
		"newer term":          {voters(1, 2, 3), 2, TimeoutNow{Term: 5, Leader: 2}, false},
		"learner":             {Membership{Voters: []NodeID{2, 3}, Learners: []NodeID{1}}, 2, TimeoutNow{Term: 4, Leader: 2}, false},
		"not a member":        {voters(2, 3), 2, TimeoutNow{Term: 4, Leader: 2}, false},
	} {
		s := newSubject(t, disk(c.m, 4, 1))
		if c.leader != None {
			s.get(c.leader, &Heartbeat{Term: 4, Leader: c.leader})
		}
		e := s.do(Received{2, &c.msg})
		if got := s.Role() == Candidate; got != c.runs {
			t.Errorf("%s: %v", name, s.Role())
		}
		if !c.runs {
			continue
		}
		if s.Leader() != None {
			t.Errorf("follows %d into the term that it wants to lead", s.Leader())
		}
		// No prevote, though it heard its leader just now; and the voters are told why.
		m, o := sent[*RequestVote](t, e, 3)
		if *m != (RequestVote{Term: 5, Candidate: 1, Last: EntryID{1, 1}, Transfer: true, Founders: s.Founders()}) || !o.AfterSync {
			t.Errorf("%+v", m)
		}
		if e = s.do(Received{2, &c.msg}); e.Hard != nil || s.Term() != 5 {
			t.Errorf("%s: the message repeated starts another election", name)
		}
	}
}

// The promise to the leader that asked for the election is over with it.
func TestTransferEndsThePromise(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	s.get(2, &Heartbeat{Term: 4, Leader: 2})
	s.get(2, &TimeoutNow{Term: 4, Leader: 2})
	s.get(2, &RequestVoteReply{Term: 5, Asked: 5, Granted: true})
	s.sync(StepDown{})
	r, _ := sent[*RequestVoteReply](t, s.get(3, &RequestVote{Term: 6, Candidate: 3, Last: s.log.LastID(), PreVote: true}), 3)
	if !r.Granted {
		t.Fatal("refuses a prevote for having heard the leader before itself")
	}
}

// What a transferred election does not win is tried again by the ordinary rules.
func TestTransferredElectionFallsBack(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	s.get(2, &Heartbeat{Term: 4, Leader: 2})
	s.get(2, &TimeoutNow{Term: 4, Leader: 2})
	s.at += testElection
	if m, _ := sent[*RequestVote](t, s.sync(Elapsed{}), 3); !m.PreVote || m.Transfer {
		t.Fatalf("%+v", m)
	}
}
