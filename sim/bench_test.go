package sim

import "testing"

// TestBenches plays each of them often.
func TestBenches(t *testing.T) {
	for i, one := range benches {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			playOften(t, i)
		})
	}
}

func playOften(t *testing.T, i int) {
	system := benchSystem()
	for seed := range uint64(20) {
		s := New(Config{Seed: seed, Quiet: true})
		if s.playBench(i, s.rand("bench"), system); s.check.first != nil {
			t.Fatalf("seed %d: %v", seed, s.check.first)
		}
	}
}

// TestFoundersOfOthersAreShown: the status of a replica says with whom a node was founded as soon as that has told it.
func TestFoundersOfOthersAreShown(t *testing.T) {
	found := false
	for i, one := range benches {
		if one.name == "nodes were founded with others" {
			found = true
			playOften(t, i)
		}
	}
	if !found {
		t.Error("there is no such play")
	}
}
