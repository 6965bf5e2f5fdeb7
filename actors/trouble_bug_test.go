package actors_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// A journal is a log that tests read.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

// count is how many lines hold all the words.
func (j *journal) count(words ...string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
lines:
	for line := range strings.Lines(j.buf.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		n++
	}
	return n
}

// troubles gathers the PeerTroubles of a cluster.
type troubles struct {
	mu   sync.Mutex
	seen []*actors.PeerTrouble
}

func (c *testCluster) troubles() *troubles {
	all := &troubles{}
	on(c, func(e *actors.PeerTrouble) {
		all.mu.Lock()
		defer all.mu.Unlock()
		all.seen = append(all.seen, e)
	})
	return all
}

// of counts what a node said of a peer.
func (a *troubles) of(node, peer raft.NodeID, kind any) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.seen {
		if e.Node == node && e.Peer == peer && errors.As(e.Err, kind) {
			n++
		}
	}
	return n
}

func (n *testNode) troubleWith(peer raft.NodeID) error {
	for _, m := range n.group.Status().Members {
		if m.ID == peer {
			return m.Trouble
		}
	}
	return nil
}

// A heartbeat interval that does not fit the election timeout is refused, with the remedy, and one that is long for it is told of.
func TestElectionTimeoutMustExceedTheHeartbeat(t *testing.T) {
	var lines journal
	c := newCluster(t, 1, func(c *testCluster) {
		c.host = func(_ raft.NodeID, cfg *actors.HostConfig) {
			cfg.HeartbeatInterval = 50 * time.Millisecond
			cfg.Log = slog.New(slog.NewTextHandler(&lines, nil))
		}
	})
	start := func(min time.Duration) error {
		g, err := actors.StartGroup(c.nodes[1].host, actors.GroupConfig{
			Group: 2, Members: []raft.NodeID{1}, ElectionTimeout: election.Timeout{Min: min}, StateMachine: func() actors.StateMachine { return &ledger{} },
		})
		if err == nil {
			err = g.Stop(withDeadline(t))
		}
		return err
	}
	for _, min := range []time.Duration{30 * time.Millisecond, 50 * time.Millisecond} {
		if err := start(min); err == nil || !strings.Contains(err.Error(), "HeartbeatInterval 50ms") {
			t.Errorf("%v: %v", min, err)
		}
	}
	for min, told := range map[time.Duration]int{149 * time.Millisecond: 1, 150 * time.Millisecond: 0} {
		if err := start(min); err != nil {
			t.Error(err)
		}
		await(t, "the log is written", func() bool { return lines.count("group=2", "heartbeat=50ms", "timeout="+min.String()) >= told })
		if n := lines.count("heartbeat=50ms", "timeout="+min.String()); n != told {
			t.Errorf("%v: %d lines, want %d", min, n, told)
		}
	}
}

// Members whom nobody can reach are named, once each, until there is a way.
func TestMembersWithoutAddressAreNamed(t *testing.T) {
	c := &testCluster{t: t, dir: t.TempDir(), size: 3, system: newSystem(), addrs: map[raft.NodeID]string{}, nodes: map[raft.NodeID]*testNode{}}
	t.Cleanup(c.stopAll)
	c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.Peers = nil }
	c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) { cfg.Addrs = nil }
	said := c.troubles()
	for _, id := range c.founders() {
		c.startHost(id)
	}
	for _, id := range c.founders() {
		c.startGroup(id, c.founders())
	}
	for _, id := range c.founders() {
		for _, peer := range c.founders() {
			if id != peer {
				await(t, "the member without an address is named", func() bool { return said.of(id, peer, new(*actors.NoAddressError)) > 0 })
				await(t, "the status says so", func() bool { return errors.As(c.nodes[id].troubleWith(peer), new(*actors.NoAddressError)) })
			}
		}
	}
	for id := range c.nodes {
		c.introduce(id)
	}
	c.propose("a")
	c.converge([]string{"a"})
	for _, id := range c.founders() {
		for _, peer := range c.founders() {
			if n := said.of(id, peer, new(*actors.NoAddressError)); id != peer && n != 1 {
				t.Errorf("node %d names node %d %d times", id, peer, n)
			}
		}
	}
	lead := c.leader()
	for _, peer := range c.founders() {
		await(t, "the leader has no trouble any more", func() bool { return lead.troubleWith(peer) == nil })
	}
}

// A group that one member does not run is named there, and by those who send to it.
func TestGroupThatIsMissingOnAPeerIsNamed(t *testing.T) {
	var lines journal
	c := &testCluster{t: t, dir: t.TempDir(), size: 3, system: newSystem(), addrs: map[raft.NodeID]string{}, nodes: map[raft.NodeID]*testNode{}}
	t.Cleanup(c.stopAll)
	c.host = func(id raft.NodeID, cfg *actors.HostConfig) {
		cfg.Tuning.MismatchAfter = 20 * time.Millisecond
		if id == 3 {
			cfg.Log = slog.New(slog.NewTextHandler(&lines, nil))
		}
	}
	said := c.troubles()
	for _, id := range c.founders() {
		c.startHost(id)
	}
	for id := range c.nodes {
		c.introduce(id)
	}
	for _, id := range []raft.NodeID{1, 2} {
		c.startGroup(id, c.founders())
	}
	sender := func() *testNode {
		for _, id := range []raft.NodeID{1, 2} {
			if errors.As(c.nodes[id].troubleWith(3), new(*actors.NoGroupError)) {
				return c.nodes[id]
			}
		}
		return nil
	}
	await(t, "one of the others says that node 3 does not run the group", func() bool { return sender() != nil })
	who := sender()
	await(t, "subscribers are told, who run beside the groups", func() bool { return said.of(who.id, 3, new(*actors.NoGroupError)) > 0 })
	words := []string{"does not run here", "group=1", "peer=" + string('0'+rune(who.id))}
	await(t, "node 3 logs it", func() bool { return lines.count(words...) > 0 })
	c.startGroup(3, c.founders())
	c.propose("a")
	c.converge([]string{"a"})
	if n := lines.count(words...); n != 1 {
		t.Errorf("node 3 logged it %d times", n)
	}
	lead := c.leader()
	await(t, "it is over", func() bool { return lead.troubleWith(3) == nil })
	if n := said.of(who.id, 3, new(*actors.NoGroupError)); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// Nodes that were founded with different members name each other and both lists, and none of them fails over it.
func TestFoundersThatDifferAreNamed(t *testing.T) {
	c := newCluster(t, 3, func(c *testCluster) {
		c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.Tuning.MismatchAfter = 20 * time.Millisecond }
		c.config = func(id raft.NodeID, cfg *actors.GroupConfig) {
			if id == 3 {
				cfg.Members = []raft.NodeID{3}
			}
		}
	})
	var both *actors.FoundersError
	await(t, "one of the others knows of both lists", func() bool {
		return errors.As(c.nodes[1].troubleWith(3), &both) && both.Theirs != nil || errors.As(c.nodes[2].troubleWith(3), &both) && both.Theirs != nil
	})
	if !strings.Contains(both.Error(), "[1 2 3]") || !strings.Contains(both.Error(), "[3]") || !strings.Contains(both.Error(), "GroupConfig.Members") {
		t.Errorf("%v", both)
	}
	for _, n := range c.nodes {
		if s := n.group.Status(); s.Err != nil {
			t.Errorf("node %d: %v", n.id, s.Err)
		}
	}
	ctx := withDeadline(t)
	if err := proposeAnywhere(ctx, []*testNode{c.nodes[1], c.nodes[2]}, "a"); err != nil {
		t.Error(err)
	}
	if got := c.nodes[3].ledger.all(); len(got) > 0 {
		t.Errorf("node 3 applied %v", got)
	}
}
