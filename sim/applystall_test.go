package sim

import (
	"testing"
	"time"
)

const hangsFor = time.Minute

// TestHungApplyIsReplaced: when a leader's state machine hangs while those of others go on, another leads soon after the limit, once and for all.
func TestHungApplyIsReplaced(t *testing.T) {
	for seed := range uint64(10) {
		s := New(Config{Seed: seed, Nodes: 3 + 2*int(seed%2), Spares: -1, Quiet: true, Liveness: true, Length: hangsFor})
		s.guarded(func() {
			s.until(func() bool { return s.leader() != nil && len(s.check.log) > 20 })
			old := s.leader()
			elections, limit := s.check.elections, s.applyStall()
			s.hang(old, "applier.applier", hangsFor)
			began := s.clock.Now()
			s.until(func() bool { return s.leader() != old || s.clock.Now() > began+hangsFor })
			if took := s.clock.Now() - began; took > limit*3/2+longestTimeout+time.Second+2*s.turnStall() {
				t.Errorf("seed %d: another leads after %v, the limit is %v", seed, took, limit)
			}
			replaced := s.clock.Now()
			s.until(func() bool { return s.clock.Now() > replaced+2*limit })
			if n := s.check.elections - elections; n > 1 {
				t.Errorf("seed %d: %d elections", seed, n)
			}
			old.spare()
		})
		complain(t, s.report())
	}
}

// TestSlowEverywhereRotatesNobody: where every Apply takes longer than the limit, by about as much on every node, nobody hands over.
func TestSlowEverywhereRotatesNobody(t *testing.T) {
	tried := 0
	for seed := uint64(0); tried < 8; seed++ {
		s := New(Config{Seed: seed, Nodes: 3, Spares: -1, Quiet: true, Liveness: true, Length: 2 * hangsFor})
		if s.group().Tuning.ApplyStride != 1 { // several would be applied at a time, and take no longer than one
			continue
		}
		tried++
		s.guarded(func() {
			s.until(func() bool { return s.leader() != nil && len(s.check.log) > 20 })
			elections, limit := s.check.elections, s.applyStall()
			for _, id := range s.ids {
				s.nodes[id].linger = func() time.Duration { return limit + limit/5 + limit*time.Duration(s.rng.IntN(8))/100 }
			}
			began := s.clock.Now()
			s.until(func() bool { return s.clock.Now() > began+12*limit })
			if n := s.check.elections - elections; n > 0 || s.counts["a state machine was stuck"] == 0 {
				t.Errorf("seed %d: %d elections; %d replicas said that they are stuck, %d handed over", seed, n, s.counts["a state machine was stuck"], s.counts[handsOver])
			}
			for _, id := range s.ids {
				s.nodes[id].spare()
			}
		})
		complain(t, s.report())
	}
}
