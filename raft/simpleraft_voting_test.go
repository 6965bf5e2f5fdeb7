package raft_test

import (
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// last draws the longest patience.
func last(n int64) int64 { return n - 1 }

// lone is server 1 of so many, the others of which the test plays.
func lone(t testing.TB, size int) *raft.Replica {
	t.Helper()
	return newReplica(t, config(1, size, last))
}

func leads(r *raft.Replica) bool { return r.Status().Role == raft.Leader }

// candidate makes server 1 a candidate by the prevotes of a majority: a question that simple_raft does not ask.
func candidate(t testing.TB, r *raft.Replica, voters ...raft.NodeID) {
	t.Helper()
	r.Campaign()
	for _, id := range voters {
		if leads(r) {
			t.Fatal("leads by prevotes")
		}
		grant(r, id, true)
	}
	if role := r.Status().Role; role != raft.Candidate {
		t.Fatalf("%v after the prevotes of %v", role, voters)
	}
}

// TestSimpleRaftVoting is simple_raft's tests/voting.rs. Its servers 0, 1, 2 are 1, 2, 3 here.
func TestSimpleRaftVoting(t *testing.T) {
	t.Run("empty_group_become_leader", func(t *testing.T) {
		r := lone(t, 1)
		if leads(r) {
			t.Fatal("leads before it campaigned")
		}
		if r.Campaign(); !leads(r) {
			t.Fatalf("%+v", r.Status())
		}
	})
	t.Run("_1_peer_become_leader", func(t *testing.T) {
		r := lone(t, 2)
		if candidate(t, r, 2); leads(r) {
			t.Fatal("leads by its own vote of two")
		}
		if grant(r, 2, true); !leads(r) {
			t.Fatalf("%+v", r.Status())
		}
	})
	t.Run("become_leader", func(t *testing.T) {
		r := lone(t, 3)
		candidate(t, r, 2)
		if grant(r, 2, false); leads(r) {
			t.Fatal("leads after a refusal")
		}
		if grant(r, 3, true); !leads(r) {
			t.Fatalf("%+v", r.Status())
		}
	})
	t.Run("vote_old_term", func(t *testing.T) {
		r := lone(t, 3)
		candidate(t, r, 2)
		old := r.Status().Term
		candidate(t, r, 2)
		r.Receive(2, raft.Packet{From: 2, Message: &raft.RequestVoteReply{Term: old, Asked: old, Granted: true}})
		if s := r.Status(); s.Role != raft.Candidate || s.Term != old+1 {
			t.Fatalf("%+v", s)
		}
		if grant(r, 2, true); !leads(r) {
			t.Fatal("a vote of the present term does not count either")
		}
	})
	t.Run("vote_twice", func(t *testing.T) {
		r := lone(t, 5)
		r.Campaign()
		grant(r, 2, true)
		if grant(r, 2, true); r.Status().Role != raft.PreCandidate {
			t.Fatal("two prevotes of one voter count")
		}
		candidate(t, r, 2, 3)
		grant(r, 2, true)
		if grant(r, 2, true); leads(r) {
			t.Fatal("two votes of one voter count")
		}
		if grant(r, 3, true); !leads(r) {
			t.Fatalf("%+v", r.Status())
		}
	})
	for _, c := range simpleRaftTimeouts() {
		t.Run(c.name, func(t *testing.T) {
			everySeed(t, func(t *testing.T, seed uint64) { c.play(newCluster(t, seed, c.size, c.weather)) })
		})
	}
}

// A timeoutCase is one of the tests in which server 1 loses patience and either wins at once or never.
type timeoutCase struct {
	name    string
	size    int
	weather weather
	elected bool
}

func simpleRaftTimeouts() []timeoutCase {
	return []timeoutCase{
		{"_1_timeout", 1, fair(), true},
		{"_2_nodes_timeout", 2, fair(), true},
		{"_2_nodes_failed_timeout", 2, fair().nodeDown(2), false},
		{"_3_nodes_timeout", 3, fair(), true},
		{"_3_nodes_degraded_timeout", 3, fair().isolate(2), true},
		{"_3_nodes_split_timeout", 3, fair().dropBetween(1, 2), true},
		{"_3_nodes_failed_timeout", 3, fair().nodeDown(2, 3), false},
		{"_4_nodes_degraded_timeout", 4, fair().isolate(2), true},
		{"_4_nodes_failed_timeout", 4, fair().isolate(2, 3), false},
		{"_5_nodes_degraded_timeout", 5, fair().isolate(2, 3), true},
		{"_5_nodes_failed_timeout", 5, fair().isolate(2, 3, 4), false},
	}
}

func (k timeoutCase) play(c *cluster) {
	c.t.Helper()
	c.runOn(1, (*raft.Replica).Campaign)
	if len(k.weather.cut)+len(k.weather.down) > 0 {
		c.must("lost")
	}
	if k.elected {
		if !c.leads(1) || c.nodes[1].Status().Term != 1 {
			c.fatalf("not elected at once")
		}
		return
	}
	// Neither now nor later; and whoever cannot win raises no term (thesis §9.6).
	c.runFor(10*electionTicks, "without a leader in term 0", func() bool { return !c.hasLeader() && c.nodes[1].Status().Term == 0 })
}

// TestSimpleRaftElections is the part of tests/voting.rs in which time passes.
func TestSimpleRaftElections(t *testing.T) {
	holds := func(c *cluster) {
		c.t.Helper()
		id, term := c.leader(), c.nodes[c.leader()].Status().Term
		c.runFor(10*electionTicks, "led by the same", func() bool { return c.leads(id) && c.nodes[id].Status().Term == term })
	}
	for name, play := range map[string]func(*testing.T, uint64){
		"election_timeout": func(t *testing.T, seed uint64) {
			c := newCluster(t, seed, 3, fair())
			holds(c.runUntil("a leader", c.hasLeader))
		},
		"degraded": func(t *testing.T, seed uint64) {
			c := newCluster(t, seed, 3, fair().isolate(1))
			holds(c.runUntil("a leader", c.hasLeader))
			c.must("lost")
		},
		// There the server that does not hear the leader deposes it. Here it asks in vain, and the leader stays.
		"split_unstable": func(t *testing.T, seed uint64) {
			c, asked := newCluster(t, seed, 3, fair()), 0
			c.runOn(2, (*raft.Replica).Campaign)
			c.weather = fair().dropBetween(2, 3) // only now, so that its log is no reason to refuse server 3
			c.watch = func(p raft.Packet) {
				if m, ok := p.Message.(*raft.RequestVote); ok && p.From == 3 && m.PreVote {
					asked++
				}
			}
			c.runFor(100*electionTicks, "led by 2, and nobody's term raised", func() bool { return c.leads(2) && c.nodes[3].Status().Term == 1 })
			c.must("lost")
			if asked == 0 {
				c.fatalf("server 3 never lost its patience")
			}
		},
		"split_stable": func(t *testing.T, seed uint64) {
			c := newCluster(t, seed, 3, fair().dropBetween(2, 3))
			holds(c.runOn(1, (*raft.Replica).Campaign))
			if c.leader() != 1 {
				c.fatalf("server 1 does not lead")
			}
		},
		// Nobody deposes the leader here, so it gives up itself; then the split ends.
		"split_rejoin": func(t *testing.T, seed uint64) {
			c := newCluster(t, seed, 3, fair().dropBetween(2, 3))
			c.runOn(2, (*raft.Replica).Campaign)
			c.runFor(10*electionTicks, "led by 2", func() bool { return c.leads(2) })
			c.must("lost")
			c.runOn(2, (*raft.Replica).StepDown).runUntil("no leader", func() bool { return !c.hasLeader() })
			c.weather = fair()
			holds(c.runUntil("a leader", c.hasLeader))
			c.runUntil("followed by all", func() bool {
				id := c.leader()
				return c.nodes[1].Status().Leader == id && c.nodes[2].Status().Leader == id && c.nodes[3].Status().Leader == id
			})
		},
	} {
		t.Run(name, func(t *testing.T) { everySeed(t, play) })
	}
}
