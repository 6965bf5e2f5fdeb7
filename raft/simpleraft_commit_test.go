package raft_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// TestSimpleRaftCommit is simple_raft's tests/commit.rs, on its perfect network and on one that loses, repeats and reorders.
func TestSimpleRaftCommit(t *testing.T) {
	for _, size := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("_%d_commit", size), func(t *testing.T) {
			everySeed(t, func(t *testing.T, seed uint64) {
				c := newCluster(t, seed, size, fair()).commits(raft.None, "one")
				if size == 1 && c.ticks > 2*electionTicks {
					c.fatalf("alone, it took more than its patience")
				}
			})
			if size > 1 {
				roughly(t, size, func(c *cluster) { c.commits(raft.None, "one") })
			}
		})
	}
	// AppendError::Cancelled: who does not lead takes nothing.
	t.Run("append_cancelled", func(t *testing.T) {
		c := newCluster(t, 1, 3, fair()).runOn(1, (*raft.Replica).Campaign)
		var refused *raft.NotLeaderError
		if _, err := c.nodes[2].Propose([]byte("one")); !errors.As(err, &refused) || refused.Leader != 1 || refused.Term != 1 {
			c.fatalf("%v", err)
		}
		c.runFor(3*electionTicks, "without it", func() bool { return !c.has(raft.None, "one") })
	})
	// The leader's entry is everywhere, but it cannot know. Its successors finish it.
	t.Run("commit_leader_change", func(t *testing.T) {
		everySeed(t, func(t *testing.T, seed uint64) {
			c := newCluster(t, seed, 3, fair()).runOn(1, (*raft.Replica).Campaign)
			c.propose("one")
			c.weather = fair().dropTo(1)
			c.runFor(1, "uncommitted", func() bool { return !c.has(raft.None, "one") })
			c.must("lost")
			c.weather = fair().isolate(1)
			c.runUntil("committed without the leader", func() bool { return c.has(2, "one") && c.has(3, "one") })
			if c.has(1, "one") {
				c.fatalf("the isolated leader committed it")
			}
			c.weather = fair()
			c.runUntil("committed by the old leader", func() bool { return c.has(1, "one") })
		})
	})
	t.Run("cancel_uncommitted", func(t *testing.T) {
		everySeed(t, func(t *testing.T, seed uint64) { cancelUncommitted(newCluster(t, seed, 3, fair())) })
		roughly(t, 3, func(c *cluster) {
			c.runUntil("a leader", c.hasLeader)
			c.commits(raft.None, "one")
			c.commits(c.leader(), "two")
		})
	})
}

// commits proposes until the command is committed, by a server or by anybody: what is lost with its leader is proposed again.
func (c *cluster) commits(id raft.NodeID, data string) *cluster {
	c.t.Helper()
	proposed := raft.NodeID(0)
	return c.runUntil(fmt.Sprintf("%q committed", data), func() bool {
		if l := c.leader(); l != raft.None && l != proposed && c.propose(data) {
			proposed = l
			c.settle()
		}
		return c.has(id, data)
	})
}

// roughly plays under losses, with every seed, and demands that there were some.
func roughly(t *testing.T, size int, play func(*cluster)) {
	t.Helper()
	happened := map[string]int{}
	everySeed(t, func(t *testing.T, seed uint64) {
		c := newCluster(t, seed, size, rough())
		play(c)
		c.runFor(electionTicks, "running", func() bool { return true })
		for k, n := range c.happened {
			happened[k] += n
		}
	})
	for _, fault := range []string{"drop", "dup", "late"} {
		if happened[fault] == 0 {
			t.Errorf("%q never happened: %v", fault, happened)
		}
	}
}

// An isolated leader's entry is replaced; the state machine never sees it, and who proposed it can tell by the term.
func cancelUncommitted(c *cluster) {
	c.t.Helper()
	c.runOn(1, (*raft.Replica).Campaign)
	old := c.nodes[1].Status().Term
	at, err := c.nodes[1].Propose([]byte("one"))
	if err != nil {
		c.fatalf("%v", err)
	}
	c.weather = fair().isolate(1)
	c.runUntil("another leader", func() bool { return c.leads(2) || c.leads(3) })
	c.must("lost")
	c.commits(raft.None, "two")
	c.weather = fair()
	c.runUntil("told", func() bool { return c.has(1, "two") })
	if c.has(raft.None, "one") || c.log[at].Term == old {
		c.fatalf("%+v was to be cancelled", c.log[at])
	}
}

// TestSimpleRaftReplication is what simple_raft says of its replication and has no test for (core.rs, RaftConfig).
func TestSimpleRaftReplication(t *testing.T) {
	t.Run("chunk_size", chunkSize)
	t.Run("one_message_in_flight", oneMessageInFlight)
	// The caller need not retry: what is lost is sent again.
	t.Run("loss_without_retry", func(t *testing.T) {
		c := newCluster(t, 3, 5, fair())
		c.weather.drop = 0.3
		for i := range 20 {
			c.commits(raft.None, fmt.Sprint("command ", i))
		}
		c.must("drop")
	})
	t.Run("bounded_memory", boundedMemory)
}

// payload is how many bytes of entries a packet carries.
func payload(p raft.Packet) (bytes int) {
	for _, d := range p.Data {
		bytes += len(d)
	}
	return bytes
}

// chunkSize: as many entries as fit, and always at least one.
func chunkSize(t *testing.T) {
	c := newCluster(t, 1, 3, fair()).runOn(1, (*raft.Replica).Campaign)
	oversize, most := 0, 0
	c.watch = func(p raft.Packet) {
		if bytes := payload(p); bytes > chunkBytes && len(p.Data) > 1 {
			c.fatalf("%d entries, %d bytes in one message", len(p.Data), bytes)
		} else if bytes > chunkBytes {
			oversize++
		} else {
			most = max(most, len(p.Data))
		}
	}
	for i := range 200 {
		c.propose(strings.Repeat("x", 1+i))
	}
	c.propose(strings.Repeat("y", 10*chunkBytes))
	c.propose("end")
	c.runUntil("everywhere", func() bool { return c.has(1, "end") && c.has(2, "end") && c.has(3, "end") })
	if oversize == 0 || most < 2 {
		c.fatalf("%d oversize messages, at most %d entries in one", oversize, most)
	}
}

// oneMessageInFlight: one message is unanswered at a time: what a silent follower is sent never goes on.
func oneMessageInFlight(t *testing.T) {
	c := newCluster(t, 1, 3, fair()).runOn(1, (*raft.Replica).Campaign)
	c.weather = fair().dropTo(1)
	begins := map[raft.NodeID]raft.Index{}
	sent := 0
	c.watch = func(p raft.Packet) {
		if m, ok := p.Message.(*raft.AppendEntries); ok && len(p.Data) > 0 {
			if sent++; begins[p.To] != 0 && begins[p.To] != m.Prev.Index || payload(p) > chunkBytes {
				c.fatalf("%d bytes after entry %d", payload(p), m.Prev.Index)
			}
			begins[p.To] = m.Prev.Index
		}
	}
	for range 100 {
		c.propose(strings.Repeat("x", 100))
	}
	c.runFor(electionTicks-1, "led by 1", func() bool { return c.leads(1) })
	if c.must("lost"); sent < 2 {
		c.fatalf("%d messages with entries", sent)
	}
}

// boundedMemory: a log in memory that is compacted stays small, whatever runs through it.
func boundedMemory(t *testing.T) {
	const capacity = 50
	c := newCluster(t, 1, 3, fair()).runOn(1, (*raft.Replica).Campaign)
	for i := range 100 * capacity {
		c.propose(fmt.Sprint(i))
		c.settle()
		if i%heartbeatTicks == 0 {
			c.step()
		}
		for _, id := range c.ids {
			r := c.nodes[id]
			if held := r.Status(); held.Last-held.First+1 < capacity {
				continue
			}
			if err := r.Compact(r.Status().Commit, []byte("state"), 0); err != nil {
				c.fatalf("%v", err)
			}
		}
	}
	for _, id := range c.ids {
		if s := c.nodes[id].Durable(); s.Snapshot.Index < 99*capacity || len(s.Entries) > capacity {
			c.fatalf("server %d: %d entries after the snapshot at %d", id, len(s.Entries), s.Snapshot.Index)
		}
	}
}
