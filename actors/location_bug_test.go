package actors_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// move starts a stopped node at another address, of which nobody is told.
func (c *testCluster) move(id raft.NodeID) *testNode {
	c.t.Helper()
	delete(c.addrs, id)
	return c.restart(id)
}

// moveAll stops all nodes and starts them elsewhere. Programs know where, the log does not.
func (c *testCluster) moveAll() {
	c.t.Helper()
	for id := range c.nodes {
		c.stop(id)
	}
	clear(c.addrs)
	for _, id := range c.founders() {
		c.startHost(id)
	}
	for id := range c.nodes {
		c.introduce(id)
	}
	for _, id := range c.founders() {
		c.startGroup(id, c.founders())
	}
}

// located waits until all nodes have the addresses in force at which the nodes are.
func (c *testCluster) located() {
	c.t.Helper()
	for id, n := range c.nodes {
		await(c.t, fmt.Sprintf("node %d has all addresses", id), func() bool {
			for _, m := range n.group.Status().Members {
				if m.Addr != c.addrs[m.ID] {
					return false
				}
			}
			return true
		})
	}
}

// TestMovedNodesAreFollowed: a node that is started elsewhere, be it the leader next or a follower, is found there by its word, and the membership is made to say
// so: whoever starts later finds it in the log.
func TestMovedNodesAreFollowed(t *testing.T) {
	c := newCluster(t, 3)
	want := c.fill("a", 5)
	moved := c.follower().id
	c.stop(moved)
	c.move(moved)
	c.located()
	want = append(want, c.fill("b", 5)...)
	c.converge(want)

	lead := c.leader().id
	c.stop(lead) // who starts now knows the one that has moved from the log alone
	delete(c.addrs, moved)
	c.addrs[moved] = nowhere
	c.restart(lead)
	c.addrs[moved] = c.nodes[moved].host.Addr()
	c.converge(want)
	await(t, "it is connected", func() bool { return c.nodes[lead].host.Stats().Peers[moved].Connected[remote.Control] })

	c.stop(moved)
	c.move(moved) // and as it moves again, it is to lead
	c.converge(want)
	ctx := withDeadline(t)
	for c.leader().id != moved {
		if err := c.leader().group.Transfer(ctx, moved); err != nil && ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	c.located()
	c.converge(append(want, c.fill("c", 5)...))
}

// TestAllNodesMove: when all nodes are started elsewhere, by programs that know where, the log's addresses stand in nobody's way.
func TestAllNodesMove(t *testing.T) {
	for name, force := range map[string]bool{"found": false, "forced": true} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3, func(c *testCluster) {
				c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.ForceAddresses = force }
			})
			want := c.fill("a", 5)
			c.converge(want)
			c.moveAll()
			c.located()
			c.converge(append(want, c.fill("b", 5)...))
		})
	}
}

// TestForcedAddressesCountAtOnce: with ForceAddresses nobody looks where the log says.
func TestForcedAddressesCountAtOnce(t *testing.T) {
	c := newCluster(t, 1)
	c.change(actors.Change{AddLearners: []raft.Member{{ID: 2, Addr: nowhere}}})
	c.stop(1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, force := range []bool{false, true} {
		c.host = func(_ raft.NodeID, cfg *actors.HostConfig) {
			cfg.ForceAddresses, cfg.Peers = force, map[raft.NodeID]string{2: l.Addr().String()}
		}
		n := c.restart(1)
		await(t, "the log is read", func() bool { return n.group.Status().Phase == actors.Running })
		want := map[bool]string{false: nowhere, true: l.Addr().String()}[force]
		if at := n.host.Stats().Peers[2].Addr; at != want {
			t.Errorf("force %v: looked for at %s, want %s", force, at, want)
		}
		c.stop(1)
	}
}

// TestMovedNodeIsNamed: a host that keeps addresses names who is elsewhere, until the membership is corrected, which needs no force: it is known to be there.
func TestMovedNodeIsNamed(t *testing.T) {
	c := newCluster(t, 3, func(c *testCluster) {
		c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.KeepAddresses = true }
	})
	c.converge(c.fill("a", 5))
	moved := c.follower().id
	named := c.addrs[moved]
	c.stop(moved)
	c.move(moved)
	for id, n := range c.nodes {
		if id == moved {
			continue
		}
		await(t, fmt.Sprintf("node %d names it", id), func() bool {
			for _, m := range n.group.Status().Members {
				is := (*actors.LocationError)(nil)
				if m.ID == moved && errors.As(m.Trouble, &is) {
					return is.Found.Addr == c.addrs[moved] && is.Named.Addr == named
				}
			}
			return false
		})
	}
	c.change(actors.Change{Addresses: []raft.Member{{ID: moved, Addr: c.addrs[moved]}}})
	c.located()
	for id, n := range c.nodes {
		await(t, fmt.Sprintf("node %d has nothing against it any more", id), func() bool {
			for _, m := range n.group.Status().Members {
				if m.Trouble != nil {
					return false
				}
			}
			return true
		})
	}
}

// TestAddressesOfOthersAreCorrected: an operator says where a node is that does not answer. One that answers stays where it is, unless by force, and comes back
// by its own word.
func TestAddressesOfOthersAreCorrected(t *testing.T) {
	c := newCluster(t, 3)
	want := c.fill("a", 5)
	down := c.follower().id
	c.unsafe(actors.Change{Addresses: []raft.Member{{ID: down, Addr: nowhere}}}, down)
	c.stop(down)
	ctx := withDeadline(t)
	for {
		_, err := c.leader().group.ChangeMembers(ctx, actors.Change{Addresses: []raft.Member{{ID: down, Addr: nowhere, Tag: "x"}}})
		if err == nil {
			break
		}
		if unsafe := (*raft.UnsafeChangeError)(nil); !errors.As(err, &unsafe) { // it was heard a moment ago
			t.Fatal(err)
		}
		<-time.After(testTimeout.Min / 4)
	}
	for _, m := range c.leader().group.Status().Members {
		if m.ID == down && (m.Addr != nowhere || m.Tag != "x") {
			t.Errorf("%+v", m)
		}
	}
	if _, err := c.leader().group.ChangeMembers(ctx, actors.Change{Addresses: []raft.Member{{ID: 9, Addr: nowhere}}}); err == nil {
		t.Error("the address of nobody was changed")
	}
	c.restart(down)
	c.located()
	c.converge(append(want, c.fill("b", 5)...))
}

// TestTagsAreFollowed: a node's tag is what its program says it is from now on.
func TestTagsAreFollowed(t *testing.T) {
	now := map[raft.NodeID]string{1: "one", 2: "two", 3: "three"}
	c := newCluster(t, 3, func(c *testCluster) {
		c.config = func(id raft.NodeID, cfg *actors.GroupConfig) {
			cfg.Tags = map[raft.NodeID]string{1: "a", 2: "b", 3: "c"}
			cfg.Tag = now[id]
		}
	})
	tagged := func() {
		t.Helper()
		for id, n := range c.nodes {
			await(t, fmt.Sprintf("node %d has all tags", id), func() bool {
				for _, m := range n.group.Status().Members {
					if m.Tag != now[m.ID] {
						return false
					}
				}
				return true
			})
		}
	}
	tagged()
	id := c.follower().id
	now[id] = "another"
	c.stop(id)
	c.restart(id)
	tagged()
}

// TestWrongTagIsNamed: a host that keeps addresses names whose tag is another than the membership says, at the leader and at that node itself, until one of
// both is corrected.
func TestWrongTagIsNamed(t *testing.T) {
	now := map[raft.NodeID]string{1: "a", 2: "b", 3: "c"}
	c := newCluster(t, 3, func(c *testCluster) {
		c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.KeepAddresses = true }
		c.config = func(id raft.NodeID, cfg *actors.GroupConfig) {
			cfg.Tags, cfg.Tag = map[raft.NodeID]string{1: "a", 2: "b", 3: "c"}, now[id]
		}
	})
	// named waits until a node says so of a member, or has nothing to say of anybody.
	named := func(by, of raft.NodeID) {
		t.Helper()
		n := c.nodes[by]
		await(t, fmt.Sprintf("node %d says so of node %d", by, of), func() bool {
			for _, m := range n.group.Status().Members {
				is := (*actors.LocationError)(nil)
				if wrong := errors.As(m.Trouble, &is) && is.Found.Tag == now[m.ID] && strings.Contains(is.Error(), "says that its tag is "+now[m.ID]); wrong != (m.ID == of) {
					return false
				}
			}
			return n.group.Status().Trouble == nil
		})
	}
	restart := func(id raft.NodeID, tag string) {
		now[id] = tag
		c.stop(id)
		c.restart(id)
	}
	c.converge(c.fill("a", 5))
	id := c.follower().id
	right := now[id]
	restart(id, "wrong")
	named(c.leader().id, id)
	named(id, id)
	restart(id, right)
	named(c.leader().id, raft.None)
	named(id, raft.None)

	restart(id, "meant")
	named(c.leader().id, id)
	c.change(actors.Change{Addresses: []raft.Member{{ID: id, Tag: "meant"}}})
	named(c.leader().id, raft.None)
	named(id, raft.None)
}

// TestUnreachableAddressesAreRefused: at 0.0.0.0 or without a port nobody is reached, whoever says so.
func TestUnreachableAddressesAreRefused(t *testing.T) {
	c := newCluster(t, 1)
	for _, addr := range []string{"0.0.0.0:7001", "[::]:7001", ":7001", "127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1"} {
		for name, change := range map[string]actors.Change{
			"learner": {AddLearners: []raft.Member{{ID: 2, Addr: addr}}}, "voter": {AddVoters: []raft.Member{{ID: 2, Addr: addr}}, Force: true},
			"address": {Addresses: []raft.Member{{ID: 1, Addr: addr}}, Force: true}, "all": {Voters: []raft.Member{{ID: 1, Addr: addr}}, Force: true},
			"learners": {Voters: []raft.Member{{ID: 1}}, Learners: []raft.Member{{ID: 2, Addr: addr}}, Force: true},
		} {
			invalid := (*raft.InvalidChangeError)(nil)
			if _, err := c.leader().group.ChangeMembers(withDeadline(t), change); !errors.As(err, &invalid) {
				t.Errorf("%s at %q: %v", name, addr, err)
			}
		}
		if _, err := actors.StartGroup(c.nodes[1].host, actors.GroupConfig{
			Group: 2, Members: []raft.NodeID{1, 2}, Addrs: map[raft.NodeID]string{2: addr}, Apply: func(actors.Command) []byte { return nil }, NoRestart: true,
		}); err == nil || !strings.Contains(err.Error(), "Addrs: node 2") {
			t.Errorf("a group with node 2 at %q: %v", addr, err)
		}
		cfg := actors.HostConfig{Node: 9, Listen: "127.0.0.1:0", Dir: t.TempDir(), Log: quiet()}
		cfg.Peers = map[raft.NodeID]string{2: addr}
		if _, err := actors.StartHost(c.system, cfg); err == nil || !strings.Contains(err.Error(), "Peers: node 2") {
			t.Errorf("a host with node 2 at %q: %v", addr, err)
		}
		cfg.Peers, cfg.Advertise = nil, addr
		if _, err := actors.StartHost(c.system, cfg); err == nil || !strings.Contains(err.Error(), "Advertise") {
			t.Errorf("a host that advertises %q: %v", addr, err)
		}
	}
}
