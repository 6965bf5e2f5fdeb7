package actors_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// TestHoverbearPrototype is the two tests of Hoverbear's first prototype, on whole nodes with sockets and disks.
func TestHoverbearPrototype(t *testing.T) {
	// What one node is asked to append, another one reports. A follower names its leader; the prototype's forwards.
	t.Run("basic_test", func(t *testing.T) {
		c := newCluster(t, 2)
		c.propose("foo")
		c.converge([]string{"foo"})
		var refused *raft.NotLeaderError
		if _, err := c.follower().group.Propose(withDeadline(t), []byte("bar")); !errors.As(err, &refused) {
			t.Errorf("a follower answers %v", err)
		} else if at := c.nodes[refused.Leader]; at == nil || at.group.Status().Role != raft.Leader {
			t.Errorf("it names node %d", refused.Leader)
		}
	})
	// The log, read with ranges that go beyond its ends, and the term are what they were after all nodes were stopped.
	t.Run("persistent_state", func(t *testing.T) {
		c := newCluster(t, 3)
		for i := range 10 {
			c.propose(fmt.Sprint(i))
		}
		c.converge([]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"})
		published := func(commit raft.Index) { // what is applied is published a moment later
			await(t, "all know that all is committed", func() bool {
				for _, n := range c.nodes {
					if n.group.Status().Commit < commit {
						return false
					}
				}
				return true
			})
		}
		published(11)
		before, terms := map[raft.NodeID]actors.LogRange{}, map[raft.NodeID]raft.Term{}
		read := func(id raft.NodeID) actors.LogRange {
			commit := c.nodes[id].group.Status().Commit // what comes after it may be replaced
			l, err := c.nodes[id].group.Log(withDeadline(t), 0, commit+100)
			for k := len(l.Entries); k > 0 && l.Entries[k-1].Index > commit; k-- {
				l.Entries, l.Last = l.Entries[:k-1], l.Last-1
			}
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		for id := raft.NodeID(1); id <= 3; id++ {
			terms[id], before[id] = c.nodes[id].group.Status().Term, read(id)
		}
		for id := raft.NodeID(1); id <= 3; id++ {
			c.stop(id)
		}
		for id := raft.NodeID(1); id <= 3; id++ {
			c.restart(id)
		}
		c.propose("after")
		c.converge([]string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "after"})
		published(13) // after the no-op of another term
		for id := raft.NodeID(1); id <= 3; id++ {
			after := read(id)
			if before[id].Last < 11 || after.Last < before[id].Last || c.nodes[id].group.Status().Term <= terms[id] {
				t.Fatalf("node %d: log to %d, was %d; term %d, was %d", id, after.Last, before[id].Last, c.nodes[id].group.Status().Term, terms[id])
			}
			for k, e := range before[id].Entries {
				if got := after.Entries[k]; got.Index != e.Index || got.Term != e.Term || got.Kind != e.Kind || string(got.Data) != string(e.Data) {
					t.Errorf("node %d: %+v, was %+v", id, got, e)
				}
			}
		}
	})
}
