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
		wantTerm Term
	}{
		{name: "newer term, same log", m: RequestVote{Term: 5, Last: EntryID{3, 2}}, granted: true, wantTerm: 5},
		{name: "newer term, longer log", m: RequestVote{Term: 5, Last: EntryID{9, 2}}, granted: true, wantTerm: 5},
		{name: "newer term, shorter log of newer term", m: RequestVote{Term: 5, Last: EntryID{1, 3}}, granted: true, wantTerm: 5},
		{name: "newer term, shorter log", m: RequestVote{Term: 5, Last: EntryID{2, 2}}, wantTerm: 5},
		{name: "newer term, longer log of older term", m: RequestVote{Term: 5, Last: EntryID{9, 1}}, wantTerm: 5},
		{name: "same term, no vote yet", m: RequestVote{Term: 4, Last: EntryID{3, 2}}, granted: true, wantTerm: 4},
		{name: "same term, vote given to another", vote: 3, m: RequestVote{Term: 4, Last: EntryID{9, 3}}, wantTerm: 4},
		{name: "same term, vote given to it already", vote: 2, m: RequestVote{Term: 4, Last: EntryID{3, 2}}, granted: true, wantTerm: 4},
		{name: "newer term, vote given in the old one", vote: 3, m: RequestVote{Term: 5, Last: EntryID{3, 2}}, granted: true, wantTerm: 5},
		{name: "older term", m: RequestVote{Term: 3, Last: EntryID{9, 3}}, wantTerm: 4},
		{name: "hears a leader: keeps its term", leader: 3, m: RequestVote{Term: 9, Last: EntryID{9, 4}}, wantTerm: 4},
		{name: "hears a leader that asked for it", leader: 3, m: RequestVote{Term: 5, Last: EntryID{3, 2}, Transfer: true}, granted: true, wantTerm: 5},
		{name: "prevote", m: RequestVote{Term: 5, Last: EntryID{3, 2}, PreVote: true}, granted: true, wantTerm: 4},
		{name: "prevote for far future", m: RequestVote{Term: 50, Last: EntryID{3, 2}, PreVote: true}, granted: true, wantTerm: 4},
		{name: "prevote for the present term", m: RequestVote{Term: 4, Last: EntryID{9, 3}, PreVote: true}, wantTerm: 4},
		{name: "prevote, shorter log", m: RequestVote{Term: 5, Last: EntryID{2, 2}, PreVote: true}, wantTerm: 4},
		{name: "prevote, hears a leader", leader: 3, m: RequestVote{Term: 5, Last: EntryID{9, 4}, PreVote: true}, wantTerm: 4},
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
	if *ask != (RequestVote{Term: 5, Candidate: 1, Last: EntryID{2, 4}, PreVote: true}) || !o.AfterSync {
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
	if s.Role() != Candidate || *e.Hard != (HardState{Term: 5, Vote: 1}) || len(e.Send) != 4 || e.Patience != WaitAfresh {
		t.Fatalf("%v, %+v", s.Role(), e)
	}
	ask, o = sent[*RequestVote](t, e, 5)
	if *ask != (RequestVote{Term: 5, Candidate: 1, Last: EntryID{2, 4}}) || !o.AfterSync {
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
		if s.Role() != Follower || s.Term() != 8 || *e.Hard != (HardState{Term: 8}) || e.Patience != WaitAfresh {
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
	breaks(t, "Election Safety", func() { s.Step(s.at, Received{2, &Heartbeat{Term: term, Leader: 2}}) })
	s = leading(t, voters(1, 2, 3))
	s.sync(StepDown{})
	breaks(t, "Election Safety", func() { s.Step(s.at, Received{2, &AppendEntries{Term: term, Leader: 2}}) })
	s = newSubject(t, disk(voters(1, 2, 3), 4))
	s.get(2, &Heartbeat{Term: 4, Leader: 2})
	breaks(t, "Election Safety", func() { s.Step(s.at, Received{3, &AppendEntries{Term: 4, Leader: 3}}) })
}
