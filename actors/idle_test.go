package actors_test

import (
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// Protoactor throttles its dead-letter log with a goroutine that ends by itself after a second.
var throttle = goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, throttle) }

// Stop leaves nothing behind: no goroutine, port or file.
func TestStopLeavesNoGoroutine(t *testing.T) {
	opt := goleak.IgnoreCurrent()
	c := newCluster(t, 3, smallSnapshots)
	c.fill("", 50)
	for id := raft.NodeID(1); id <= 3; id++ {
		c.stop(id)
	}
	if err := goleak.Find(opt, throttle); err != nil {
		t.Error(err)
	}
	again := newCluster(t, 1)
	again.propose("the port and the folder are free")
}

func TestStopIsIdempotent(t *testing.T) {
	c := newCluster(t, 1)
	h := c.nodes[1].host
	c.stop(1)
	if err := h.Stop(withDeadline(t)); err != nil {
		t.Error(err)
	}
	if _, err := actors.StartGroup(h, actors.GroupConfig{Group: 2, Members: []raft.NodeID{1}, Apply: func(actors.Command) []byte { return nil }, NoRestart: true}); err == nil {
		t.Error("a group started on a stopped host")
	}
}

// A thousand idle groups hold no goroutine each: timers, mailboxes and daemons wait without one.
func TestIdleGroupsHoldNoGoroutine(t *testing.T) {
	const groups = 1000
	h, err := actors.StartHost(newSystem(), actors.HostConfig{
		Node: 1, Listen: "127.0.0.1:0", Dir: filepath.Join(t.TempDir(), "1"), Log: quiet(),
		Peers: map[raft.NodeID]string{2: "127.0.0.1:1", 3: "127.0.0.1:1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	before := runtime.NumGoroutine()
	var all []*actors.Group
	for i := range groups {
		g, err := actors.StartGroup(h, actors.GroupConfig{
			Group: raft.GroupID(i + 1), Members: []raft.NodeID{1}, Apply: func(actors.Command) []byte { return nil }, NoRestart: true,
			ElectionTimeout: election.Timeout{Min: time.Second, Max: 2 * time.Second},
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
	}
	for _, g := range all {
		await(t, "every group leads itself", func() bool { return g.Status().Role == raft.Leader && g.Status().Applied > 0 })
	}
	// What remains are the shared workers, a bounded number.
	await(t, "goroutines settle", func() bool { return runtime.NumGoroutine()-before <= 100 })
	t.Logf("%d groups, %d goroutines more than without", groups, runtime.NumGoroutine()-before)
	for _, g := range all[:10] {
		if _, err := g.Propose(withDeadline(t), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
}
