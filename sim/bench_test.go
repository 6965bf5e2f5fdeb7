package sim

import "testing"

// TestBenches plays each of them often.
func TestBenches(t *testing.T) {
	for i, one := range benches {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			system := benchSystem()
			for seed := range uint64(20) {
				s := New(Config{Seed: seed, Quiet: true})
				if s.playBench(i, s.rand("bench"), system); s.check.first != nil {
					t.Fatalf("seed %d: %v", seed, s.check.first)
				}
			}
		})
	}
}
