package main

import (
	"testing"

	"github.com/troupe-raft/troupe/demo/api"
)

// TestMixedFaultsUnderLoad has two of five nodes in trouble at a time, of different kinds, on a network that loses and delays.
func TestMixedFaultsUnderLoad(t *testing.T) {
	underLoad(t, 5, "snapshot_every = 200\nchaos = true", func(n *nemesis) (faults []func()) {
		for _, harm := range []func(){n.cutLeader, n.killLeader, n.pauseLeader} {
			faults = append(faults, func() {
				n.disturbAll(api.Chaos{Drop: 0.02, Delay: "2ms"})
				n.beside(harm)
				n.disturbAll(api.Chaos{})
			})
		}
		n.rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		return faults
	})
}

func (n *nemesis) disturbAll(c api.Chaos) {
	n.t.Helper()
	for i := range n.site.http {
		n.disturb(i, c)
	}
}

// beside does harm while a follower is dead or stopped.
func (n *nemesis) beside(harm func()) {
	n.t.Helper()
	i := n.follower()
	if n.rand.IntN(2) == 0 {
		n.pause(i)
		harm()
		n.resume(i)
		n.up(i)
		return
	}
	n.kill(i)
	harm()
	n.restart(i)
}

// cutLeader leaves a leader alive and alone, and asks it things until after another one leads.
func (n *nemesis) cutLeader() {
	n.t.Helper()
	leader, term := n.leader(0)
	c := n.challenge(leader)
	n.cut(leader)
	c.send()
	next, later := n.leader(term)
	n.note("node %d leads in term %d after node %d in term %d", next+1, later, leader+1, term)
	n.load.more(breath)
	n.disturb(leader, api.Chaos{})
	c.answered()
	n.deposed(leader, term)
	n.up(leader)
}
