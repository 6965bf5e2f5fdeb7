package actors_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// startAlone starts node 1 of three, which the others elect and then leave alone.
func startAlone(t *testing.T, dir string, limit func(*actors.GroupConfig)) (*actors.Host, *actors.Group, *fakeNet) {
	t.Helper()
	system := newSystem()
	f := onlyVotes(system)
	h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "t", Dir: dir, Transport: f, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	cfg := actors.GroupConfig{Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: testTimeout, StateMachine: func() actors.StateMachine { return &ledger{} }}
	cfg.BusyWait = -1
	limit(&cfg)
	g, err := actors.StartGroup(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h, g, f
}

// proposeUntilDeposed has many clients propose until the leadership that takes anything is over, and returns how often they were refused as busy.
func proposeUntilDeposed(t *testing.T, g *actors.Group, data []byte) (busy int) {
	t.Helper()
	await(t, "leads", func() bool { return g.Status().Role == raft.Leader })
	term := g.Status().Term
	ctx, cancel := context.WithCancel(withDeadline(t))
	var clients sync.WaitGroup
	var mu sync.Mutex
	for range 32 {
		clients.Go(func() {
			for ctx.Err() == nil {
				switch _, err := g.Propose(ctx, data); {
				case errors.Is(err, actors.ErrBusy):
					mu.Lock()
					busy++
					mu.Unlock()
				case err == nil:
					t.Error("committed without a quorum")
				}
			}
		})
	}
	await(t, "loses its term", func() bool { return g.Status().Term > term })
	cancel()
	clients.Wait()
	return busy
}

// A leader that restarts whenever it has filled its log, and is elected again without ever getting a quorum for it, takes no more than it could
// have without restarts: what was on disk counts too.
func TestRestartsGiveTheLeaderNoMoreRoom(t *testing.T) {
	for name, limit := range map[string]func(*actors.GroupConfig){
		"entries": func(c *actors.GroupConfig) { c.MaxInflightEntries = 8 },
		"bytes":   func(c *actors.GroupConfig) { c.MaxInflightBytes = 8_000 },
	} {
		t.Run(name, func(t *testing.T) {
			dir, busy := t.TempDir(), 0
			for range 4 {
				h, g, _ := startAlone(t, dir, limit)
				busy += proposeUntilDeposed(t, g, make([]byte, 1_000))
				s := g.Status()
				if noops := int(s.Term); int(s.Last-s.Commit) > 8+noops {
					t.Errorf("%d entries are in the log and not committed; the limit is 8, and %d terms have a no-op each at most", s.Last-s.Commit, noops)
				}
				if err := h.Stop(withDeadline(t)); err != nil {
					t.Fatal(err)
				}
			}
			if busy == 0 {
				t.Error("nobody was refused: nothing was tested")
			}
		})
	}
}

// What another leader has left uncommitted counts as well: leaders that take turns would each add a limit's worth otherwise.
func TestEntriesOfAnotherLeaderTakeRoom(t *testing.T) {
	h, g, f := startAlone(t, t.TempDir(), func(c *actors.GroupConfig) { c.MaxInflightEntries, c.ElectionTimeout = 8, steady })
	defer h.Stop(withDeadline(t))
	await(t, "leads", func() bool { return g.Status().Role == raft.Leader })
	term := g.Status().Term + 1
	var b entry.Builder
	for range 8 {
		b.Append(raft.Command, 0, 0, 0, []byte("theirs"))
	}
	f.send(2, &remote.AppendBlocks{AppendEntries: raft.AppendEntries{Term: term, Leader: 2, Runs: []raft.Run{{First: 1, Last: 8, Term: term}}}, Blocks: []*entry.Block{b.Seal(term, 1)}})
	await(t, "follows", func() bool { s := g.Status(); return s.Term == term && s.Last == 8 })
	await(t, "leads again", func() bool { return g.Status().Role == raft.Leader })
	if _, err := g.Propose(withDeadline(t), []byte("mine")); !errors.Is(err, actors.ErrBusy) {
		t.Fatalf("with 8 entries in doubt, proposing says %v, want %v", err, actors.ErrBusy)
	}
	term = g.Status().Term
	f.send(2, &raft.AppendEntriesReply{Term: term, Success: true, Match: g.Status().Last})
	await(t, "they are committed", func() bool { s := g.Status(); return s.Commit == s.Last })
	done := make(chan error, 1)
	go func() {
		_, err := g.Propose(withDeadline(t), []byte("mine"))
		done <- err
	}()
	await(t, "takes a proposal", func() bool { return g.Status().Last == 10 })
	f.send(2, &raft.AppendEntriesReply{Term: term, Success: true, Match: 10})
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
