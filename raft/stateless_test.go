package raft

import (
	"errors"
	"testing"
)

// compactedDisk is a disk whose log of n entries of term 1 was compacted through its snapshot at index s.
func compactedDisk(m Membership, s, n Index) State {
	return State{
		Hard: HardState{Term: 1}, Snapshot: SnapshotMeta{Index: s, Term: 1, Membership: m}, Prev: EntryID{Index: s, Term: 1},
		Runs: []Run{{First: s + 1, Last: n, Term: 1}},
	}
}

// A server without a state tells its leader, votes and acknowledges as ever, and does not lead, whoever asks it to.
func TestStatelessFollower(t *testing.T) {
	s := newSubject(t, compactedDisk(voters(1, 2, 3), 5, 8))
	if e := s.do(StateLost{Wants: 5}); e.Role == nil || e.Role.Role != Learner || e.Patience != StopWaiting {
		t.Errorf("%+v", e)
	}
	for _, ask := range []Event{Elapsed{}, Campaign{}} {
		if e := s.do(ask); len(e.Send) > 0 || e.Hard != nil {
			t.Errorf("%T: %+v", ask, e)
		}
	}
	if reply, _ := sent[*RequestVoteReply](t, s.get(2, &RequestVote{Term: 2, Candidate: 2, Last: EntryID{Index: 8, Term: 1}}), 2); !reply.Granted {
		t.Error("it does not vote")
	}
	if reply, _ := sent[*RequestVoteReply](t, s.get(3, &RequestVote{Term: 3, Candidate: 3, Last: EntryID{Index: 7, Term: 1}}), 3); reply.Granted {
		t.Error("it votes for a log that lacks an entry of its own")
	}
	e := s.get(2, &AppendEntries{Term: 3, Leader: 2, Prev: EntryID{Index: 8, Term: 1}, Runs: []Run{{First: 9, Last: 9, Term: 3}}, Commit: 9})
	if reply, _ := sent[*AppendEntriesReply](t, e, 2); !reply.Success || reply.Match != 9 || e.Commit.Index != 9 {
		t.Errorf("%+v", e)
	}
	beat := func() Index {
		reply, _ := sent[*HeartbeatReply](t, s.get(2, &Heartbeat{Term: 3, Leader: 2, Commit: EntryID{Index: 9, Term: 3}}), 2)
		return reply.Wants
	}
	if got := beat(); got != 5 {
		t.Errorf("it wants %d", got)
	}
	if e := s.do(Received{From: 2, Message: &TimeoutNow{Term: 3, Leader: 2}}); len(e.Send) > 0 || e.Hard != nil {
		t.Errorf("it campaigns when it is told to: %+v", e)
	}
	s.do(StateLost{}) // one has come
	if got := beat(); got != 0 || s.Role() != Learner {
		t.Errorf("it wants %d, and is %v", got, s.Role())
	}
	if e := s.do(StateRestored{}); e.Role == nil || e.Role.Role != Follower || e.Patience != WaitAfresh {
		t.Errorf("%+v", e)
	}
	if e := s.do(Received{From: 2, Message: &TimeoutNow{Term: 3, Leader: 2}}); e.Hard == nil || e.Hard.Term != 4 {
		t.Errorf("it does not campaign: %+v", e)
	}
}

// A leader, or a candidate, without a state steps down, and forgets what it said of its state machine.
func TestStatelessLeaderStepsDown(t *testing.T) {
	s := newSubject(t, compactedDisk(voters(1, 2), 5, 8))
	s.elect()
	s.do(Read{ID: 7})
	s.do(Applied{Index: 8})
	e := s.do(StateLost{Wants: 5})
	if e.Role == nil || e.Role.Role != Learner || e.Role.Leader != None || e.Hard != nil || len(e.Reads) != 1 || !errors.Is(e.Reads[0].Err, ErrNotLeader) {
		t.Errorf("%+v", e)
	}
	if reply, _ := sent[*HeartbeatReply](t, s.get(2, &Heartbeat{Term: 3, Leader: 2}), 2); reply.Applied != 0 || reply.Wants != 5 {
		t.Errorf("%+v", reply)
	}
	c := newSubject(t, compactedDisk(voters(1, 2), 5, 8))
	c.do(Elapsed{})
	if e := c.do(StateLost{Wants: 5}); c.Role() != Learner || e.Patience != StopWaiting {
		t.Errorf("%v: %+v", c.Role(), e)
	}
}

// A leader hands over to nobody without a state, gives it no vote that it has not, and takes no change that leaves nobody else to lead.
func TestLeaderOfTheStateless(t *testing.T) {
	s := established(t, Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}, 1, 1, 1)
	says := func(from NodeID, wants Index) Effects {
		s.at++
		return s.get(from, &HeartbeatReply{Term: s.Term(), Sent: s.at, Last: s.LastIndex(), Wants: wants, Applied: s.LastIndex(), Promise: testElection})
	}
	says(3, 0)
	s.do(Transfer{To: 2})
	var invalid *InvalidTransferError
	if e := says(2, 2); e.Transfer == nil || !errors.As(e.Transfer.Err, &invalid) || invalid.To != 2 {
		t.Errorf("%+v", e.Transfer)
	}
	if e := s.do(Transfer{To: 2}); !errors.As(e.Refused, &invalid) {
		t.Errorf("%v", e.Refused)
	}
	says(4, 2)
	refused := func(m Membership, want ...NodeID) {
		t.Helper()
		var unsafe *UnsafeChangeError
		e := s.do(ChangeMembership{Target: m})
		if !errors.As(e.Refused, &unsafe) || len(unsafe.Servers) != len(want) {
			t.Fatalf("%v", e.Refused)
		}
		for i, u := range unsafe.Servers {
			if u.ID != want[i] || u.Why != Stateless {
				t.Errorf("%v", e.Refused)
			}
		}
	}
	refused(voters(1, 2, 3, 4), 4)
	says(3, 2)
	refused(Membership{Voters: []NodeID{2, 3}, Learners: []NodeID{4}}, 2, 3)
	says(2, 0)
	if e := s.do(ChangeMembership{Target: Membership{Voters: []NodeID{2, 3}, Learners: []NodeID{4}}}); e.Refused != nil {
		t.Error(e.Refused)
	}
}

// An index that no log has is no index to want a snapshot from.
func TestImpossibleWant(t *testing.T) {
	s := established(t, voters(1, 2))
	s.impossible(Malformed, 2, &HeartbeatReply{Term: s.Term(), Wants: maxIndex + 1})
}
