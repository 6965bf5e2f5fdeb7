package actors_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// A pausedStage hands the ends of crash pauses to the test, to happen when it says.
type pausedStage struct {
	stage.Stage
	pauses chan func()
}

func (s *pausedStage) Clock() stage.Clock { return pausedClock{s.Stage.Clock(), s.pauses} }

type pausedClock struct {
	stage.Clock
	pauses chan func()
}

func (c pausedClock) AfterFunc(d time.Duration, f func()) stage.Timer {
	if d != actors.CrashPause {
		return c.Clock.AfterFunc(d, f)
	}
	c.pauses <- f
	return endless{}
}

// An endless timer can always be stopped.
type endless struct{}

func (endless) Stop() bool { return true }

// The end of a pause comes late: its replica has failed meanwhile, was started again by its operator and has crashed once more, its applier
// still in the user's hands. It must not load beside that one, but when the pause of its own is over.
func TestLateEndOfAnEarlierPauseLoadsNothing(t *testing.T) {
	held := &pausedStage{Stage: stage.NewLive(), pauses: make(chan func(), 10)}
	t.Cleanup(held.Close)
	entered, release := make(chan struct{}), make(chan struct{})
	var alive, overlaps atomic.Int32
	c := newCluster(t, 1, func(c *testCluster) {
		c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.Stage = held }
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
			l := cfg.StateMachine().(*ledger)
			var once atomic.Bool
			l.onApply = func(cmd actors.Command) {
				if string(cmd.Data) == "slow" && once.CompareAndSwap(false, true) {
					alive.Add(1)
					close(entered)
					<-release
					alive.Add(-1)
				}
			}
			cfg.StateMachine = func() actors.StateMachine {
				overlaps.Add(alive.Load())
				return l
			}
		}
	})
	restarts := countRestarts(c)
	pause := func() func() {
		select {
		case end := <-held.pauses:
			return end
		case <-withDeadline(t).Done():
			t.Fatal("no pause after the crash")
			return nil
		}
	}
	c.propose("a")
	g := c.leader().group
	crash := func() { c.system.Root.Send(g.PID(), &stage.GaveUp{Child: g.PID(), Reason: "crash"}) }

	crash()
	late := pause()
	boom := errors.New("boom")
	c.system.Root.Send(g.PID(), &persister.StoreFailed{Err: boom})
	await(t, "it fails", func() bool { return errors.Is(g.Status().Err, boom) })
	if err := g.Restart(withDeadline(t)); err != nil {
		t.Fatal(err)
	}
	c.leader()
	slow := g.Post([]byte("slow"))
	<-entered
	crash()
	await(t, "it crashes again", func() bool { return restarts.Load() == 2 })
	late()
	if _, err := c.system.Root.RequestFuture(g.PID(), &actors.GetStatus{}, limit).Result(); err != nil { // behind it
		t.Fatal(err)
	}
	close(release)
	end := pause()
	if err := answered(t, "what was in the user's hands", slow); err != nil && !errors.Is(err, actors.ErrIndeterminate) {
		t.Error(err)
	}
	end()
	c.propose("b")
	c.converge([]string{"a", "slow", "b"})
	if n := overlaps.Load(); n != 0 {
		t.Errorf("%d state machines were made beside one in use", n)
	}
}
