package sim

import (
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// TestRuaftElection is ruaft's election suite.
func TestRuaftElection(t *testing.T) {
	stories(t, "initial_election", 5, setting{Nodes: 3}, func(sc *scenario) {
		first := sc.checkOneLeader()
		if sc.check.elections == 0 {
			sc.fatalf("a leader without an election")
		}
		sc.sleep(50 * time.Millisecond)
		term, elections := sc.checkTerms(), sc.check.elections
		sc.sleep(2 * time.Second)
		// ruaft only warns of another term here.
		if now := sc.checkTerms(); now != term || sc.check.elections != elections {
			sc.fatalf("term %d became %d, with %d elections more, though nothing failed", term, now, sc.check.elections-elections)
		}
		if leader := sc.checkOneLeader(); leader != first {
			sc.fatalf("node %d led and node %d leads, though nothing failed", first, leader)
		}
	})
	stories(t, "re_election", 5, setting{Nodes: 3}, func(sc *scenario) {
		first := sc.checkOneLeader()
		sc.disconnect(first)
		second := sc.checkOneLeader()
		if second == first {
			sc.fatalf("node %d leads although it is cut off", first)
		}
		sc.connect(first)
		second = sc.checkOneLeader()
		other := sc.other(second, 1)
		sc.disconnect(second, other)
		lost := sc.net.dropped
		sc.sleep(2 * time.Second)
		if sc.net.dropped == lost {
			sc.fatalf("no message was lost on the cut links")
		}
		sc.checkNoLeader()
		if sc.life(second).view.role == raft.Leader { // ruaft asks only those that are connected
			sc.fatalf("node %d leads although it hears nobody", second)
		}
		sc.connect(other)
		sc.checkOneLeader()
		sc.connect(second)
		sc.checkOneLeader()
	})
}
