package actors_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/actors"
)

// What would wait for itself is refused at once: from within Apply the facade of the own group says so, and what does not wait works.
func TestCallsFromWithinApplyAreRefused(t *testing.T) {
	c := newCluster(t, 1)
	c.propose("a")
	n := c.leader()
	g, never := n.group, context.Background()
	got := map[string]error{}
	fromElsewhere := make(chan error, 1)
	n.ledger.onApply = func(cmd actors.Command) {
		if string(cmd.Data) != "within" {
			return
		}
		_, got["Propose"] = g.Propose(never, []byte("x"))
		_, got["Read"] = g.Read(never)
		_, got["LeaseRead"] = g.LeaseRead(never)
		_, got["Snapshot"] = g.Snapshot(never)
		_, got["OpenSession"] = g.OpenSession(never)
		over, cancel := context.WithCancel(never)
		cancel()
		_, got["Read with a context that is over"] = g.Read(over)
		got["Stop"] = g.Stop(never)
		got["Host.Stop"] = n.host.Stop(never)
		_ = g.Status()
		go func() {
			_, err := g.Propose(never, []byte("elsewhere"))
			fromElsewhere <- err
		}()
	}
	c.propose("within")
	for call, err := range got {
		if !errors.Is(err, actors.ErrWithinApply) {
			t.Errorf("%s: %v", call, err)
		}
	}
	select {
	case err := <-fromElsewhere:
		if err != nil {
			t.Errorf("from another goroutine: %v", err)
		}
	case <-withDeadline(t).Done():
		t.Fatal("another goroutine's proposal was never answered")
	}
	c.converge([]string{"a", "within", "elsewhere"})
}

// Errors that clients see are one line. A replica that pauses after a crash is told from one that has ended.
func TestCrashIsToldInOneLine(t *testing.T) {
	c := newCluster(t, 1)
	reasons := make(chan error, 10)
	on(c, func(e *actors.ReplicaRestarted) { reasons <- e.Reason })
	n, armed := c.leader(), true
	var paused actors.Status
	n.ledger.onApply = func(cmd actors.Command) {
		if string(cmd.Data) == "boom" && armed {
			armed = false
			panic("two\nlines")
		}
	}
	_, _ = n.group.Propose(withDeadline(t), []byte("boom"))
	select {
	case err := <-reasons:
		if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "two; lines") {
			t.Errorf("reason %q", err)
		}
	case <-withDeadline(t).Done():
		t.Fatal("no word of the crash")
	}
	await(t, "it runs again", func() bool {
		if s := n.group.Status(); s.Phase == actors.Restarting {
			paused = s
		}
		return n.group.Status().Phase == actors.Running && len(n.ledger.all()) > 0
	})
	if paused.Phase == actors.Restarting && (!paused.Stopped || paused.Err == nil) {
		t.Errorf("while it waited: %+v", paused)
	}
}
