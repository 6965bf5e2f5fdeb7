package actors_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// startAmong starts single voters of groups 1, 2… on one host, whose Applies share one turn.
func startAmong(t *testing.T, config func(n int, c *actors.GroupConfig), groups int) (all []*actors.Group) {
	t.Helper()
	h, err := actors.StartHost(newSystem(), actors.HostConfig{
		Node: 1, Listen: "127.0.0.1:0", Dir: filepath.Join(t.TempDir(), "1"), Log: quiet(),
		ApplyTurns: stage.NewTurns(stage.TurnsConfig{Most: 1, Stall: time.Hour, Brief: -1}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(withDeadline(t)); err != nil {
			t.Error(err)
		}
	})
	for n := range groups {
		cfg := actors.GroupConfig{Group: raft.GroupID(n + 1), Members: []raft.NodeID{1}, ElectionTimeout: testTimeout, NoRestart: true}
		config(n, &cfg)
		g, err := actors.StartGroup(h, cfg)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g)
		await(t, "it leads", func() bool { return g.Status().Role == raft.Leader && g.Status().Applied > 0 })
	}
	return all
}

// Groups of a host apply in turns, so that a processor stays free. One whose Apply waits for something else than a processor says so, and takes none.
func TestGroupsApplyInTurns(t *testing.T) {
	held, entered := make(chan struct{}), make(chan struct{})
	groups := startAmong(t, func(n int, c *actors.GroupConfig) {
		c.ApplyWaits = n == 2
		c.Apply = func(actors.Command) []byte {
			if n == 0 {
				close(entered)
				<-held
			}
			return nil
		}
	}, 3)
	t.Cleanup(func() { // before the host stops
		select {
		case <-held:
		default:
			close(held)
		}
	})
	answers := make(chan int, len(groups))
	propose := func(n int) {
		go func() {
			if _, err := groups[n].Propose(withDeadline(t), []byte("x")); err != nil {
				t.Errorf("group %d: %v", n+1, err)
			}
			answers <- n
		}()
	}
	next := func() int {
		select {
		case n := <-answers:
			return n
		case <-withDeadline(t).Done():
			t.Fatal("no answer")
			return 0
		}
	}
	propose(0)
	select {
	case <-entered:
	case <-withDeadline(t).Done():
		t.Fatal("the first does not apply")
	}
	propose(1)
	await(t, "the second has something to apply", func() bool { s := groups[1].Status(); return s.Commit > s.Applied })
	propose(2)
	if n := next(); n != 2 {
		t.Errorf("group %d, which waits for a turn, is answered before who takes none", n+1)
	}
	close(held)
	if n := next() + next(); n != 1 {
		t.Errorf("the others: %d", n)
	}
}
