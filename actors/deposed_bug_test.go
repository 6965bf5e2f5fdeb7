package actors_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/snapshotter"
	"github.com/troupe-raft/troupe/stage"
)

// A brittleStage has the next snapshotter.Abort panic in whoever posts it.
type brittleStage struct {
	stage.Stage
	armed *atomic.Bool
}

func (s brittleStage) Mailbox(drainedAfter int) actor.MailboxProducer {
	produce := s.Stage.Mailbox(drainedAfter)
	return func() actor.Mailbox { return brittleMailbox{produce(), s.armed} }
}

type brittleMailbox struct {
	actor.Mailbox
	armed *atomic.Bool
}

func (m brittleMailbox) PostUserMessage(message any) {
	_, content, _ := actor.UnwrapEnvelope(message)
	if _, ok := content.(*snapshotter.Abort); ok && m.armed.CompareAndSwap(true, false) {
		panic("tripwire")
	}
	m.Mailbox.PostUserMessage(message)
}

// A leader that panics while it steps down has forgotten that it led when its crash is handled: its heartbeats end all the same, or they
// would keep all others patient for ever.
func TestHeartbeatsEndWithALeaderThatPanicsWhileItStepsDown(t *testing.T) {
	var armed atomic.Bool
	live := stage.NewLive()
	t.Cleanup(live.Close)
	c := newCluster(t, 3, func(c *testCluster) {
		c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.Stage = brittleStage{live, &armed} }
	})
	c.propose("a")
	armed.Store(true)
	if err := c.leader().group.StepDown(withDeadline(t)); !errors.Is(err, actors.ErrIndeterminate) {
		t.Errorf("got %v", err)
	}
	if armed.Load() {
		t.Error("nothing panicked")
	}
	c.propose("b")
	c.converge([]string{"a", "b"})
}
