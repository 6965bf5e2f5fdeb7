package actors_test

import (
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// TestConfigurationsAreTheirCallers: whoever made a group of a configuration may change its lists and maps for the next one.
func TestConfigurationsAreTheirCallers(t *testing.T) {
	c := newCluster(t, 1)
	h := c.nodes[1].host
	cfg := actors.GroupConfig{
		Group: 9, Members: []raft.NodeID{1}, Addrs: map[raft.NodeID]string{1: h.Addr()}, Tags: map[raft.NodeID]string{1: "this"},
		Apply: func(actors.Command) []byte { return nil }, NoRestart: true,
	}
	props := actors.RaftGroup(h, cfg)
	cfg.Members[0], cfg.Addrs[1], cfg.Tags[1] = 7, "there", "that"
	pid := c.system.Root.Spawn(props)
	defer c.system.Root.Stop(pid)
	await(t, "it leads", func() bool {
		g, ok := h.Group(9)
		return ok && g.Status().Role == raft.Leader
	})
	g, _ := h.Group(9)
	if m := g.Status().Members; len(m) != 1 || m[0].ID != 1 || m[0].Addr != h.Addr() || m[0].Tag != "this" {
		t.Errorf("%+v", m)
	}
}
