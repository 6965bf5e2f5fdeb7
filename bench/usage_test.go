package main

import (
	"math"
	"testing"
	"time"
)

func TestOthersShareOfTheMachine(t *testing.T) {
	before := usage{cpu: 10 * time.Second, busy: 100, cores: 4}
	for name, test := range map[string]struct {
		after usage
		want  float64
	}{
		"half": {usage{cpu: 12 * time.Second, busy: 106, cores: 4}, 0.5},
		"none": {usage{cpu: 12 * time.Second, busy: 102, cores: 4}, 0},
		"less": {usage{cpu: 12 * time.Second, busy: 101.9, cores: 4}, 0},
	} {
		if got := test.after.others(before, 2*time.Second); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	before.busy = unknown
	if got := before.others(before, time.Second); !math.IsNaN(got) {
		t.Errorf("%v of an unknown machine", got)
	}
}

func TestUsedIsPlausible(t *testing.T) {
	u, err := used(t.TempDir())
	if err != nil || u.cpu <= 0 || u.allocs == 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if u.busy < u.cpu.Seconds()/2 || u.cores < 1 || resident() < 1<<20 { // none of which holds for what is unknown
		t.Errorf("%+v, %v bytes resident", u, resident())
	}
}
