package raft

import (
	"fmt"
	"testing"
)

// Every server sees a quorum and misses one other, so that whoever leads, somebody does not hear it and wants to campaign. The leader lasts
// all the same: those who hear it give that one no prevote (Cloudflare's outage of November 2020; "Raft does not guarantee liveness
// in the face of network faults", decentralizedthoughts.github.io, 12 December 2020).
func TestEverybodyMissesOneOther(t *testing.T) {
	for _, size := range []int{4, 6} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprintf("%d servers, seed %d", size, seed), func(t *testing.T) {
				w := newWorld(t, seed, size, 0, faults{})
				for a := NodeID(1); a < NodeID(size); a += 2 {
					w.cut[[2]NodeID{a, a + 1}], w.cut[[2]NodeID{a + 1, a}] = true, true
				}
				w.busy(t, 20*testElection, 10*testElection)
				leader, term := w.leader(), w.terms()
				w.busy(t, 60*testElection, 2*testElection)
				if w.leader() != leader || w.terms() != term {
					t.Errorf("the leader does not last: %d in term %d, was %d in term %d", w.leader().id, w.terms(), leader.id, term)
				}
				if w.happened["lost"] == 0 {
					t.Error("no link was down")
				}
			})
		}
	}
}
