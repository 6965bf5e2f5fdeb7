package actors_test

import (
	"errors"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// followers is a network whose peers elect node 1 and take and acknowledge all that it sends, but do not take over when they are told to: that they
// were is told to urged.
func followers(system *actor.ActorSystem, urged chan<- raft.NodeID) *fakeNet {
	f := willing(system)
	for id, takes := range f.peer {
		f.peer[id] = system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			p, ok := c.Message().(*remote.Post)
			if !ok {
				return
			}
			switch m := p.Envelope.Message.(type) {
			case *remote.Pulse:
				for _, b := range m.Beats {
					go f.send(id, &raft.HeartbeatReply{Term: b.Term, Round: b.Round, Sent: b.Sent})
				}
			case *raft.TimeoutNow:
				select {
				case urged <- id:
				default: // it is told again with each of its answers
				}
			default:
				c.Send(takes, p)
			}
		}))
	}
	return f
}

// ledByOne starts node 1 of three, which leads the others: these are followers'.
func ledByOne(t *testing.T, transferTimeout time.Duration) (g *actors.Group, f *fakeNet, urged chan raft.NodeID) {
	t.Helper()
	system := newSystem()
	urged = make(chan raft.NodeID, 1)
	f = followers(system, urged)
	h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "t", Dir: t.TempDir(), Transport: f, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(withDeadline(t)); err != nil {
			t.Error(err)
		}
	})
	g, err = actors.StartGroup(h, actors.GroupConfig{
		Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: steady, TransferTimeout: transferTimeout,
		StateMachine: func() actors.StateMachine { return &ledger{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "leads", func() bool { return g.Status().Role == raft.Leader && g.Status().Commit > 0 })
	return g, f, urged
}

// A transfer to a node that does not take over ends in time, and proposals held meanwhile are taken after all.
func TestTransferThatIsNotTakenAborts(t *testing.T) {
	g, _, urged := ledByOne(t, testTimeout.Min)
	transfer := make(chan error, 1)
	go func() { transfer <- g.Transfer(withDeadline(t), 2) }()
	<-urged
	proposed := g.Post([]byte("meanwhile"))
	if err := <-transfer; !errors.Is(err, actors.ErrTransferFailed) {
		t.Errorf("transfer: %v", err)
	}
	if err := answered(t, "the proposal", proposed); err != nil {
		t.Errorf("proposal: %v", err)
	}
}

// A transfer has not failed because the target's term was heard of from somebody else first.
func TestTransferWhoseTermIsHeardOfFromOthers(t *testing.T) {
	g, f, urged := ledByOne(t, limit)
	transfer := make(chan error, 1)
	go func() { transfer <- g.Transfer(withDeadline(t), 2) }()
	<-urged
	term := g.Status().Term + 1
	f.send(3, &raft.HeartbeatReply{Term: term})
	await(t, "is deposed", func() bool { return g.Status().Role == raft.Follower })
	f.send(2, &remote.Pulse{Beats: []remote.Beat{{Group: 1, Heartbeat: raft.Heartbeat{Term: term, Leader: 2}}}})
	if err := <-transfer; err != nil {
		t.Error(err)
	}
}

// One that another server leads after has failed, and so has one whose leader leads again.
func TestTransferThatOthersTake(t *testing.T) {
	for _, other := range []raft.NodeID{1, 3} {
		g, f, urged := ledByOne(t, limit)
		transfer := make(chan error, 1)
		go func() { transfer <- g.Transfer(withDeadline(t), 2) }()
		<-urged
		term := g.Status().Term + 1
		f.send(3, &raft.HeartbeatReply{Term: term})
		if other == 3 {
			f.send(3, &remote.Pulse{Beats: []remote.Beat{{Group: 1, Heartbeat: raft.Heartbeat{Term: term, Leader: 3}}}})
		}
		if err := <-transfer; !errors.Is(err, actors.ErrTransferFailed) {
			t.Errorf("node %d leads: %v", other, err)
		}
		if other == 1 && g.Status().Role != raft.Leader {
			t.Errorf("ended before anybody leads: %+v", g.Status())
		}
	}
}
