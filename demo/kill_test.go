package main

import "testing"

// TestKillUnderLoad kills the leader, a follower and the whole cluster, in a drawn order, while clients ask. The others go on
// without the one that is dead, and nobody was told anything that does not hold.
func TestKillUnderLoad(t *testing.T) {
	underLoad(t, 3, "snapshot_every = 150", func(n *nemesis) []func() {
		faults := []func(){n.killLeader, n.killLeader, n.killFollower, n.killFollower, n.killAll}
		n.rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		return faults
	})
}

func (n *nemesis) killLeader() {
	n.t.Helper()
	leader, term := n.leader(0)
	n.kill(leader)
	next, later := n.leader(term)
	n.note("node %d leads in term %d after node %d in term %d", next+1, later, leader+1, term)
	n.load.more(breath)
	n.restart(leader)
}

func (n *nemesis) killFollower() {
	n.t.Helper()
	i := n.follower()
	n.kill(i)
	n.load.more(breath)
	n.restart(i)
}

func (n *nemesis) killAll() {
	n.t.Helper()
	all := make([]int, len(n.site.http))
	for i := range all {
		all[i] = i
	}
	_, term := n.leader(0)
	n.kill(all...)
	for i := range all {
		if code := fetch("http://" + n.site.http[i] + "/healthz"); code != 0 {
			n.t.Errorf("node %d answers %d after its death", i+1, code)
		}
	}
	n.restart(all...)
	leader, later := n.leader(term)
	n.note("node %d leads in term %d after all were dead in term %d", leader+1, later, term)
}
