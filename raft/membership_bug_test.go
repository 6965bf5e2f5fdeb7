package raft

import "testing"

// A membership decides elections as soon as it is in the log (§6): who has heard of the change but not of its commit must not be
// elected by the majority of before (etcd issues 7280, 11284).
func TestUncommittedMembershipElects(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 4))
	s.get(2, &AppendEntries{Term: 4, Leader: 2, Runs: []Run{{1, 2, 4}}, Changes: []Change{{2, voters(1, 2, 3, 4)}}, Commit: 1})
	s.at += testElection
	e := s.sync(Elapsed{})
	for _, id := range []NodeID{2, 3, 4} {
		sent[*RequestVote](t, e, id)
	}
	s.get(2, &RequestVoteReply{Term: 4, Asked: 5, Granted: true, PreVote: true})
	if s.Role() != PreCandidate {
		t.Fatalf("%v: two of four are no majority, though they were one of three", s.Role())
	}
	s.get(4, &RequestVoteReply{Term: 4, Asked: 5, Granted: true, PreVote: true})
	if s.Role() != Candidate {
		t.Fatalf("%v: the newcomer's prevote does not count", s.Role())
	}
	s.get(3, &RequestVoteReply{Term: 5, Asked: 5, Granted: true})
	if s.Role() != Candidate {
		t.Fatalf("%v: elected by the quorum of before", s.Role())
	}
	if s.get(4, &RequestVoteReply{Term: 5, Asked: 5, Granted: true}); s.Role() != Leader {
		t.Fatalf("%v", s.Role())
	}
}

// A leader that removes itself is replaced within two timeouts, and never beats again (etcd issue 11038).
func TestRemovedLeaderIsReplacedSoon(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t, seed, 3, 0, faults{})
		w.run(5 * testElection)
		old := w.leader()
		var rest []NodeID
		for _, id := range w.ids {
			if id != old.id {
				rest = append(rest, id)
			}
		}
		if _, err := old.ChangeMembers(Membership{Voters: rest}); err != nil {
			t.Fatal(err)
		}
		w.collect(old)
		end := w.now + 2*2*testElection // a timeout is at most twice testElection
		for w.leader() == nil || w.leader() == old {
			if w.now > end {
				t.Fatalf("seed %d: nobody takes over: %s", seed, w.picture())
			}
			w.tick()
		}
		w.run(4 * testElection)
		if l := w.leader(); l == nil || l == old || old.node.Role() != Learner {
			t.Fatalf("seed %d: %s", seed, w.picture())
		}
	}
}
