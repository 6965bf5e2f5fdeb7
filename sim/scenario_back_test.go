package sim

import (
	"testing"
	"time"
)

// A follower that was away for long completes a majority soon after it is back: it answers a heartbeat, and with that ends the patience that
// the leader's attempts had grown to, 1.2s.
func TestFollowerIsBack(t *testing.T) {
	stories(t, "back", 20, setting{Nodes: 3}, func(sc *scenario) {
		leader := sc.checkOneLeader()
		away, other := sc.other(leader, 1), sc.other(leader, 2)
		sc.disconnect(away)
		sc.one(sc.command(), 2, false)
		sc.sleep(10*time.Second + sc.between(0, time.Second))
		sc.connect(away)
		sc.disconnect(other)
		p := sc.start(leader, sc.command())
		if p == nil {
			sc.fatalf("node %d leads no more", leader)
		}
		sc.await(electionMax, "a commit by the two", func() bool { return sc.committed(p.index) == 2 })
		if sc.life(away).machine.index < p.index || sc.net.dropped == 0 {
			sc.fatalf("not by node %d, or it was not away", away)
		}
	})
}
