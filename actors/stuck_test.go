package actors_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// willing is a network whose peers elect node 1 and confirm whatever it sends.
func willing(system *actor.ActorSystem) *fakeNet {
	f := onlyVotes(system)
	for id, votes := range f.peer {
		f.peer[id] = system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			p, ok := c.Message().(*remote.Post)
			if !ok {
				return
			}
			if m, ok := p.Envelope.Message.(*remote.AppendBlocks); ok {
				match := m.Prev.Index
				if n := len(m.Blocks); n > 0 {
					match = m.Blocks[n-1].Last()
				}
				go f.send(id, &raft.AppendEntriesReply{Term: m.Term, Success: true, Match: match})
				return
			}
			c.Send(votes, p)
		}))
	}
	return f
}

// A stuckStore takes writes and, while it is stuck, does not get them onto the disk.
type stuckStore struct {
	actors.Store
	mu     sync.Mutex
	stuck  bool
	sticks bool // at the first entry that it is given
	held   []func()
}

func (s *stuckStore) Commit(ops []persister.Op, done func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck = s.stuck || s.sticks && slices.ContainsFunc(ops, func(o persister.Op) bool { return len(o.Blocks) > 0 })
	if s.stuck {
		s.held = append(s.held, func() { s.Store.Commit(ops, done) })
		return
	}
	s.Store.Commit(ops, done)
}

func (s *stuckStore) set(stuck bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck, s.sticks = stuck, false
	if stuck {
		return
	}
	for _, write := range s.held {
		write()
	}
	s.held = nil
}

// startStuck starts one of three replicas on a store, among peers who are willing.
func startStuck(t *testing.T, store *stuckStore, limit func(*actors.GroupConfig)) *actors.Group {
	t.Helper()
	disk, err := persister.Open(persister.Config{Dir: t.TempDir(), Cluster: "t", Node: 1, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	store.Store = disk
	system := newSystem()
	h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "t", Store: store, Transport: willing(system), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(withDeadline(t)); err != nil {
			t.Error(err)
		}
	})
	cfg := actors.GroupConfig{Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: steady, StateMachine: func() actors.StateMachine { return &ledger{} }}
	cfg.BusyWait = -1
	limit(&cfg)
	g, err := actors.StartGroup(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// The entry that a leader begins its term with is nobody's proposal: while it is on its way to the disk, as many proposals are taken as the limit says.
func TestNoOpTakesNobodysRoom(t *testing.T) {
	const limit = 4
	store := &stuckStore{sticks: true}
	g := startStuck(t, store, func(c *actors.GroupConfig) { c.MaxInflightEntries = limit })
	await(t, "leads", func() bool { s := g.Status(); return s.Role == raft.Leader && s.Commit == s.Last })
	if s := g.Status(); s.Durable >= s.Last {
		t.Fatalf("the disk is not stuck: %+v", s)
	}
	for i := range limit {
		if _, err := g.Propose(withDeadline(t), []byte("x")); err != nil {
			t.Fatalf("proposal %d of %d: %v", i+1, limit, err)
		}
	}
	if _, err := g.Propose(withDeadline(t), []byte("x")); !errors.Is(err, actors.ErrBusy) {
		t.Errorf("one more than the limit: %v", err)
	}
	store.set(false)
}

// A leader whose disk is stuck, while a quorum of others confirms all that it sends, commits without its own disk. What has not reached that disk
// is all in memory: the limits of what may be in flight hold for it too.
func TestLeaderWithAStuckDiskTakesNoMoreThanTheLimit(t *testing.T) {
	for name, limit := range map[string]func(*actors.GroupConfig){
		"entries": func(c *actors.GroupConfig) { c.MaxInflightEntries = 20 },
		"bytes":   func(c *actors.GroupConfig) { c.MaxInflightBytes = 20_000 },
	} {
		t.Run(name, func(t *testing.T) {
			store := &stuckStore{}
			g := startStuck(t, store, limit)
			await(t, "leads", func() bool {
				s := g.Status()
				return s.Role == raft.Leader && s.Durable == s.Last && s.Commit == s.Last
			})
			store.set(true)
			taken, err := 0, error(nil)
			for ; taken < 100 && err == nil; taken++ {
				_, err = g.Propose(withDeadline(t), make([]byte, 1_000))
			}
			s := g.Status()
			if n := s.Last - s.Durable; !errors.Is(err, actors.ErrBusy) || n > 21 {
				t.Errorf("after %d proposals: %v, with %d entries that are not on disk", taken, err, n)
			}
			if taken < 15 {
				t.Errorf("only %d proposals were taken", taken)
			}
			store.set(false)
			await(t, "the disk has it all", func() bool { s := g.Status(); return s.Durable == s.Last })
			if _, err := g.Propose(withDeadline(t), []byte("x")); err != nil {
				t.Error(err)
			}
		})
	}
}
