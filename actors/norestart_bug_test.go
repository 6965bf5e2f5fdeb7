package actors_test

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// A replica that may be started again needs Restore, by which its state is reset. The refusal names both ways out.
func TestRestoreIsRequired(t *testing.T) {
	c := newCluster(t, 1)
	apply := func(actors.Command) []byte { return nil }
	snapshot := func() (func(io.Writer) error, error) { return func(io.Writer) error { return nil }, nil }
	restore := func(io.Reader) error { return nil }
	for name, g := range map[string]struct {
		cfg   actors.GroupConfig
		words []string
	}{
		"Apply alone":                      {actors.GroupConfig{Apply: apply}, []string{"Restore", "NoRestart"}},
		"Snapshot without Restore":         {actors.GroupConfig{Apply: apply, Snapshot: snapshot, NoRestart: true}, []string{"Snapshot is set and Restore is not"}},
		"Apply alone, never started again": {actors.GroupConfig{Apply: apply, NoRestart: true}, nil},
		"Restore without Snapshot":         {actors.GroupConfig{Apply: apply, Restore: restore}, nil},
		"all three":                        {actors.GroupConfig{Apply: apply, Snapshot: snapshot, Restore: restore}, nil},
	} {
		g.cfg.Group, g.cfg.Members = 7, c.founders()
		group, err := actors.StartGroup(c.nodes[1].host, g.cfg)
		if err == nil {
			if err := group.Stop(withDeadline(t)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if (err == nil) != (g.words == nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, w := range g.words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v says nothing of %s", name, err, w)
			}
		}
	}
}

// Restore without Snapshot is enough for a replay: a panic applies nothing twice and loses nothing.
func TestRestoreAloneIsEnoughForAReplay(t *testing.T) {
	c := newCluster(t, 1)
	var sum, panics atomic.Int32
	g, err := actors.StartGroup(c.nodes[1].host, actors.GroupConfig{
		Group: 7, Members: c.founders(), ElectionTimeout: testTimeout,
		Apply: func(cmd actors.Command) []byte {
			if string(cmd.Data) == "boom" && panics.CompareAndSwap(0, 1) {
				panic("once")
			}
			sum.Add(1)
			return nil
		},
		Restore: func(r io.Reader) error {
			if r != nil {
				return errors.New("there is no snapshot")
			}
			sum.Store(0)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "it leads", func() bool { return g.Status().Role == raft.Leader })
	for range 3 {
		if _, err := g.Propose(withDeadline(t), []byte("a")); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = g.Propose(withDeadline(t), []byte("boom"))
	await(t, "all four are applied to the empty state", func() bool { return g.Status().Phase == actors.Running && sum.Load() == 4 })
}

// With the default limits five crashes within a minute are endured, and the sixth ends the replica.
func TestSixthCrashIsTheLast(t *testing.T) {
	c := newCluster(t, 1)
	var crashes atomic.Int32
	ended := make(chan error, 1)
	on(c, func(e *actors.ReplicaRestarted) { crashes.Add(1) })
	on(c, func(e *actors.ReplicaFailed) { ended <- e.Reason })
	g, err := actors.StartGroup(c.nodes[1].host, actors.GroupConfig{
		Group: 7, Members: c.founders(), ElectionTimeout: testTimeout, Restore: func(io.Reader) error { panic("always") },
		Apply: func(actors.Command) []byte { return nil }, Tuning: actors.Tuning{Crashes: actors.Restarts{First: time.Millisecond, Max: time.Millisecond}},
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !strings.Contains(err.Error(), "crashed 6 times within 1m0s") {
			t.Errorf("ended by %v", err)
		}
	case <-withDeadline(t).Done():
		t.Fatal("it goes on")
	}
	if n := crashes.Load(); n != 5 {
		t.Errorf("started again %d times", n)
	}
	if s := g.Status(); s.Phase != actors.Failed || !s.NextTry.IsZero() {
		t.Errorf("%+v", s)
	}
}

// The stack of a panic is in the log once, with the place that panicked, whoever it was that did.
func TestStackIsLoggedOnce(t *testing.T) {
	for name, boom := range map[string]func(*testCluster, *tripwire){
		"state machine": func(c *testCluster, _ *tripwire) {
			armed := true
			c.nodes[1].ledger.onApply = func(actors.Command) {
				if armed {
					armed = false
					panicsHere()
				}
			}
			_, _ = c.nodes[1].group.Propose(withDeadline(t), []byte("boom"))
		},
		"rules": func(c *testCluster, w *tripwire) {
			w.set(func(n *raft.Node, last raft.Index) bool {
				if grown(n, last) {
					w.set(func(*raft.Node, raft.Index) bool { return false })
					panicsHere()
				}
				return false
			})
			_, _ = c.nodes[1].group.Propose(withDeadline(t), []byte("boom"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var stacks, places atomic.Int32
			var w tripwire
			c := newCluster(t, 1, func(c *testCluster) {
				c.host = func(_ raft.NodeID, cfg *actors.HostConfig) {
					cfg.Watch = w.watch
					cfg.Log = slog.New(slog.NewTextHandler(writerFunc(func(line []byte) (int, error) {
						stacks.Add(int32(strings.Count(string(line), "[running]")))
						places.Add(int32(min(1, strings.Count(string(line), "panicsHere"))))
						return len(line), nil
					}), nil))
				}
			})
			restarts := countRestarts(c)
			c.propose("a")
			boom(c, &w)
			await(t, "it runs again", func() bool { return restarts.Load() == 1 && c.nodes[1].group.Status().Phase == actors.Running })
			c.stop(1) // writes what is left of the log
			if stacks.Load() != 1 || places.Load() != 1 {
				t.Errorf("%d stacks are in the log, %d lines name the place", stacks.Load(), places.Load())
			}
		})
	}
}

//go:noinline
func panicsHere() { panic("boom") }
