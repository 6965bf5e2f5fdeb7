package actors_test

import (
	"errors"
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
	mu    sync.Mutex
	stuck bool
	held  []func()
}

func (s *stuckStore) Commit(ops []persister.Op, done func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stuck {
		s.held = append(s.held, func() { s.Store.Commit(ops, done) })
		return
	}
	s.Store.Commit(ops, done)
}

func (s *stuckStore) set(stuck bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stuck = stuck
	if stuck {
		return
	}
	for _, write := range s.held {
		write()
	}
	s.held = nil
}

// A leader whose disk is stuck, while a quorum of others confirms all that it sends, commits without its own disk. What has not reached that disk
// is all in memory: the limits of what may be in flight hold for it too.
func TestLeaderWithAStuckDiskTakesNoMoreThanTheLimit(t *testing.T) {
	for name, limit := range map[string]func(*actors.GroupConfig){
		"entries": func(c *actors.GroupConfig) { c.MaxInflightEntries = 20 },
		"bytes":   func(c *actors.GroupConfig) { c.MaxInflightBytes = 20_000 },
	} {
		t.Run(name, func(t *testing.T) {
			disk, err := persister.Open(persister.Config{Dir: t.TempDir(), Cluster: "t", Node: 1, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			store, system := &stuckStore{Store: disk}, newSystem()
			h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "t", Store: store, Transport: willing(system), Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Stop(withDeadline(t))
			cfg := actors.GroupConfig{Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: steady, StateMachine: func() actors.StateMachine { return &ledger{} }}
			limit(&cfg)
			g, err := actors.StartGroup(h, cfg)
			if err != nil {
				t.Fatal(err)
			}
			await(t, "leads", func() bool {
				s := g.Status()
				return s.Role == raft.Leader && s.Durable == s.Last && s.Commit == s.Last
			})
			store.set(true)
			taken := 0
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
