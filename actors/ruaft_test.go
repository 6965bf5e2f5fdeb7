package actors_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// TestRuaftDaemonWatch is ruaft's tests of daemon_env.rs and daemon_watch.rs: what fails is recorded with its reason, and
// stopping reports it. test_for_thread and test_for_scope have nothing to test here: daemons report by message.
func TestRuaftDaemonWatch(t *testing.T) {
	t.Run("test_record_panic", recordPanic)
	t.Run("test_watch_daemon_shutdown", watchShutdown)
}

func recordPanic(t *testing.T) {
	var armed atomic.Int64
	c := newCluster(t, 1, func(c *testCluster) {
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
			cfg.StateMachine().(*ledger).onApply = func(actors.Command) {
				switch armed.Add(-1) {
				case 1:
					panic("message with type string")
				case 0:
					panic(fmt.Errorf("message with type %q", "error"))
				}
			}
		}
	})
	c.propose("before")
	reasons := make(chan error, 10)
	sub := c.system.EventStream.Subscribe(func(e any) {
		if r, ok := e.(*actors.ReplicaRestarted); ok {
			reasons <- r.Reason
		}
	})
	defer c.system.EventStream.Unsubscribe(sub)
	armed.Store(2)
	if err := proposeAnywhere(withDeadline(t), []*testNode{c.nodes[1]}, "poison"); err != nil && !errors.Is(err, actors.ErrIndeterminate) {
		t.Fatal(err)
	}
	for _, want := range []string{"message with type string", `message with type "error"`} {
		select {
		case reason := <-reasons:
			if reason == nil || !strings.Contains(reason.Error(), want) {
				t.Errorf("recorded %v, want %s", reason, want)
			}
		case <-withDeadline(t).Done():
			t.Fatalf("%s was not recorded", want)
		}
	}
	c.converge([]string{"before", "poison"}) // neither was fatal
}

// watchShutdown: two groups of a node fail for good, each for its own reason: Stop reports both, and only those.
func watchShutdown(t *testing.T) {
	c := newCluster(t, 1, func(c *testCluster) {
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
			cfg.StateMachine().(*ledger).onApply = func(actors.Command) { panic("message with type string") }
		}
	})
	n := c.nodes[1]
	var down atomic.Int64
	sub := c.system.EventStream.Subscribe(func(e any) {
		if _, ok := e.(*actors.ReplicaFailed); ok {
			down.Add(1)
		}
	})
	defer c.system.EventStream.Unsubscribe(sub)
	other, err := actors.StartGroup(n.host, actors.GroupConfig{
		Group: 2, Members: []raft.NodeID{1}, ElectionTimeout: testTimeout, StateMachine: func() actors.StateMachine {
			return &ledger{onApply: func(actors.Command) { panic(fmt.Errorf("message with type %q", "error")) }}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	fine, err := actors.StartGroup(n.host, actors.GroupConfig{
		Group: 3, Members: []raft.NodeID{1}, ElectionTimeout: testTimeout, StateMachine: func() actors.StateMachine { return &ledger{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []*actors.Group{n.group, other, fine} {
		if err := proposeAnywhere(withDeadline(t), []*testNode{{group: g}}, "x"); err != nil && (g == fine || !errors.Is(err, actors.ErrIndeterminate)) {
			t.Fatal(err)
		}
	}
	await(t, "both replicas are down for good", func() bool { return down.Load() == 2 })
	delete(c.nodes, 1)
	report := n.host.Stop(withDeadline(t))
	if report == nil {
		t.Fatal("Stop reports nothing")
	}
	for _, want := range []string{"group 1: ", "group 2: ", "message with type string", `message with type "error"`} {
		if !strings.Contains(report.Error(), want) {
			t.Errorf("no word of %s in %v", want, report)
		}
	}
	if failures := strings.Count("\n"+report.Error(), "\ngroup "); failures != 2 {
		t.Errorf("Stop reports %d failures: %v", failures, report)
	}
}
