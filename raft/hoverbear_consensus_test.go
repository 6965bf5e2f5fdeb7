package raft_test

import (
	"fmt"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// electLeader is Hoverbear's elect_leader: server 1 loses patience, everybody answers.
func electLeader(t *testing.T, size int) *cluster {
	t.Helper()
	c := newCluster(t, 1, size, fair()).runOn(1, (*raft.Replica).Campaign)
	if !c.leads(1) {
		c.fatalf("not elected")
	}
	return c
}

// only returns the single packet of type M to a server.
func only[M raft.Message](t *testing.T, packets []raft.Packet, to raft.NodeID) (found raft.Packet) {
	t.Helper()
	count := 0
	for _, p := range packets {
		if _, ok := p.Message.(M); ok && p.To == to {
			found = p
			count++
		}
	}
	if count != 1 {
		t.Fatalf("%d messages of type %T to %d in %+v", count, *new(M), to, packets)
	}
	return found
}

// TestHoverbearConsensus is the test module of Hoverbear's src/consensus.rs.
func TestHoverbearConsensus(t *testing.T) {
	t.Run("test_majority", majorities)
	t.Run("test_solitary_consensus_transition_to_leader", func(t *testing.T) {
		r := lone(t, 1)
		if role := r.Status().Role; role != raft.Follower {
			t.Fatalf("begins as %v", role)
		}
		r.Advance(2 * electionTicks * tick)
		if !leads(r) || len(r.TakePackets()) != 0 {
			t.Fatalf("%+v", r.Status())
		}
	})
	t.Run("test_election", func(t *testing.T) {
		for size := 1; size < 10; size++ {
			c := electLeader(t, size)
			for _, id := range c.ids[1:] {
				if s := c.nodes[id].Status(); s.Role != raft.Follower || s.Leader != 1 || s.Term != 1 {
					c.fatalf("server %d: %v", id, s.Role)
				}
			}
		}
	})
	t.Run("test_heartbeat", heartbeats)
	t.Run("test_slow_heartbeat", slowHeartbeat)
	t.Run("test_proposal", func(t *testing.T) {
		for size := 1; size < 7; size++ {
			c := electLeader(t, size)
			if !c.propose("foo") {
				c.fatalf("refused")
			}
			if c.settle(); !c.has(1, "foo") { // the client's answer
				c.fatalf("not committed by the leader")
			}
			for _, id := range c.ids {
				if e := c.nodes[id].Durable().Entries; len(e) != 2 || e[1].Term != 1 || string(e[1].Data) != "foo" { // after the no-op
					c.fatalf("server %d has %+v", id, e)
				}
			}
		}
	})
	t.Run("test_append_reorder", appendReorder)
}

// slowHeartbeat keeps the leader's heartbeats under way for so long that the follower is elected meanwhile. The stale one that comes
// then changes nothing but tells the old leader.
func slowHeartbeat(t *testing.T) {
	c := electLeader(t, 2)
	var slow []raft.Packet
	for range 2*electionTicks + 1 {
		for _, id := range c.ids {
			c.nodes[id].Advance(tick)
		}
		for _, p := range c.nodes[1].TakePackets() {
			if _, ok := p.Message.(*raft.Heartbeat); ok {
				slow = append(slow, p)
			}
		}
		c.settle() // carries what the follower, now a candidate, says
		if c.leads(2) {
			break
		}
	}
	if !c.leads(2) || c.leads(1) || len(slow) == 0 {
		c.fatalf("%d heartbeats were slow", len(slow))
	}
	term := c.nodes[2].Status().Term
	for _, p := range slow {
		if p.Message.MsgTerm() >= term {
			c.fatalf("the heartbeat of term %d is not stale", p.Message.MsgTerm())
		}
		c.nodes[2].Receive(1, p)
		reply := only[*raft.HeartbeatReply](t, c.nodes[2].TakePackets(), 1)
		if got := reply.Message.MsgTerm(); got != term {
			c.fatalf("answered in term %d", got)
		}
		c.nodes[1].Receive(2, reply)
	}
	if s := c.nodes[1].Status(); !c.leads(2) || s.Role != raft.Follower || s.Term != term {
		c.fatalf("the old leader is %v in term %d", s.Role, s.Term)
	}
}

// TestHoverbearState is the test module of Hoverbear's src/state.rs: how many servers have an entry, the leader among them.
func TestHoverbearState(t *testing.T) {
	count := func(s raft.Status, index raft.Index) (n int) {
		for _, match := range s.Match {
			if match >= index {
				n++
			}
		}
		return n
	}
	t.Run("test_count_match_indexes", func(t *testing.T) {
		for size := 1; size <= 4; size++ {
			r := lone(t, size)
			r.Campaign()
			for _, id := range append(idsTo(size)[1:], idsTo(size)[1:]...) {
				if !leads(r) {
					grant(r, id, true)
				}
			}
			if got := count(r.Status(), 0); !leads(r) || got != size {
				t.Errorf("%d servers: %d have index 0", size, got)
			}
			if got := count(r.Status(), 1); got != 1 {
				t.Errorf("%d servers: %d have what the leader alone has", size, got)
			}
		}
	})
	t.Run("test_count_match_indexes_after_answers", func(t *testing.T) {
		c := electLeader(t, 4)
		c.weather = fair().isolate(4)
		c.propose("x")
		c.settle()
		c.must("lost")
		if s := c.nodes[1].Status(); count(s, 2) != 3 || count(s, 1) != 4 || s.Commit != 2 {
			c.fatalf("match %v, commit %d", s.Match, s.Commit)
		}
	})
}

// BenchmarkHoverbearProposal is its bench_proposal_1, _3 and _5: one proposal from the client's call to its commit.
func BenchmarkHoverbearProposal(b *testing.B) {
	for _, size := range []int{1, 3, 5} {
		b.Run(fmt.Sprintf("bench_proposal_%d", size), func(b *testing.B) {
			nodes := map[raft.NodeID]*raft.Replica{}
			for _, id := range idsTo(size) {
				nodes[id] = newReplica(b, config(id, size, last))
			}
			settle := func() {
				for moved := true; moved; {
					moved = false
					for _, id := range idsTo(size) {
						for _, p := range nodes[id].TakePackets() {
							nodes[p.To].Receive(id, p)
							moved = true
						}
					}
				}
			}
			nodes[1].Campaign()
			settle()
			nodes[1].TakeCommitted()
			for i := 0; b.Loop(); i++ {
				if _, err := nodes[1].Propose([]byte("foo")); err != nil {
					b.Fatal(err)
				}
				settle()
				if got := nodes[1].TakeCommitted(); len(got) != 1 {
					b.Fatalf("%d committed", len(got))
				}
				if i%1000 == 0 {
					shorten(b, nodes)
				}
			}
		})
	}
}

// shorten keeps the logs of a benchmark from growing with the number of its rounds.
func shorten(b *testing.B, nodes map[raft.NodeID]*raft.Replica) {
	b.Helper()
	for _, r := range nodes {
		r.TakeCommitted()
		if err := r.Compact(r.Status().Commit, nil, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// majorities: beyond its sizes 1 to 4, up to the most voters there may be.
func majorities(t *testing.T) {
	for size, want := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 4, 8: 5, 9: 5} {
		r := lone(t, size)
		r.Campaign()
		need := 1
		for _, phase := range []raft.Role{raft.PreCandidate, raft.Candidate} {
			need = 1 // its own
			for id := raft.NodeID(2); r.Status().Role == phase; id++ {
				grant(r, id, true)
				need++
			}
		}
		if !leads(r) || need != want {
			t.Errorf("%d servers: %v by %d votes, want %d", size, r.Status().Role, need, want)
		}
	}
}

// heartbeats: the leader's heartbeat renews the follower's patience and is answered; the answer keeps the leader in office.
func heartbeats(t *testing.T) {
	c := electLeader(t, 2)
	leader, follower := c.nodes[1], c.nodes[2]
	for range 5 { // together far longer than any patience
		leader.Advance(heartbeatTicks * tick)
		beat := only[*raft.Heartbeat](t, leader.TakePackets(), 2)
		follower.Advance(heartbeatTicks * tick)
		follower.Receive(1, beat)
		reply := only[*raft.HeartbeatReply](t, follower.TakePackets(), 1)
		if m := reply.Message.(*raft.HeartbeatReply); m.Term != 1 || m.Sent != beat.Message.(*raft.Heartbeat).Sent {
			t.Fatalf("%+v", m)
		}
		before := leader.Status().Heard[2]
		if leader.Receive(2, reply); leader.Status().Heard[2] <= before {
			t.Fatal("the leader does not hear the answer")
		}
	}
	if !leads(leader) || follower.Status().Role != raft.Follower {
		t.Fatalf("%+v", follower.Status())
	}
	follower.Advance(2 * electionTicks * tick) // and without one the follower loses its patience
	if role := follower.Status().Role; role != raft.PreCandidate {
		t.Fatalf("%v without heartbeats", role)
	}
}

// appendReorder: an older, shorter append that comes late drops nothing (akka-raft issue 66).
func appendReorder(t *testing.T) {
	r := lone(t, 2)
	long := raft.Packet{From: 2, To: 1, Data: [][]byte{[]byte("foo"), []byte("foo")}, Kinds: make([]raft.Kind, 2),
		Message: &raft.AppendEntries{Term: 1, Leader: 2, Runs: []raft.Run{{First: 1, Last: 2, Term: 1}}}}
	short := raft.Packet{From: 2, To: 1, Data: long.Data[:1], Kinds: long.Kinds[:1],
		Message: &raft.AppendEntries{Term: 1, Leader: 2, Runs: []raft.Run{{First: 1, Last: 1, Term: 1}}}}
	r.Receive(2, long)
	for range 2 {
		r.Receive(2, short)
		verifyLog(t, r, raft.EntryID{}, []raft.CommittedEntry{{Index: 1, Term: 1, Data: []byte("foo")}, {Index: 2, Term: 1, Data: []byte("foo")}})
	}
}
