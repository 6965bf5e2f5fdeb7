package sim

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Shrink looks for fewer faults and clients that break the same property, with the same seed, in at most so many runs. It returns the
// smallest run that it found, at worst the one that it was given.
func Shrink(found *Report, runs int) *Report {
	s := shrinker{best: found, left: runs, property: found.Violation.Property}
	s.fewerFaults()
	s.fewerClients()
	s.fewerFaults()
	return s.best
}

type shrinker struct {
	best     *Report
	left     int // runs
	property string
	tripwire func(*Sim) // of a test
}

// salts is how many orders of messages a smaller schedule is tried with: without a fault, all that comes after happens otherwise, and
// what took luck takes it again.
const salts = 24

// still reports whether a configuration breaks the property too; then it is the best.
func (s *shrinker) still(cfg Config) bool {
	for first := cfg.Salt; cfg.Salt < first+salts && s.left > 0; {
		batch := make([]*Report, min(runtime.GOMAXPROCS(0), s.left))
		var wait sync.WaitGroup
		for i := range batch {
			try := cfg
			try.Salt += uint64(i)
			wait.Go(func() { batch[i] = s.breaks(try) })
		}
		wait.Wait()
		s.left -= len(batch)
		for _, r := range batch {
			if r != nil {
				s.best = r
				return true
			}
		}
		cfg.Salt += uint64(len(batch))
	}
	return false
}

// breaks returns the report of a run that breaks the property, or nil.
func (s *shrinker) breaks(cfg Config) *Report {
	sim := New(cfg)
	if s.tripwire != nil {
		s.tripwire(sim)
	}
	r := sim.Run()
	if r.Violation == nil || r.Violation.Property != s.property {
		return nil
	}
	return r
}

// fewerFaults leaves out ever smaller parts of the faults that happened (Zeller's ddmin).
func (s *shrinker) fewerFaults() {
	for parts := 1; s.left > 0; {
		now := s.numbers()
		if len(now) == 0 || parts > len(now) {
			return
		}
		size := (len(now) + parts - 1) / parts
		smaller := false
		for from := 0; from < len(now) && !smaller; from += size {
			cfg := s.best.Config
			cfg.Only = slices.Concat(now[:from], now[min(from+size, len(now)):])
			smaller = s.still(cfg)
		}
		switch {
		case smaller:
			parts = max(1, parts-1)
		case parts == len(now):
			return
		default:
			parts = min(2*parts, len(now))
		}
	}
}

// numbers are the faults that happened in the best run. Empty, not nil: nil would stand for all.
func (s *shrinker) numbers() []int {
	out := []int{}
	for _, f := range s.best.Struck {
		out = append(out, f.Number)
	}
	slices.Sort(out)
	return out
}

func (s *shrinker) fewerClients() {
	for s.best.Config.Clients > 1 {
		cfg := s.best.Config
		cfg.Clients--
		if !s.still(cfg) {
			return
		}
	}
}

// Command is what repeats the run.
func (r *Report) Command() string {
	c := r.Config
	var b strings.Builder
	fmt.Fprintf(&b, "go run ./sim/soak replay --seed %d", c.Seed)
	if c.Salt != 0 {
		fmt.Fprintf(&b, " --salt %d", c.Salt)
	}
	if c.Liveness {
		b.WriteString(" --liveness")
	}
	if c.Clients != defaultClients {
		fmt.Fprintf(&b, " --clients %d", c.Clients)
	}
	if c.Only != nil {
		var only []string
		for _, i := range c.Only {
			only = append(only, fmt.Sprint(i))
		}
		fmt.Fprintf(&b, " --only=%s", strings.Join(only, ","))
	}
	return b.String()
}

// Schedule lists the faults that happened, one a line.
func (r *Report) Schedule() string {
	var b strings.Builder
	for _, f := range r.Struck {
		fmt.Fprintf(&b, "  fault %-4d %v\n", f.Number, f.Fault)
	}
	if r.Violation != nil {
		fmt.Fprintf(&b, "  violated   %v %v\n", r.Violation.At.Round(time.Microsecond), r.Violation)
	}
	return b.String()
}
