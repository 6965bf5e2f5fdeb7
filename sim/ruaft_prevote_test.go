package sim

import "testing"

// TestRuaftPrevote is ruaft's prevote suite. Its first test connects a node with itself by mistake, so that one of the two disruptors
// has no link at all; here each has one.
func TestRuaftPrevote(t *testing.T) {
	stories(t, "no_disruptive_rejoin", 5, setting{Nodes: 5}, func(sc *scenario) {
		first := sc.checkOneLeader()
		base := sc.one(sc.command(), 5, false) - 1
		term := sc.checkTerms()
		// 0 is the leader; 3 and 4 hear only 1 and 2: 3 ↔ 1, 4 ↔ 2, and 0, 1, 2 each other.
		for _, pair := range [][2]int{{3, 0}, {3, 2}, {3, 4}, {4, 0}, {4, 1}} {
			sc.sever(sc.other(first, pair[0]), sc.other(first, pair[1]))
		}
		asked := sc.messages["raft.RequestVote"]
		leader := sc.checkOneLeader()
		sc.one(sc.command(), 3, false)
		three := sc.start(leader, sc.command())
		if leader != first || three == nil || three.term != term {
			sc.fatalf("node %d led term %d; now node %d leads: %+v", first, term, leader, three)
		}
		sc.sleepElection()
		sc.sleepElection()
		four := sc.start(leader, sc.command())
		if four == nil || four.term != term {
			sc.fatalf("term %d is over: %+v", term, four)
		}
		if index := sc.one(sc.command(), 3, false) - base; index != 5 {
			sc.fatalf("the fifth command is at %d", index)
		}
		if sc.messages["raft.RequestVote"] == asked {
			sc.fatalf("the two that hear no leader asked for no vote")
		}
		for _, k := range []int{3, 4} {
			if now := sc.term(sc.other(first, k)); now != term {
				sc.fatalf("a disruptor is in term %d, not %d", now, term)
			}
		}
	})
	stories(t, "disruptive_liveness", 5, setting{Nodes: 5}, func(sc *scenario) {
		first := sc.checkOneLeader()
		sc.one(sc.command(), 5, false)
		sc.checkTerms()
		// 0 is the leader and hears only 1; 1, 2 and 3 hear one another; 4 hears nobody.
		gone := sc.other(first, 4)
		sc.disconnect(gone)
		sc.sever(first, sc.other(first, 2))
		sc.sever(first, sc.other(first, 3))
		lost := sc.net.dropped
		sc.sleepElection()
		leader := sc.checkOneLeader()
		sc.one(sc.command(), 3, false)
		if leader == first || leader == gone {
			sc.fatalf("node %d leads, of %d that hears one node and %d that hears none", leader, first, gone)
		}
		if sc.net.dropped == lost {
			sc.fatalf("no message was lost on the cut links")
		}
	})
}
