package actors_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// limit is how long a test waits for what must come. It is a bound on hanging, not on speed.
const limit = 30 * time.Second

var testTimeout = election.Timeout{Min: 200 * time.Millisecond, Max: 400 * time.Millisecond}

// A ledger is a state machine that remembers every command in order.
type ledger struct {
	mu       sync.Mutex
	commands []string
	restores int
	onApply  func(actors.Command)
	onWrite  func()
}

func (l *ledger) Apply(c actors.Command) []byte {
	if l.onApply != nil {
		l.onApply(c)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commands = append(l.commands, string(c.Data))
	return fmt.Appendf(nil, "%d:%s", len(l.commands), c.Data)
}

func (l *ledger) Snapshot() (func(io.Writer) error, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := append([]string(nil), l.commands...)
	return func(w io.Writer) error {
		if l.onWrite != nil {
			l.onWrite()
		}
		for _, c := range kept {
			if _, err := w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(c)))); err != nil {
				return err
			}
			if _, err := io.WriteString(w, c); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func (l *ledger) Restore(r io.Reader) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commands, l.restores = nil, l.restores+1
	if r == nil {
		return nil
	}
	b, err := io.ReadAll(r)
	for err == nil && len(b) > 0 {
		n := binary.BigEndian.Uint32(b)
		l.commands = append(l.commands, string(b[4:4+n]))
		b = b[4+n:]
	}
	return err
}

func (l *ledger) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.commands...)
}

// A testCluster is nodes in one process, on loopback sockets and real disks.
type testCluster struct {
	t      *testing.T
	dir    string
	size   int
	config func(id raft.NodeID, cfg *actors.GroupConfig)
	host   func(id raft.NodeID, cfg *actors.HostConfig)
	system *actor.ActorSystem
	addrs  map[raft.NodeID]string
	nodes  map[raft.NodeID]*testNode

	session, seq uint64
}

type testNode struct {
	id     raft.NodeID
	host   *actors.Host
	group  *actors.Group
	ledger *ledger
}

func quiet() *slog.Logger {
	if os.Getenv("TROUPE_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
}

// newCluster starts size nodes of group 1.
func newCluster(t *testing.T, size int, options ...func(*testCluster)) *testCluster {
	t.Helper()
	c := &testCluster{
		t: t, dir: t.TempDir(), size: size, system: newSystem(),
		addrs: map[raft.NodeID]string{}, nodes: map[raft.NodeID]*testNode{},
	}
	for _, o := range options {
		o(c)
	}
	t.Cleanup(c.stopAll)
	for id := raft.NodeID(1); id <= raft.NodeID(size); id++ {
		c.startHost(id)
	}
	for id := range c.nodes {
		c.introduce(id)
	}
	for id := raft.NodeID(1); id <= raft.NodeID(size); id++ {
		c.startGroup(id, c.founders())
	}
	return c
}

func (c *testCluster) founders() []raft.NodeID {
	var ids []raft.NodeID
	for i := 1; i <= c.size; i++ {
		ids = append(ids, raft.NodeID(i))
	}
	return ids
}

// startHost starts a node's host; a node that ran before gets its old address again.
func (c *testCluster) startHost(id raft.NodeID) *testNode {
	c.t.Helper()
	listen := c.addrs[id]
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	cfg := actors.HostConfig{
		Node: id, Cluster: "test", Listen: listen, Dir: filepath.Join(c.dir, fmt.Sprint(id)),
		Peers: map[raft.NodeID]string{}, Log: quiet(),
	}
	for peer, addr := range c.addrs {
		if peer != id {
			cfg.Peers[peer] = addr
		}
	}
	if c.host != nil {
		c.host(id, &cfg)
	}
	h, err := actors.StartHost(c.system, cfg)
	if err != nil {
		c.t.Fatalf("node %d: %v", id, err)
	}
	c.addrs[id] = h.Addr()
	n := &testNode{id: id, host: h}
	c.nodes[id] = n
	return n
}

// introduce tells everybody a node's address.
func (c *testCluster) introduce(id raft.NodeID) {
	for _, n := range c.nodes {
		if n.id != id {
			n.host.SetPeer(id, c.addrs[id])
		}
	}
}

func (c *testCluster) startGroup(id raft.NodeID, members []raft.NodeID) *testNode {
	c.t.Helper()
	n := c.nodes[id]
	n.ledger = &ledger{}
	l := n.ledger
	cfg := actors.GroupConfig{
		Group: 1, Members: members, ElectionTimeout: testTimeout,
		StateMachine: func() actors.StateMachine { return l },
		Addrs:        c.addrs,
	}
	if c.config != nil {
		c.config(id, &cfg)
	}
	g, err := actors.StartGroup(n.host, cfg)
	if err != nil {
		c.t.Fatalf("node %d: %v", id, err)
	}
	n.group = g
	return n
}

// restart starts a stopped node again on its old folder and address.
func (c *testCluster) restart(id raft.NodeID) *testNode {
	c.t.Helper()
	c.startHost(id)
	return c.startGroup(id, c.founders())
}

func (c *testCluster) stop(id raft.NodeID) {
	c.t.Helper()
	n := c.nodes[id]
	delete(c.nodes, id)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := n.host.Stop(ctx); err != nil {
		c.t.Errorf("node %d: Stop: %v", id, err)
	}
}

func (c *testCluster) stopAll() {
	for id := range c.nodes {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		if err := c.nodes[id].host.Stop(ctx); err != nil && !c.t.Failed() {
			c.t.Logf("node %d: Stop: %v", id, err)
		}
		cancel()
	}
	c.nodes = nil
}

// await polls until ok holds; what must be true in the end is waited for, not slept for.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// leader waits for one node that leads in a term that all running nodes agree on.
func (c *testCluster) leader() *testNode {
	c.t.Helper()
	var lead *testNode
	await(c.t, "one leader known to all", func() bool {
		lead = nil
		for _, n := range c.nodes {
			s := n.group.Status()
			if s.Role == raft.Leader && !s.Stopped {
				lead = n
			}
		}
		if lead == nil {
			return false
		}
		for _, n := range c.nodes {
			if s := n.group.Status(); s.Leader != lead.id && len(s.Members) > 0 {
				return false
			}
		}
		return true
	})
	return lead
}

func (c *testCluster) follower() *testNode {
	c.t.Helper()
	lead := c.leader()
	for _, n := range c.nodes {
		if n != lead {
			return n
		}
	}
	c.t.Fatal("no follower")
	return nil
}

// propose proposes through whoever leads, until it is applied. It does so in a session, since on a busy machine a leader may be
// lost at any time, and what is unknown then must not be applied twice. One node alone needs none.
func (c *testCluster) propose(data string) actors.Result {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for c.session == 0 && c.size > 1 {
		id, err := c.leader().group.OpenSession(ctx)
		if ctx.Err() != nil {
			c.t.Fatalf("open session: %v", err)
		}
		c.session = id
	}
	if c.session != 0 {
		c.seq++
	}
	for {
		r, err := c.leader().group.ProposeIn(ctx, c.session, c.seq, []byte(data))
		if err == nil {
			return r
		}
		if ctx.Err() != nil || errors.Is(err, actors.ErrSessionOrder) || errors.Is(err, actors.ErrSessionExpired) {
			c.t.Fatalf("propose %q: %v", data, err)
		}
	}
}

// converge waits until every running node has applied exactly these commands.
func (c *testCluster) converge(want []string) {
	c.t.Helper()
	for _, n := range c.nodes {
		await(c.t, fmt.Sprintf("node %d applies %d commands", n.id, len(want)), func() bool { return len(n.ledger.all()) >= len(want) })
		if got := n.ledger.all(); !equal(got, want) {
			c.t.Errorf("node %d applied %v, want %v", n.id, got, want)
		}
	}
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal([]byte(a[i]), []byte(b[i])) {
			return false
		}
	}
	return true
}

func withDeadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

// proposeAnywhere tries the nodes in turn until one takes the proposal.
func proposeAnywhere(ctx context.Context, nodes []*testNode, data string) error {
	for i := 0; ; i++ {
		_, err := nodes[i%len(nodes)].group.Propose(ctx, []byte(data))
		if err == nil || errors.Is(err, actors.ErrIndeterminate) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}
