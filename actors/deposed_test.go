package actors_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// fakeNet is a transport that the test plays the peers of.
type fakeNet struct {
	system  *actor.ActorSystem
	peer    map[raft.NodeID]*actor.PID
	deliver remote.Deliver
	hungUp  atomic.Uint64
}

func (f *fakeNet) Start(d remote.Deliver) error    { f.deliver = d; return nil }
func (f *fakeNet) Addr() string                    { return "fake" }
func (f *fakeNet) SetPeer(raft.NodeID, string)     {}
func (f *fakeNet) Sender(n raft.NodeID) *actor.PID { return f.peer[n] }
func (f *fakeNet) SetChaos(remote.Chaos)           {}
func (f *fakeNet) HangUp(raft.NodeID, error)       { f.hungUp.Add(1) }
func (f *fakeNet) Stats() remote.Stats             { return remote.Stats{} }
func (f *fakeNet) Stop(context.Context) error      { return nil }
func (f *fakeNet) send(from raft.NodeID, m any) {
	f.deliver(from, []remote.Envelope{{Group: 1, Message: m}})
}

// An AppendEntries that deposes, replaces and commits at once.
func TestDeposedWaiterIsNotGivenAnothersResult(t *testing.T) {
	system := newSystem()
	f := onlyVotes(system)
	h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "t", Dir: t.TempDir(), Transport: f, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	l := &ledger{}
	g, err := actors.StartGroup(h, actors.GroupConfig{Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: steady,
		StateMachine: func() actors.StateMachine { return l }})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "leads", func() bool { return g.Status().Role == raft.Leader })
	term := g.Status().Term
	type outcome struct {
		r   actors.Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := g.Propose(withDeadline(t), []byte("mine"))
		done <- outcome{r, err}
	}()
	await(t, "in the log", func() bool { return g.Status().Last == 2 })
	var b entry.Builder
	b.Append(raft.Command, 0, 0, 0, []byte("theirs 1"))
	b.Append(raft.Command, 0, 0, 0, []byte("theirs 2"))
	block := b.Seal(term+1, 1)
	f.send(2, &remote.AppendBlocks{AppendEntries: raft.AppendEntries{
		Term: term + 1, Leader: 2, Runs: []raft.Run{{First: 1, Last: 2, Term: term + 1}}, Commit: 2,
	}, Blocks: []*entry.Block{block}})
	o := <-done
	t.Logf("%q %v; applied %q", o.r.Data, o.err, l.all())
	if o.err == nil {
		t.Fatalf("a proposal that was overwritten was acknowledged with %q", o.r.Data)
	}
}
