package raft_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// TestRuaftFigure8 plays Figure 8 of the paper with real messages: an entry of an old term is on every server the leader can reach, and
// is neither committed by that (c) nor safe (d), until an entry of the leader's own term follows it (e).
func TestRuaftFigure8(t *testing.T) {
	for size := 3; size <= 7; size++ {
		for _, end := range []string{"d", "e"} {
			t.Run(fmt.Sprintf("R16_n%d_%s", size, end), func(t *testing.T) {
				everySeed(t, func(t *testing.T, seed uint64) { figure8(t, seed, size, end == "e") })
			})
		}
	}
}

func figure8(t *testing.T, seed uint64, size int, committed bool) {
	rival := raft.NodeID(size)
	c := newCluster(t, seed, size, fair().isolate(rival))
	old := strings.Repeat("o", chunkBytes+1) // fills a message by itself
	for _, id := range c.ids[1 : size-1] {
		c.restart(id, &raft.ReplicaState{Hard: raft.HardState{Term: 3}, Entries: commands(1)})
	}
	with := func(e raft.CommittedEntry) []raft.CommittedEntry { return append(commands(1), e) }
	c.restart(1, &raft.ReplicaState{Hard: raft.HardState{Term: 3}, Entries: with(raft.CommittedEntry{Index: 2, Term: 2, Data: []byte(old)})})
	c.restart(rival, &raft.ReplicaState{Hard: raft.HardState{Term: 3}, Entries: with(raft.CommittedEntry{Index: 2, Term: 3, Data: []byte("rival")})})
	copies := map[raft.NodeID]bool{}
	c.watch = func(p raft.Packet) { // (c): each follower gets entry 2, and its answers no longer arrive
		if m, ok := p.Message.(*raft.AppendEntries); ok && p.From == 1 && m.Prev.Index == 1 && len(p.Data) == 1 && p.To != rival {
			copies[p.To] = true
			c.weather.cut[[2]raft.NodeID{p.To, 1}] = true
		}
	}
	c.runUntil("(c)", func() bool {
		if !c.leads(1) && len(copies) == 0 {
			c.nodes[1].Campaign()
		}
		return len(copies) == size-2
	})
	c.watch = nil
	c.must("lost")
	for id := range copies {
		if e := c.nodes[id].Durable().Entries; len(e) != 2 || e[1].Term != 2 {
			c.fatalf("server %d has %d entries", id, len(e))
		}
	}
	// All but the rival have the entry now: the leader learns it, and no more.
	for id := range copies {
		c.nodes[1].Receive(id, raft.Packet{From: id, To: 1, Message: &raft.AppendEntriesReply{Term: c.nodes[1].Status().Term, Success: true, Match: 2, Prev: 1}})
	}
	if s := c.nodes[1].Status(); s.Role == raft.Leader && s.Commit >= 2 {
		c.fatalf("copies alone committed %d", s.Commit)
	}
	if committed {
		c.weather = fair().isolate(rival)
		c.runUntil("(e)", func() bool { return c.has(1, old) })
	}
	c.weather = fair().isolate(1)
	if !committed { // (d): of those that are left only the rival sees a majority
		for a := raft.NodeID(2); a < rival; a++ {
			for b := a + 1; b < rival; b++ {
				c.weather.dropBetween(a, b)
			}
		}
	}
	c.runUntil("another leader", func() bool { return slices.ContainsFunc(c.ids[1:], c.leads) })
	if won := c.leads(rival); won == committed {
		c.fatalf("the rival leads: %v", won)
	}
	c.weather = fair()
	c.commits(1, "end")
	if c.has(raft.None, old) != committed || c.has(raft.None, "rival") == committed {
		c.fatalf("the log is of terms %v", c.log)
	}
}
