package actors_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

func TestReplicatesToAll(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			c := newCluster(t, size)
			var want []string
			for i := range 20 {
				data := fmt.Sprint("c", i)
				r := c.propose(data)
				want = append(want, data)
				if got := string(r.Data); got != fmt.Sprintf("%d:%s", i+1, data) {
					t.Fatalf("result %q", got)
				}
			}
			c.converge(want)
		})
	}
}

func TestFollowerRefusesAndNamesTheLeader(t *testing.T) {
	c := newCluster(t, 3)
	lead, f := c.leader(), c.follower()
	_, err := f.group.Propose(withDeadline(t), []byte("x"))
	var notLeader *actors.NotLeaderError
	if !errors.As(err, &notLeader) || notLeader.Leader != lead.id || !errors.Is(err, actors.ErrNotLeader) {
		t.Fatalf("got %v, want a refusal that names %d", err, lead.id)
	}
	if _, err := f.group.Read(withDeadline(t)); !errors.As(err, &notLeader) {
		t.Fatalf("read: got %v", err)
	}
}

func TestReadSeesEveryAcknowledgedWrite(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 10 {
		c.propose(fmt.Sprint(i))
		lead := c.leader()
		for _, read := range []func(context.Context) (raft.Index, error){lead.group.Read, lead.group.LeaseRead} {
			if _, err := read(withDeadline(t)); err != nil {
				t.Fatal(err)
			}
			if got := len(lead.ledger.all()); got != i+1 {
				t.Fatalf("after write %d a read saw %d commands", i+1, got)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	release := make(chan struct{})
	c := newCluster(t, 1, func(c *testCluster) {
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
			cfg.MaxEntryBytes, cfg.MaxInflightEntries, cfg.BusyWait = 100, 4, 20*time.Millisecond
			cfg.StateMachine = func() actors.StateMachine {
				return &ledger{onApply: func(actors.Command) { <-release }}
			}
		}
	})
	g := c.leader().group
	if _, err := g.Propose(withDeadline(t), make([]byte, 101)); !errors.Is(err, actors.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	outcomes := make(chan error, 4)
	for range 4 {
		go func() {
			_, err := g.Propose(withDeadline(t), []byte("x"))
			outcomes <- err
		}()
	}
	await(t, "the fifth proposal is refused as busy", func() bool {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := g.Propose(ctx, []byte("y"))
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("a dead context got %v", err)
		}
		return g.Status().Last >= 5
	})
	if _, err := g.Propose(withDeadline(t), []byte("z")); !errors.Is(err, actors.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	close(release)
	for range 4 {
		if err := <-outcomes; err != nil {
			t.Errorf("held proposal: %v", err)
		}
	}
	if _, err := g.Propose(withDeadline(t), []byte("w")); err != nil {
		t.Errorf("credit did not come back: %v", err)
	}
}

func TestCancelledProposalIsUnknownAndLeaksNothing(t *testing.T) {
	c := newCluster(t, 3)
	lead := c.leader()
	for _, n := range c.nodes {
		if n != lead {
			c.stop(n.id)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	before := lead.group.Status().Last
	go func() {
		_, err := lead.group.Propose(ctx, []byte("lost?"))
		done <- err
	}()
	await(t, "the proposal enters the log, or leadership is lost", func() bool {
		s := lead.group.Status()
		return s.Last > before || s.Role != raft.Leader
	})
	cancel()
	if err := <-done; !errors.Is(err, actors.ErrIndeterminate) && !errors.Is(err, actors.ErrNotLeader) {
		t.Fatalf("got %v", err)
	}
}

func TestSessionsApplyOnce(t *testing.T) {
	c := newCluster(t, 3)
	ctx := withDeadline(t)
	session, err := c.leader().group.OpenSession(ctx)
	if err != nil {
		t.Fatal(err)
	}
	once := func() actors.Result { // a leader may be lost at any time on a busy machine; the session makes repeating harmless
		for {
			r, err := c.leader().group.ProposeIn(ctx, session, 1, []byte("once"))
			if err == nil {
				return r
			}
			if !errors.Is(err, actors.ErrIndeterminate) && !errors.Is(err, actors.ErrNotLeader) || ctx.Err() != nil {
				t.Fatal(err)
			}
		}
	}
	first := once()
	old := c.leader()
	c.stop(old.id)
	again := once()
	if again.Index != first.Index || string(again.Data) != string(first.Data) {
		t.Errorf("the retry was answered %v, the first %v", again, first)
	}
	if _, err := c.leader().group.ProposeIn(ctx, session, 3, []byte("gap")); !errors.Is(err, actors.ErrSessionOrder) {
		t.Errorf("got %v, want ErrSessionOrder", err)
	}
	if err := c.leader().group.CloseSession(ctx, session); err != nil {
		t.Fatal(err)
	}
	if _, err := c.leader().group.ProposeIn(ctx, session, 2, []byte("late")); !errors.Is(err, actors.ErrSessionExpired) {
		t.Errorf("got %v, want ErrSessionExpired", err)
	}
	c.restart(old.id)
	c.converge([]string{"once"})
}

func TestLogRange(t *testing.T) {
	c := newCluster(t, 1)
	for i := range 5 {
		c.propose(fmt.Sprint(i))
	}
	got, err := c.leader().group.Log(withDeadline(t), 0, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	if got.First != 1 || got.Last != 6 || len(got.Entries) != 6 || got.Entries[0].Kind != raft.NoOp {
		t.Fatalf("log %d..%d, %d entries", got.First, got.Last, len(got.Entries))
	}
	for i, e := range got.Entries[1:] {
		if string(e.Data) != fmt.Sprint(i) || e.Index != raft.Index(i+2) {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
}

// Proposals that gather behind a block that does not commit are sealed all the same.
func TestBlocksFollowOneThatDoesNotCommit(t *testing.T) {
	c := newCluster(t, 3, func(c *testCluster) {
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) { cfg.ElectionTimeout = steady }
	})
	c.propose("a")
	lead := c.leader()
	lead.host.SetChaos(remote.Chaos{Drop: 1})
	before := lead.group.Status().Last
	ctx, cancel := context.WithCancel(withDeadline(t))
	done := make(chan error, 2)
	for i := range 2 {
		go func() {
			_, err := lead.group.Propose(ctx, []byte("cut off"))
			done <- err
		}()
		await(t, "the proposal enters the log", func() bool { return lead.group.Status().Last == before+raft.Index(i)+1 })
	}
	if s := lead.group.Status(); s.Commit > before {
		t.Errorf("committed %d of %d without a quorum", s.Commit, s.Last)
	}
	lead.host.SetChaos(remote.Chaos{})
	for range 2 {
		if err := <-done; err != nil && !errors.Is(err, actors.ErrIndeterminate) {
			t.Error(err)
		}
	}
	cancel()
}
