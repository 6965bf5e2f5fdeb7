package actors_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// hangs has the state machine of a node hang in Apply of "hang", until the function that it returns is called or the test ends.
func hangs(t *testing.T, nodes ...*testNode) (release func()) {
	held := make(chan struct{})
	release = func() {
		select {
		case <-held:
		default:
			close(held)
		}
	}
	t.Cleanup(release)
	for _, n := range nodes {
		n.ledger.onApply = func(c actors.Command) {
			if string(c.Data) == "hang" {
				<-held
			}
		}
	}
	return release
}

func stalling(limit time.Duration) func(*testCluster) {
	return func(c *testCluster) {
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
			cfg.ApplyStall, cfg.MaxInflightEntries, cfg.BusyWait = limit, 2, 20*time.Millisecond
		}
	}
}

// A leader whose Apply hangs hands over to a voter whose state machine goes on, and says so. Whoever waits for it learns by its own context that
// the outcome is unknown; once Apply returns the replica follows and has everything.
func TestHungApplyCostsTheLeadership(t *testing.T) {
	c := newCluster(t, 3, stalling(300*time.Millisecond))
	stalls := make(chan *actors.ApplyStalled, 10)
	on(c, func(e *actors.ApplyStalled) { stalls <- e })
	c.propose("a")
	old := c.leader()
	release := hangs(t, old)
	waits := make(chan error, 2) // as many as there is room for
	ctx, cancel := context.WithCancel(withDeadline(t))
	defer cancel()
	for range 2 {
		go func() {
			_, err := old.group.Propose(ctx, []byte("hang"))
			waits <- err
		}()
	}
	select {
	case e := <-stalls:
		if e.Node != old.id || e.Since.IsZero() || old.group.Status().StalledSince.IsZero() {
			t.Errorf("%+v, Status %+v", e, old.group.Status())
		}
	case <-withDeadline(t).Done():
		t.Fatal("nobody says that Apply hangs")
	}
	if err := proposeAnywhere(withDeadline(t), c.without(old), "b"); err != nil {
		t.Fatalf("beside a leader whose Apply hangs: %v", err)
	}
	var elsewhere *actors.NotLeaderError
	if _, err := old.group.Propose(withDeadline(t), []byte("c")); !errors.As(err, &elsewhere) {
		t.Errorf("a write to the stuck replica: %v", err)
	}
	if _, err := old.group.Read(withDeadline(t)); !errors.As(err, &elsewhere) {
		t.Errorf("a read from the stuck replica: %v", err)
	}
	cancel()
	for range 2 {
		if err := <-waits; !errors.Is(err, actors.ErrIndeterminate) || !errors.Is(err, context.Canceled) {
			t.Errorf("whoever waited: %v", err)
		}
	}
	release()
	c.converge([]string{"a", "hang", "hang", "b"})
	await(t, "it says that it is over", func() bool { return old.group.Status().StalledSince.IsZero() })
}

// Where nobody has applied more there is nobody to hand over to: a single voter only says that it is stuck.
func TestHungApplyOfASoleVoterIsTold(t *testing.T) {
	c := newCluster(t, 1, stalling(50*time.Millisecond))
	c.propose("a")
	n := c.leader()
	release := hangs(t, n)
	answered := make(chan error, 1)
	go func() {
		_, err := n.group.Propose(withDeadline(t), []byte("hang"))
		answered <- err
	}()
	await(t, "it says that it is stuck", func() bool { return !n.group.Status().StalledSince.IsZero() })
	release()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	await(t, "it says that it is over", func() bool { return n.group.Status().StalledSince.IsZero() })
}

// slowRestore is a state machine that is restored from a snapshot only once it may be.
type slowRestore struct {
	actors.StateMachine
	may chan struct{}
}

func (s slowRestore) Restore(r io.Reader) error {
	if r != nil {
		<-s.may
	}
	return s.StateMachine.Restore(r)
}

// A replica whose state machine takes long to be restored says that, and not that it is stuck: a restart of the process, which helps there, would begin anew.
func TestSlowRestoreIsTold(t *testing.T) {
	var logged journal
	may := make(chan struct{})
	c := newCluster(t, 1, func(c *testCluster) {
		c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.Log = slog.New(slog.NewTextHandler(&logged, nil)) }
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
			machine := cfg.StateMachine
			cfg.ApplyStall = 50 * time.Millisecond
			cfg.StateMachine = func() actors.StateMachine { return slowRestore{machine(), may} }
		}
	})
	want := c.fill("a", 5)
	if _, err := c.leader().group.Snapshot(withDeadline(t)); err != nil {
		t.Fatal(err)
	}
	await(t, "it begins from the snapshot next time", func() bool { return c.leader().group.Status().Snapshot > 0 })
	c.stop(1)
	n := c.restart(1)
	await(t, "it says that it applies nothing", func() bool { return !n.group.Status().StalledSince.IsZero() })
	await(t, "it says why", func() bool { return logged.count("still being restored") > 0 })
	if logged.count("is stuck") > 0 {
		t.Error("it says that it is stuck")
	}
	close(may)
	await(t, "it has been restored", func() bool { return n.group.Status().StalledSince.IsZero() })
	c.converge(want)
}
