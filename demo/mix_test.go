package main

import (
	"testing"

	"github.com/troupe-raft/troupe/demo/api"
)

// TestMixedFaultsUnderLoad has two of five nodes in trouble at a time, of different kinds, on a network that loses and delays.
func TestMixedFaultsUnderLoad(t *testing.T) {
	seed := newSeed(t)
	s := newSite(t, 5, 5, "snapshot_every = 200\nchaos = true")
	all := []int{0, 1, 2, 3, 4}
	s.start(all...)
	s.ready(all...)
	f := s.traffic(seed, 6)
	n := newNemesis(f, seed)
	f.more(breath)
	rounds := []func(){
		func() { n.beside(n.cutLeader) },
		func() { n.beside(n.killLeader) },
		func() { n.beside(n.pauseLeader) },
	}
	n.rand.Shuffle(len(rounds), func(i, j int) { rounds[i], rounds[j] = rounds[j], rounds[i] })
	for _, round := range rounds {
		for _, i := range all {
			n.disturb(i, api.Chaos{Drop: 0.02, Delay: "2ms"})
		}
		round()
		for _, i := range all {
			n.disturb(i, api.Chaos{})
		}
		f.more(breath)
	}
	f.judge()
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
