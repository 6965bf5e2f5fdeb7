package journal

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/troupe-raft/troupe/internal/sectors"
)

// survives runs something until a crash comes, and then has the disk keep what a draw says. False: no crash came.
func (r *rig) survives(left int, random *rand.Rand, run func()) (cut bool) {
	r.disk.Left = left
	defer func() {
		r.disk.Left = 0
		switch reason := recover(); reason {
		case nil:
		case sectors.Crashed{}:
			cut = true
			r.crash(random)
		default:
			panic(reason)
		}
	}()
	run()
	return false
}

// crash is a power cut, or a kill, which leaves what was written in a cache.
func (r *rig) crash(random *rand.Rand) {
	switch random.IntN(4) {
	case 0:
		r.disk.Kill()
	case 1:
		r.disk.Crash(func(sectors.Place) bool { return false })
	case 2:
		r.disk.Crash(func(sectors.Place) bool { return true })
	default:
		r.disk.Crash(func(sectors.Place) bool { return random.IntN(2) == 0 })
	}
}

// step does something that a host does.
func (r *rig) step(random *rand.Rand) {
	switch random.IntN(10) {
	case 0:
		r.settle()
		r.idle([]Kind{Idle, Close}[random.IntN(2)])
	case 1, 2:
		r.settle()
	case 3:
		r.write(1 + random.IntN(3))
	default:
		most := []int{20, 600, 4_000, MaxPayload(testSize)}[random.IntN(4)]
		r.append(words(random, 1+most/2), words(random, 1+most/2))
	}
}

// TestCrashes has journals crash at any operation, of writing, turning, growing, moving and opening, again and again.
// None is refused, and nothing that was acknowledged is lost.
func TestCrashes(t *testing.T) {
	runs, crashes := 30, 200
	if raced {
		runs = 3
	}
	reused := 0
	for seed := range uint64(runs) {
		random := rand.New(rand.NewPCG(7, seed))
		r := newRig(t)
		r.limit, r.depth = 3+random.IntN(3), 1+random.IntN(8)
		r.open()
		for n := range crashes {
			most := []int{3, 12, 60, 200}[random.IntN(4)]
			for cut := false; !cut; {
				cut = r.survives(1+random.IntN(most), random, func() {
					for range 50 {
						r.step(random)
					}
				})
			}
			for r.survives(random.IntN(12), random, func() {
				if err := r.tryOpen(); err != nil {
					panic(fmt.Sprintf("seed %d, crash %d: %v", seed, n, err))
				}
			}) {
			}
		}
		if r.kept > 0 {
			reused++
		}
	}
	if reused < runs/2 {
		t.Errorf("segments were used again in %d of %d runs", reused, runs)
	}
}
