package raft

import (
	"fmt"
	"testing"
	"time"
)

func TestRequestVote(t *testing.T) {
	const heard = testElection / 2
	for _, c := range []struct {
		name     string
		vote     NodeID // already given in term 4
		leader   NodeID // heard a moment ago in term 4
		m        RequestVote
		granted  bool
		why      CastReason
		wantTerm Term
	}{
		{name: "newer term, same log", m: RequestVote{Term: 5, Last: EntryID{3, 2}}, granted: true, wantTerm: 5},
		{name: "newer term, longer log", m: RequestVote{Term: 5, Last: EntryID{9, 2}}, granted: true, wantTerm: 5},
		{name: "newer term, shorter log of newer term", m: RequestVote{Term: 5, Last: EntryID{1, 3}}, granted: true, wantTerm: 5},
		{name: "newer term, shorter log", m: RequestVote{Term: 5, Last: EntryID{2, 2}}, why: LogIsOlder, wantTerm: 5},
		{name: "newer term, longer log of older term", m: RequestVote{Term: 5, Last: EntryID{9, 1}}, why: LogIsOlder, wantTerm: 5},
		{name: "same term, no vote yet", m: RequestVote{Term: 4, Last: EntryID{3, 2}}, granted: true, wantTerm: 4},
		{name: "same term, vote given to another", vote: 3, m: RequestVote{Term: 4, Last: EntryID{9, 3}}, why: HasVoted, wantTerm: 4},
		{name: "same term, vote given to it already", vote: 2, m: RequestVote{Term: 4, Last: EntryID{3, 2}}, granted: true, wantTerm: 4},
		{name: "newer term, vote given in the old one", vote: 3, m: RequestVote{Term: 5, Last: EntryID{3, 2}}, granted: true, wantTerm: 5},
		{name: "older term", m: RequestVote{Term: 3, Last: EntryID{9, 3}}, why: StaleTerm, wantTerm: 4},
		{name: "hears a leader: keeps its term", leader: 3, m: RequestVote{Term: 9, Last: EntryID{9, 4}}, why: HasLeader, wantTerm: 4},
		{name: "hears a leader that asked for it", leader: 3, m: RequestVote{Term: 5, Last: EntryID{3, 2}, Transfer: true}, granted: true, wantTerm: 5},
		{name: "prevote", m: RequestVote{Term: 5, Last: EntryID{3, 2}, PreVote: true}, granted: true, wantTerm: 4},
		{name: "prevote for far future", m: RequestVote{Term: 50, Last: EntryID{3, 2}, PreVote: true}, granted: true, wantTerm: 4},
		{name: "prevote for the present term", m: RequestVote{Term: 4, Last: EntryID{9, 3}, PreVote: true}, why: StaleTerm, wantTerm: 4},
		{name: "prevote, shorter log", m: RequestVote{Term: 5, Last: EntryID{2, 2}, PreVote: true}, why: LogIsOlder, wantTerm: 4},
		{name: "prevote, hears a leader", leader: 3, m: RequestVote{Term: 5, Last: EntryID{9, 4}, PreVote: true}, why: HasLeader, wantTerm: 4},
		{name: "prevote after a vote", vote: 3, m: RequestVote{Term: 5, Last: EntryID{3, 2}, PreVote: true}, granted: true, wantTerm: 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			st := disk(voters(1, 2, 3), 4, 1, 1, 2)
			st.Hard.Vote = c.vote
			s := newSubject(t, st)
			if c.leader != None {
				s.get(c.leader, &Heartbeat{Term: 4, Leader: c.leader})
				s.at += heard
			}
			c.m.Candidate = 2
			e := s.do(Received{From: 2, Message: &c.m})
			r, o := sent[*RequestVoteReply](t, e, 2)
			if r.Granted != c.granted || r.Term != c.wantTerm || r.Asked != c.m.Term || r.PreVote != c.m.PreVote {
				t.Errorf("reply %+v, want granted %v in term %d", *r, c.granted, c.wantTerm)
			}
			if want := (Cast{Candidate: 2, Term: c.m.Term, PreVote: c.m.PreVote, Why: c.why, Last: c.m.Last, Own: EntryID{3, 2}}); e.Cast == nil || *e.Cast != want || (c.why == Granted) != c.granted {
				t.Errorf("told %+v, want %+v", e.Cast, want)
			}
			if s.Term() != c.wantTerm {
				t.Errorf("term %d, want %d", s.Term(), c.wantTerm)
			}
			if c.granted != o.AfterSync && c.wantTerm == 4 {
				t.Errorf("AfterSync %v for granted=%v", o.AfterSync, c.granted)
			}
			if c.wantTerm != 4 && !o.AfterSync {
				t.Error("speaks of a term that is not durable")
			}
			cast := c.granted && !c.m.PreVote
			if v := s.Status().Vote; cast != (v == 2) {
				t.Errorf("vote for %d, granted %v", v, c.granted)
			}
			if fresh := e.Patience == WaitAfresh; fresh != cast {
				t.Errorf("waits afresh: %v, vote cast: %v", fresh, cast)
			}
		})
	}
}

// A second candidate in the same term gets nothing, whatever the order of messages and restarts.
func TestVoteOncePerTermAcrossRestart(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	s.get(2, &RequestVote{Term: 5, Candidate: 2})
	st := State{Hard: s.hard, Snapshot: s.snapshot}
	s = newSubject(t, st)
	r, _ := sent[*RequestVoteReply](t, s.get(3, &RequestVote{Term: 5, Candidate: 3, Last: EntryID{9, 5}}), 3)
	if r.Granted {
		t.Fatal("two votes in one term")
	}
	r, _ = sent[*RequestVoteReply](t, s.get(2, &RequestVote{Term: 5, Candidate: 2}), 2)
	if !r.Granted {
		t.Fatal("the vote that is on disk is denied")
	}
}

// A server answers votes by log and term alone: it may not know yet that it, or the candidate, is a voter (§6).
func TestAnyServerVotes(t *testing.T) {
	for _, m := range []Membership{{}, voters(2, 3), {Voters: []NodeID{2, 3}, Learners: []NodeID{1}}} {
		s := newSubject(t, disk(m, 4))
		e := s.get(7, &RequestVote{Term: 5, Candidate: 7})
		if r, _ := sent[*RequestVoteReply](t, e, 7); !r.Granted {
			t.Errorf("members %v: refused", m)
		}
		if e.Patience == WaitAfresh {
			t.Errorf("members %v: the timer runs without a vote", m)
		}
	}
}

// A restarted server may have promised a leader not to vote, and forgotten it (thesis §6.4.1).
func TestRestartKeepsPromise(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	s.at = testElection - 1
	r, _ := sent[*RequestVoteReply](t, s.get(2, &RequestVote{Term: 5, Candidate: 2}), 2)
	if r.Granted || s.Term() != 4 {
		t.Fatal("votes at once after a restart")
	}
	s.sync(Campaign{})
	s.get(2, &RequestVoteReply{Term: 4, Asked: 5, Granted: true, PreVote: true})
	if s.Role() == Candidate {
		t.Fatal("votes for itself at once after a restart")
	}
	s.at = testElection
	r, _ = sent[*RequestVoteReply](t, s.get(2, &RequestVote{Term: 5, Candidate: 2}), 2)
	if !r.Granted {
		t.Fatal("does not vote after ElectionMin")
	}
	fresh, err := New(Config{ID: 1, ElectionMin: testElection}, disk(voters(1), 0), 0)
	if err != nil {
		t.Fatal(err)
	}
	if fresh.Step(0, Campaign{}); fresh.Role() != Candidate {
		t.Fatal("a server that never had a term waits for nobody")
	}
}

// The only voter of a committed membership waits for nobody; one that may be in the midst of a change does.
func TestRestartAlone(t *testing.T) {
	for _, c := range []struct {
		st   State
		runs bool
	}{
		{disk(voters(1), 4, 1), true},
		{State{Hard: HardState{Term: 4}, Snapshot: SnapshotMeta{Index: 3, Term: 2, Membership: voters(1)}, Runs: logOf(1, 2, 2, 3), Changes: []Change{{2, voters(1)}}}, true},
		{State{Hard: HardState{Term: 4}, Snapshot: SnapshotMeta{Membership: voters(1, 2)}, Runs: logOf(1, 2), Changes: []Change{{2, voters(1)}}}, false},
		{disk(Membership{Voters: []NodeID{1}, Outgoing: []NodeID{1, 2}}, 4), false},
		{disk(voters(1, 2), 4), false},
	} {
		s := newSubject(t, c.st)
		s.at = 0
		if s.do(Campaign{}); (s.Role() == Candidate) != c.runs {
			t.Errorf("%+v: %v", c.st, s.Role())
		}
		s = newSubject(t, c.st)
		s.at = 0
		if r, _ := sent[*RequestVoteReply](t, s.get(2, &RequestVote{Term: 9, Candidate: 2, Last: EntryID{9, 8}}), 2); r.Granted != c.runs {
			t.Errorf("%+v: votes for others: %v", c.st, r.Granted)
		}
	}
}

func TestCheckQuorum(t *testing.T) {
	for _, c := range []struct {
		m     Membership
		heard []NodeID
		stays bool
	}{
		{voters(1), nil, true},
		{voters(1, 2), nil, false},
		{voters(1, 2), []NodeID{2}, true},
		{voters(1, 2, 3), []NodeID{3}, true},
		{voters(1, 2, 3, 4), []NodeID{3}, false},
		{voters(1, 2, 3, 4), []NodeID{3, 4}, true},
		{Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4, 5}}, []NodeID{4, 5}, false},
		{Membership{Voters: []NodeID{1, 2, 3}, Outgoing: []NodeID{1, 4, 5}}, []NodeID{2, 3}, false},
		{Membership{Voters: []NodeID{1, 2, 3}, Outgoing: []NodeID{1, 4, 5}}, []NodeID{4, 5}, false},
		{Membership{Voters: []NodeID{1, 2, 3}, Outgoing: []NodeID{1, 4, 5}}, []NodeID{2, 4}, true},
	} {
		s := leading(t, c.m)
		s.at += testElection - 1
		if s.sync(Elapsed{}); s.Role() != Leader {
			t.Errorf("%v: gives up within ElectionMin of its election", c.m)
		}
		for _, id := range c.heard {
			s.beaten(id, 0, 0)
		}
		s.at++
		e := s.sync(Elapsed{})
		if got := s.Role() == Leader; got != c.stays || e.Patience != WaitAfresh {
			t.Errorf("%v heard %v: %v", c.m, c.heard, s.Role())
		}
		if !c.stays && (s.Leader() != None || s.Status().Vote != 1) {
			t.Errorf("%v: %+v", c.m, s.Status())
		}
	}
}

// The leader itself refuses to be disturbed as long as its quorum answers, and yields to a newer term when it does not.
func TestLeaderAndHigherTermVote(t *testing.T) {
	for _, silent := range []time.Duration{testElection - 1, testElection} {
		s := leading(t, voters(1, 2, 3))
		s.at += silent
		s.get(2, &RequestVote{Term: 9, Candidate: 2, Last: EntryID{9, 8}})
		if yields := s.Role() != Leader; yields != (silent == testElection) {
			t.Errorf("silent for %v: %v in term %d", silent, s.Role(), s.Term())
		}
	}
}

func TestStepDownEvent(t *testing.T) {
	s := established(t, voters(1, 2, 3), 1)
	term := s.Term()
	e := s.sync(StepDown{})
	if s.Role() != Follower || s.Term() != term || s.Leader() != None || e.Hard != nil || e.Patience != WaitAfresh {
		t.Fatalf("%+v %+v", s.Status(), e)
	}
	if e = s.sync(StepDown{}); e.Role != nil || e.Patience != KeepWaiting {
		t.Fatalf("a follower stepped down: %+v", e)
	}
	// The others may be elected at once (a demoted leader's own silence is no leader's voice).
	r, _ := sent[*RequestVoteReply](t, s.get(2, &RequestVote{Term: term + 1, Candidate: 2, Last: s.log.LastID(), PreVote: true}), 2)
	if !r.Granted {
		t.Fatal("refuses a prevote because it led itself")
	}
}

// Newer terms are learnt from every message but a prevote request (§5.1).
func TestTermIsLearntFromEveryMessage(t *testing.T) {
	for _, m := range []Message{
		&AppendEntries{Term: 9, Leader: 2}, &AppendEntriesReply{Term: 9}, &AppendEntriesReply{Term: 9, Success: true},
		&Heartbeat{Term: 9, Leader: 2}, &HeartbeatReply{Term: 9}, &RequestVote{Term: 9, Candidate: 2, Transfer: true},
		&RequestVoteReply{Term: 9}, &InstallSnapshot{Term: 9, Leader: 2, Snapshot: SnapshotMeta{Index: 1, Term: 1, Membership: voters(1, 2, 3)}},
		&InstallSnapshotReply{Term: 9}, &TimeoutNow{Term: 9, Leader: 2},
	} {
		for _, role := range []Role{Follower, PreCandidate, Leader} {
			s := newSubject(t, disk(voters(1, 2, 3), 4, 1))
			switch role {
			case PreCandidate:
				s.sync(Elapsed{})
			case Leader:
				s.elect()
			}
			e := s.do(Received{From: 2, Message: m})
			if s.Term() != 9 || s.Role() != Follower || e.Hard == nil || e.Hard.Term != 9 {
				t.Errorf("%v, %T: %v in term %d", role, m, s.Role(), s.Term())
			}
			for _, o := range e.Send {
				if !o.AfterSync {
					t.Errorf("%v, %T: %T speaks of a term that is not durable", role, m, o.Message)
				}
			}
		}
	}
}

// And old terms are answered with the newer one, or ignored.
func TestOldTermsChangeNothing(t *testing.T) {
	for _, m := range []Message{
		&AppendEntries{Term: 3, Leader: 2, Runs: []Run{{1, 5, 3}}}, &Heartbeat{Term: 3, Leader: 2, Commit: EntryID{1, 1}},
		&RequestVote{Term: 3, Candidate: 2, Last: EntryID{9, 3}}, &RequestVote{Term: 3, Candidate: 2, Transfer: true},
		&InstallSnapshot{Term: 3, Leader: 2, Snapshot: SnapshotMeta{Index: 7, Term: 3, Membership: voters(2)}},
		&TimeoutNow{Term: 3, Leader: 2}, &RequestVoteReply{Term: 3, Asked: 5, Granted: true},
		&AppendEntriesReply{Term: 3, Success: true, Match: 1}, &HeartbeatReply{Term: 3}, &InstallSnapshotReply{Term: 3, Match: 1},
	} {
		s := newSubject(t, disk(voters(1, 2, 3), 4, 1))
		before := fmt.Sprintf("%+v", s.Status())
		e := s.do(Received{From: 2, Message: m})
		if after := fmt.Sprintf("%+v", s.Status()); before != after || e.Patience != KeepWaiting {
			t.Errorf("%T:\n%s\n%s", m, before, after)
		}
		switch m.(type) {
		case *AppendEntries, *Heartbeat, *RequestVote, *InstallSnapshot:
			if len(e.Send) != 1 || e.Send[0].Message.MsgTerm() != 4 || e.Send[0].AfterSync {
				t.Errorf("%T: answer %+v", m, e.Send)
			}
		default:
			if len(e.Send) > 0 {
				t.Errorf("%T is answered: %+v", m, e.Send)
			}
		}
	}
}

func TestTwoLeadersInOneTerm(t *testing.T) {
	s := leading(t, voters(1, 2, 3))
	term := s.Term()
	s.impossible(TwoLeaders, 2, &Heartbeat{Term: term, Leader: 2})
	s = leading(t, voters(1, 2, 3))
	s.sync(StepDown{})
	s.impossible(TwoLeaders, 2, &AppendEntries{Term: term, Leader: 2})
	s = newSubject(t, disk(voters(1, 2, 3), 4))
	s.get(2, &Heartbeat{Term: 4, Leader: 2})
	s.impossible(TwoLeaders, 3, &AppendEntries{Term: 4, Leader: 3})
}

// A server in doubt says so, to whoever asks for its vote.
func TestCastInDoubt(t *testing.T) {
	for _, pre := range []bool{false, true} {
		st := disk(voters(1, 2, 3), 4, 1, 1, 2)
		st.Hard.Doubt = true
		e := newSubject(t, st).get(2, &RequestVote{Candidate: 2, Term: 5, PreVote: pre, Last: EntryID{9, 3}})
		if e.Cast == nil || e.Cast.Why != HasDoubt {
			t.Errorf("prevote %t: %+v", pre, e.Cast)
		}
	}
}
