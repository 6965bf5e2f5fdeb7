package sim

import (
	"errors"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// withNeighbours is a run whose hosts have further groups, which have worked for a while.
func withNeighbours(t *testing.T) *Sim {
	t.Helper()
	cfg := Config{Nodes: 3, Spares: -1}
	for cfg.Seed = 1; cfg.neighbours() < 2; cfg.Seed++ {
	}
	cfg.Faults, cfg.Only = []Fault{}, []int{}
	s := New(cfg)
	s.until(func() bool {
		return s.clock.Now() > 2*time.Second && s.neighbours[0].acked > 3 && s.neighbours[1].acked > 3
	})
	if s.check.first != nil {
		t.Fatal(s.check.first)
	}
	return s
}

// TestNeighboursAreJudged: what a group must not do is found in those beside the first, too.
func TestNeighboursAreJudged(t *testing.T) {
	for property, forge := range map[string]func(g *neighbour, m *neighbourly){
		"state machine safety": func(g *neighbour, m *neighbourly) { m.Apply(actors.Command{Index: m.index, Data: []byte("another")}) },
		"each write happens once": func(g *neighbour, m *neighbourly) {
			g.places[hashOf([]byte("x"))] = 1
			m.Apply(actors.Command{Index: 9e9, Data: []byte("x")})
		},
		"each index is applied once, in order": func(g *neighbour, m *neighbourly) {
			delete(g.applied, m.index)
			m.Apply(actors.Command{Index: m.index, Data: []byte("x")})
		},
		"what is refused never happens": func(g *neighbour, m *neighbourly) {
			g.turnedAway(actors.ErrTooLarge, hashOf([]byte("x")), nil)
			m.Apply(actors.Command{Index: 9e9, Data: []byte("x")})
		},
		"replicas fail only with their disk": func(g *neighbour, m *neighbourly) {
			g.sim.event(&actors.ReplicaFailed{Node: m.life.node.id, Group: g.id, Reason: errors.New("of its own")})
		},
	} {
		t.Run(property, func(t *testing.T) {
			s := withNeighbours(t)
			g := s.neighbours[1]
			forge(g, g.copies[s.nodes[1].life])
			if s.check.first == nil || s.check.first.Property != property {
				t.Fatalf("the violation is %v", s.check.first)
			}
		})
	}
}

// TestNeighbourThatServesNobodyIsFound: in the calm, every group serves.
func TestNeighbourThatServesNobodyIsFound(t *testing.T) {
	s := withNeighbours(t)
	g := s.neighbours[0]
	g.served = s.clock.Now()
	if !g.serves(g.served-1) || g.serves(g.served) {
		t.Fatal("a group serves that acknowledged a write since")
	}
	for _, n := range s.nodes {
		n.gone = true
	}
	if !g.serves(g.served) {
		t.Fatal("a group without a majority cannot serve")
	}
}

// TestOnlyTheFirstGroupIsReadFromPulses: the heartbeats of several groups travel together.
func TestOnlyTheFirstGroupIsReadFromPulses(t *testing.T) {
	beat := func(g raft.GroupID) remote.Beat { return remote.Beat{Group: g} }
	own, ok := ofGroup(remote.Envelope{Message: &remote.Pulse{Beats: []remote.Beat{beat(2), beat(groupID), beat(3)}}})
	if p := own.Message.(*remote.Pulse); !ok || len(p.Beats) != 1 || p.Beats[0].Group != groupID {
		t.Fatalf("%v %+v", ok, p)
	}
	if _, ok = ofGroup(remote.Envelope{Message: &remote.Pulse{Beats: []remote.Beat{beat(2)}}}); ok {
		t.Fatal("no beat is of the first group")
	}
}
