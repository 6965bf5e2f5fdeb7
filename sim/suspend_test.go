package sim

import (
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// deposedUnawares isolates the leader of a fresh cluster, lets strike happen to it, and returns it when another one has committed.
func deposedUnawares(t *testing.T, s *Sim, strike func(old *node)) *node {
	t.Helper()
	s.until(func() bool { return s.leader() != nil && len(s.check.log) > 20 && s.leader().life.holdsLease() })
	old := s.leader()
	term, began := old.life.view.term, s.clock.Now()
	for _, id := range s.ids {
		if id != old.id {
			s.net.links[Link{old.id, id}], s.net.links[Link{id, old.id}] = Weather{Cut: true}, Weather{Cut: true}
		}
	}
	strike(old)
	s.until(func() bool { return s.check.log[len(s.check.log)-1].by > term || s.clock.Now() > began+10*time.Second })
	if s.check.log[len(s.check.log)-1].by == term {
		t.Fatalf("seed %d: nobody else commits", s.cfg.Seed)
	}
	return old
}

// stale asks a node that can reach nobody for a lease read and reports whether it answers.
func (s *Sim) stale(n *node) (answered bool) {
	n.life.ask(&actors.Read{Lease: true}, func(answer any) { _, refused := answer.(*actors.Refused); answered = !refused })
	began := s.clock.Now()
	s.until(func() bool { return answered || s.clock.Now() > began+100*time.Millisecond })
	return answered
}

// TestSuspendedLeaderReadsNothing: a leader whose machine was suspended, so that its monotonic clock knows nothing of the time that passed, answers no
// lease read from what it had before; nor does one whose clock stands still while it goes on.
func TestSuspendedLeaderReadsNothing(t *testing.T) {
	for seed := range uint64(20) {
		s := New(Config{Seed: seed, Nodes: 3 + 2*int(seed%2), Spares: -1, Quiet: true, Length: time.Minute})
		s.guarded(func() {
			wake := func() {}
			old := deposedUnawares(t, s, func(old *node) {
				goOn := old.life.stage.StandStill()
				if seed%4 < 2 {
					old.life.stage.Freeze()
				}
				wake = old.life.hold(func() { goOn(); old.life.stage.Thaw() })
			})
			if seed%4 < 2 {
				wake()
			}
			if s.stale(old) {
				t.Errorf("seed %d: answered", seed)
			}
			wake()
		})
		complain(t, s.report())
	}
}

// TestLeaseByTheFollowersPromise: nodes differ in their election timeouts, as while a new configuration is rolled out. A leader's lease is over
// before the quickest of its followers elects another.
func TestLeaseByTheFollowersPromise(t *testing.T) {
	patience := func(id raft.NodeID, _ int) pacing {
		if id == 1 {
			return pacing{timeout: election.Timeout{Min: 2 * time.Second, Max: 3 * time.Second}, heartbeat: 30 * time.Millisecond, drift: 20 * time.Millisecond}
		}
		return pacing{timeout: election.Timeout{Min: 100 * time.Millisecond, Max: 200 * time.Millisecond}, heartbeat: 30 * time.Millisecond}
	}
	for seed := range uint64(20) {
		s := newPaced(Config{Seed: seed, Nodes: 3 + 2*int(seed%2), Spares: -1, Quiet: true, Length: time.Minute}, patience)
		s.guarded(func() {
			s.until(func() bool { return s.leader() != nil })
			if l := s.leader(); l.id != 1 {
				s.operate(Fault{Kind: Transfer, A: 1})
			}
			s.until(func() bool { return s.leader() != nil && s.leader().id == 1 && s.leader().life.holdsLease() })
			if old := deposedUnawares(t, s, func(*node) {}); old.id != 1 || s.stale(old) {
				t.Errorf("seed %d: node %d answered", seed, old.id)
			}
		})
		complain(t, s.report())
	}
}
