package actors_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// onlyVotes is a network whose peers elect node 1 and take nothing from it.
func onlyVotes(system *actor.ActorSystem) *fakeNet {
	f := &fakeNet{system: system, peer: map[raft.NodeID]*actor.PID{}}
	for id := raft.NodeID(2); id <= 3; id++ {
		f.peer[id] = system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			p, ok := c.Message().(*remote.Post)
			if !ok {
				return
			}
			if m, ok := p.Envelope.Message.(*raft.RequestVote); ok {
				term := m.Term
				if m.PreVote {
					term--
				}
				go f.send(id, &raft.RequestVoteReply{Term: term, Asked: m.Term, Granted: true, PreVote: m.PreVote})
			}
		}))
	}
	return f
}

// A leader that is elected again and again and never gets a quorum for its log takes as many entries as the limit allows, not as many
// in each term: what a deposed leadership left in the log counts until it is committed or gone (etcd issue 10167, cockroach issue 60612).
func TestFlappingLeaderTakesNoMoreThanTheLimit(t *testing.T) {
	const most, terms = 8, 5
	system := newSystem()
	h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "t", Dir: t.TempDir(), Transport: onlyVotes(system), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	g, err := actors.StartGroup(h, actors.GroupConfig{Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: testTimeout,
		MaxInflightEntries: most, BusyWait: -1, StateMachine: func() actors.StateMachine { return &ledger{} }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(withDeadline(t))
	var clients sync.WaitGroup
	var unknown, busy atomic.Int32
	for range 4 * most {
		clients.Go(func() {
			for ctx.Err() == nil {
				switch _, err := g.Propose(ctx, []byte("again")); {
				case errors.Is(err, actors.ErrIndeterminate):
					unknown.Add(1)
				case errors.Is(err, actors.ErrBusy):
					busy.Add(1)
					select {
					case <-ctx.Done():
					case <-time.After(time.Millisecond):
					}
				case err == nil:
					t.Error("committed without a quorum")
				}
			}
		})
	}
	await(t, "leads and loses several terms", func() bool { return g.Status().Term > terms })
	cancel()
	clients.Wait()
	s := g.Status()
	if noops := int(s.Term); int(s.Last-s.Commit) > most+noops {
		t.Errorf("%d entries are in the log and not committed; the limit is %d, and %d terms have a no-op each", s.Last-s.Commit, most, noops)
	}
	if unknown.Load() < most || busy.Load() == 0 {
		t.Errorf("%d outcomes were unknown, %d proposals refused as busy: nothing was tested", unknown.Load(), busy.Load())
	}
}
