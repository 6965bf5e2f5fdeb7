package main

import (
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/demo/api"
)

// TestPauseUnderLoad stops leaders with requests before them until others lead, and stops followers, one and then most of them. A
// leader that wakes up in a world that went on without it must not answer from its old one.
func TestPauseUnderLoad(t *testing.T) {
	underLoad(t, 3, "snapshot_every = 500", func(n *nemesis) []func() {
		return []func(){n.pauseLeader, n.pauseMost, n.pauseLeader, n.pauseFollower, n.pauseLeader}
	})
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

// pauseMost stops all followers, sends the leader requests, and stops it as well once it has given up. Then the
// others go on without it. Nothing may be acknowledged by a leader that is alone, except reads under its lease.
func (n *nemesis) pauseMost() {
	n.t.Helper()
	leader, term := n.leader(0)
	var others []int
	for i := range n.site.http {
		if i != leader {
			others = append(others, i)
		}
	}
	c := n.challenge(leader)
	n.pause(others...)
	alone := n.note("node %d is alone", leader+1)
	c.send()
	eventually(n.t, "a leader without followers gives up", func() bool {
		var status api.Status
		return n.site.look(leader, "/v1/status", nil, &status) == nil && status.Role != "leader"
	})
	over := n.note("node %d leads no longer", leader+1)
	if err := n.site.look(leader, "/v1/kv?read="+lease, nil, &api.List{}); err == nil {
		n.t.Errorf("node %d answers a read when its lease is over", leader+1)
	}
	n.pause(leader)
	until := n.note("all are stopped")
	n.silent(alone, over, until)
	n.resume(others...)
	for _, i := range others {
		delete(n.down, i)
	}
	n.leader(term)
	n.load.more(breath)
	n.resume(leader)
	c.answered()
	n.up(0, 1, 2)
}

// silent demands that nothing asked since a leader was alone is answered, save reads until its lease was over.
func (n *nemesis) silent(alone, over, until int64) {
	n.t.Helper()
	asked := 0
	for _, o := range n.load.rec.Ops() {
		if o.Call < alone || o.Call > until {
			continue
		}
		asked++
		if o.Return < until && (o.Return > over || !strings.HasSuffix(o.Via, lease)) {
			n.t.Errorf("answered without a majority: %v", &o)
		}
	}
	if asked < 3*challengers {
		n.t.Errorf("only %d operations were asked without a majority", asked)
	}
}
