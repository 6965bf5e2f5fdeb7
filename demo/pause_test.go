package main

import (
	"testing"

	"github.com/troupe-raft/troupe/demo/api"
)

// TestPauseUnderLoad stops leaders with requests before them until others lead, and stops followers, one and then most of them. A
// leader that wakes up in a world that went on without it must not answer from its old one.
func TestPauseUnderLoad(t *testing.T) {
	seed := newSeed(t)
	s := newSite(t, 3, 3, "snapshot_every = 500")
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	f := s.traffic(seed, 6)
	n := newNemesis(f, seed)
	f.more(breath)
	for _, fault := range []func(){n.pauseLeader, n.pauseFollower, n.pauseLeader, n.pauseMost, n.pauseLeader} {
		fault()
		f.more(breath)
	}
	f.judge()
}

// pauseLeader stops the leader until another one has answered, and wakes it up with requests waiting.
func (n *nemesis) pauseLeader() {
	n.t.Helper()
	leader, term := n.leader(0)
	c := n.challenge(leader)
	n.pause(leader)
	next, later := n.leader(term)
	n.note("node %d leads in term %d after node %d in term %d", next+1, later, leader+1, term)
	n.load.more(breath)
	c.send()
	n.load.more(breath / 4)
	n.resume(leader)
	c.answered()
	n.deposed(leader, term)
	n.up(leader)
}

func (n *nemesis) pauseFollower() {
	n.t.Helper()
	i := n.follower()
	n.pause(i)
	n.load.more(2 * breath)
	n.resume(i)
	n.up(i)
}

// pauseMost stops followers until the leader is alone, and demands that it stops leading and that nothing is
// acknowledged that was asked after that.
func (n *nemesis) pauseMost() {
	n.t.Helper()
	leader, _ := n.leader(0)
	var others []int
	for i := range n.site.http {
		if i != leader {
			others = append(others, i)
		}
	}
	c := n.challenge(leader)
	n.pause(others...)
	eventually(n.t, "a leader without followers gives up", func() bool {
		var status api.Status
		return n.site.look(leader, "/v1/status", nil, &status) == nil && status.Role != "leader"
	})
	alone := n.note("node %d leads no longer", leader+1)
	c.send()
	for _, read := range []string{linear, lease} {
		if err := n.site.look(leader, "/v1/kv?read="+read, nil, &api.List{}); err == nil {
			n.t.Errorf("node %d answers a %s read without the others", leader+1, read)
		}
	}
	until := n.note("still nobody leads")
	n.resume(others...)
	c.answered()
	n.up(others...)
	asked := 0
	for _, o := range n.load.rec.Ops() {
		if o.Call < alone || o.Call > until {
			continue
		}
		if asked++; o.Return < until {
			n.t.Errorf("answered without a majority: %v", &o)
		}
	}
	if asked < 3*challengers {
		n.t.Errorf("only %d operations were asked without a majority", asked)
	}
}
