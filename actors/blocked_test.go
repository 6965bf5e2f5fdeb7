package actors_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// steady is patient enough for a busy machine: what the test finds out is not how fast the machine is.
var steady = election.Timeout{Min: time.Second, Max: 2 * time.Second}

// While Apply or the writing of a snapshot is blocked for two election timeouts on the leader, no group of the host loses its
// leader: votes and heartbeats do not wait for user code.
func TestBlockedCallbacksDelayNeitherVotesNorHeartbeats(t *testing.T) {
	for _, what := range []string{"apply", "snapshot"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			entered, release := make(chan struct{}, 10), make(chan struct{})
			var armed atomic.Bool
			block := func() {
				if armed.CompareAndSwap(true, false) {
					entered <- struct{}{}
					<-release
				}
			}
			c := newCluster(t, 3, func(c *testCluster) {
				c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
					cfg.ElectionTimeout = steady
					l := cfg.StateMachine().(*ledger)
					if what == "apply" {
						l.onApply = func(actors.Command) { block() }
					} else {
						l.onWrite = block
					}
				}
			})
			lead := c.leader()
			c.propose("a")
			other := c.secondGroup()
			term, otherTerm := lead.group.Status().Term, other[lead.id].Status().Term
			armed.Store(true)
			done := make(chan error, 1)
			go func() {
				var err error
				if what == "apply" {
					_, err = lead.group.Propose(withDeadline(t), []byte("blocked"))
				} else {
					_, err = lead.group.Snapshot(withDeadline(t))
				}
				done <- err
			}()
			<-entered
			blocked := time.NewTimer(2 * steady.Max)
			<-blocked.C
			if s := lead.group.Status(); s.Role != raft.Leader || s.Term != term {
				t.Errorf("group 1: %s in term %d, was leader in %d", s.RoleName(), s.Term, term)
			}
			for id, g := range other {
				if s := g.Status(); s.Term != otherTerm {
					t.Errorf("group 2 on node %d moved from term %d to %d", id, otherTerm, s.Term)
				}
			}
			close(release)
			if err := <-done; err != nil {
				t.Errorf("the blocked call: %v", err)
			}
		})
	}
}

// secondGroup starts group 2 on every host and waits for its leader.
func (c *testCluster) secondGroup() map[raft.NodeID]*actors.Group {
	c.t.Helper()
	groups := map[raft.NodeID]*actors.Group{}
	for id, n := range c.nodes {
		g, err := actors.StartGroup(n.host, actors.GroupConfig{
			Group: 2, Members: c.founders(), ElectionTimeout: steady, Addrs: c.addrs,
			Apply: func(actors.Command) []byte { return nil }, NoRestart: true,
		})
		if err != nil {
			c.t.Fatal(err)
		}
		groups[id] = g
	}
	await(c.t, "group 2 has a leader that all know", func() bool {
		first := groups[1].Status()
		for _, g := range groups {
			if s := g.Status(); s.Leader == raft.None || s.Leader != first.Leader || s.Term != first.Term {
				return false
			}
		}
		return true
	})
	return groups
}

func TestTwoGroupsShareAHost(t *testing.T) {
	c := newCluster(t, 3)
	c.propose("in group 1")
	groups := c.secondGroup()
	lead := groups[groups[1].Status().Leader]
	if _, err := lead.Propose(withDeadline(t), []byte("in group 2")); err != nil {
		t.Fatal(err)
	}
	c.converge([]string{"in group 1"})
	if _, err := actors.StartGroup(c.nodes[1].host, actors.GroupConfig{Group: 1, Members: c.founders(), Apply: func(actors.Command) []byte { return nil }, NoRestart: true}); err == nil {
		t.Error(fmt.Errorf("group 1 started twice on one host"))
	}
}
