package raft_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// rpcs are all messages, in this term, from a server that may send them. simple_raft has the first four.
func rpcs(term raft.Term) map[string]raft.Message {
	return map[string]raft.Message{
		"VoteRequest":          &raft.RequestVote{Term: term, Candidate: 2, Last: raft.EntryID{Index: 9, Term: term}},
		"VoteResponse":         &raft.RequestVoteReply{Term: term, Asked: term},
		"AppendRequest":        &raft.AppendEntries{Term: term, Leader: 2},
		"AppendResponse":       &raft.AppendEntriesReply{Term: term},
		"Heartbeat":            &raft.Heartbeat{Term: term, Leader: 2},
		"HeartbeatReply":       &raft.HeartbeatReply{Term: term},
		"InstallSnapshot":      &raft.InstallSnapshot{Term: term, Leader: 2, Snapshot: raft.SnapshotMeta{Index: 9, Term: 1, Membership: raft.Membership{Voters: idsTo(3)}}},
		"InstallSnapshotReply": &raft.InstallSnapshotReply{Term: term},
		"TimeoutNow":           &raft.TimeoutNow{Term: term, Leader: 2},
	}
}

// fromLeader names the messages that only a leader sends of itself.
var fromLeader = []string{"AppendRequest", "Heartbeat", "InstallSnapshot"}

func receive(r *raft.Replica, m raft.Message) { r.Receive(2, raft.Packet{From: 2, To: 1, Message: m}) }

func elected(t *testing.T) *raft.Replica {
	t.Helper()
	r := lone(t, 3)
	candidate(t, r, 2)
	if grant(r, 2, true); !leads(r) || r.Status().Term != 1 {
		t.Fatalf("%+v", r.Status())
	}
	return r
}

// TestSimpleRaftTerm is simple_raft's tests/term.rs: everybody learns a newer term from every message (§5.1).
func TestSimpleRaftTerm(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *raft.Replica{
		// A leader with fresh contact to its quorum ignores a mere candidate (thesis §4.2.3), so contact is stale here.
		"leader_update_term": func(t *testing.T) *raft.Replica {
			r := elected(t)
			r.Advance(electionTicks * tick)
			return r
		},
		"candidate_update_term": func(t *testing.T) *raft.Replica {
			r := lone(t, 3)
			candidate(t, r, 2)
			return r
		},
		"follower_update_term": func(t *testing.T) *raft.Replica { return lone(t, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			for rpc := range rpcs(1) {
				r := start(t)
				newer := r.Status().Term + 1
				receive(r, rpcs(newer)[rpc])
				if s := r.Status(); s.Term != newer || s.Role != raft.Follower {
					t.Errorf("%s: %v in term %d, want a follower in %d", rpc, s.Role, s.Term, newer)
				}
				for stale, m := range rpcs(newer - 1) {
					before := r.Status()
					if receive(r, m); !reflect.DeepEqual(r.Status(), before) {
						t.Errorf("%s of an older term after %s: %+v, was %+v", stale, rpc, r.Status(), before)
					}
				}
			}
		})
	}
	t.Run("prevote_updates_no_term", func(t *testing.T) {
		r := lone(t, 3)
		receive(r, &raft.RequestVote{Term: 7, Candidate: 2, PreVote: true})
		if s := r.Status(); s.Term != 0 {
			t.Errorf("term %d", s.Term)
		}
	})
	t.Run("leader_in_contact_ignores_candidates", func(t *testing.T) {
		r := elected(t)
		receive(r, rpcs(2)["VoteRequest"])
		if s := r.Status(); s.Term != 1 || s.Role != raft.Leader {
			t.Errorf("%v in term %d", s.Role, s.Term)
		}
	})
}

// TestSimpleRaftLeader is simple_raft's tests/leader.rs: a leader is known by what only leaders send, and by nothing else.
func TestSimpleRaftLeader(t *testing.T) {
	t.Run("append_request_update_leader", func(t *testing.T) {
		for _, rpc := range fromLeader {
			r := lone(t, 2)
			receive(r, rpcs(1)[rpc])
			if s := r.Status(); s.Leader != 2 || s.Term != 1 {
				t.Errorf("%s: leader %d in term %d", rpc, s.Leader, s.Term)
			}
		}
	})
	t.Run("no_update_leader", func(t *testing.T) {
		for rpc, m := range rpcs(1) {
			if slices.Contains(fromLeader, rpc) {
				continue
			}
			r := lone(t, 3)
			receive(r, m)
			if s := r.Status(); s.Leader != raft.None || s.Term != 1 {
				t.Errorf("%s: leader %d in term %d", rpc, s.Leader, s.Term)
			}
			r = lone(t, 3) // with a leader, which a newer term ends
			receive(r, &raft.Heartbeat{Term: 1, Leader: 2})
			r.Advance((electionTicks + 1) * tick)
			receive(r, rpcs(2)[rpc])
			if s := r.Status(); s.Leader != raft.None || s.Term != 2 {
				t.Errorf("%s: leader %d in term %d after another one", rpc, s.Leader, s.Term)
			}
		}
	})
}
