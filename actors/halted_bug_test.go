package actors_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// A snarledStage has the next persister.Release panic in whoever posts it.
type snarledStage struct {
	stage.Stage
	armed *atomic.Bool
}

func (s snarledStage) Mailbox(drainedAfter int) actor.MailboxProducer {
	produce := s.Stage.Mailbox(drainedAfter)
	return func() actor.Mailbox { return snarledMailbox{produce(), s.armed} }
}

type snarledMailbox struct {
	actor.Mailbox
	armed *atomic.Bool
}

func (m snarledMailbox) PostUserMessage(message any) {
	_, content, _ := actor.UnwrapEnvelope(message)
	if _, ok := content.(*persister.Release); ok && m.armed.CompareAndSwap(true, false) {
		panic("tripwire")
	}
	m.Mailbox.PostUserMessage(message)
}

// A replica that panics while it ends a run still ends it: it starts again, or stays down and says so. It would be neither up nor down.
func TestPanicAmidACrash(t *testing.T) {
	var armed atomic.Bool
	live := stage.NewLive()
	t.Cleanup(live.Close)
	c := newCluster(t, 1, func(c *testCluster) {
		c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.Stage = snarledStage{live, &armed} }
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
			l := cfg.StateMachine().(*ledger)
			var once atomic.Bool
			l.onApply = func(cmd actors.Command) {
				if string(cmd.Data) == "bad" && once.CompareAndSwap(false, true) {
					armed.Store(true)
					panic("user bug")
				}
			}
		}
	})
	c.propose("a")
	if _, err := c.leader().group.Propose(withDeadline(t), []byte("bad")); !errors.Is(err, actors.ErrIndeterminate) {
		t.Errorf("got %v", err)
	}
	await(t, "the end of the run panics", func() bool { return !armed.Load() })
	c.propose("b")
	c.converge([]string{"a", "bad", "b"})
}
