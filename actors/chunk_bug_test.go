package actors_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A heldStore keeps commits back until it is released.
type heldStore struct {
	actors.Store
	mu   sync.Mutex
	held []func()
	hold bool
}

func (s *heldStore) Commit(ops []persister.Op, done func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold {
		s.held = append(s.held, func() { s.Store.Commit(ops, done) })
		return
	}
	s.Store.Commit(ops, done)
}

func (s *heldStore) set(hold bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
	for _, f := range s.held {
		f()
	}
	s.held = nil
}

// A post box is a transport whose every peer is one actor.
type postBox struct {
	remote.Transport
	deliver remote.Deliver
	peer    *actor.PID
}

func (b *postBox) Start(d remote.Deliver) error  { b.deliver = d; return nil }
func (b *postBox) Addr() string                  { return "post box" }
func (b *postBox) SetPeer(raft.NodeID, string)   {}
func (b *postBox) Sender(raft.NodeID) *actor.PID { return b.peer }
func (b *postBox) Stop(context.Context) error    { return nil }
func (b *postBox) heartbeat(term raft.Term) []remote.Envelope {
	beat := remote.Beat{Group: 1, Heartbeat: raft.Heartbeat{Term: term, Leader: 2}}
	return []remote.Envelope{{Message: &remote.Pulse{Beats: []remote.Beat{beat}}}}
}

// A deposed leader's chunk is answered with the newer term once that is on the disk, like every word of a term.
func TestChunksAreRefusedInADurableTerm(t *testing.T) {
	dir, system := t.TempDir(), newSystem()
	disk, err := persister.Open(persister.Config{Dir: filepath.Join(dir, "1"), Cluster: "test", Node: 1, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	store := &heldStore{Store: disk}
	said := make(chan any, 100)
	box := &postBox{peer: system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch m := c.Message().(type) {
		case *remote.Post:
			said <- m.Envelope.Message
		case string:
			said <- m
		}
	}))}
	h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "test", Store: store, Transport: box, Dir: filepath.Join(dir, "1"), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	g, err := actors.StartGroup(h, actors.GroupConfig{Group: 1, Members: []raft.NodeID{1, 2, 3}, StateMachine: func() actors.StateMachine { return &ledger{} }})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "it runs", func() bool { return !g.Status().Stopped })
	store.set(true)
	box.deliver(2, box.heartbeat(7))
	box.deliver(3, []remote.Envelope{{Group: 1, Message: &remote.SnapshotChunk{Term: 6, Leader: 3, Meta: raft.SnapshotMeta{Index: 9, Term: 6}}}})
	if _, err := g.Propose(withDeadline(t), []byte("x")); err == nil { // behind both in the mailbox
		t.Fatal("a follower took a proposal")
	}
	system.Root.Send(box.peer, "held")
	for m := range said {
		if m == "held" {
			break
		}
		if r, ok := m.(*remote.SnapshotChunkReply); ok {
			t.Fatalf("said %+v while the term was not on the disk", r)
		}
	}
	store.set(false)
	for m := range said {
		if r, ok := m.(*remote.SnapshotChunkReply); ok {
			if r.Term != 7 || r.Refused == "" {
				t.Errorf("said %+v", r)
			}
			return
		}
	}
}
