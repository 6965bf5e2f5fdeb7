package sim

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Shrink looks for fewer faults and clients that break the same property, with the same seed. It returns the smallest run that it found
// within the time, at worst the one that it was given.
func Shrink(found *Report, within time.Duration) *Report {
	s := shrinker{best: found, property: found.Violation.Property, deadline: time.Now().Add(within)}
	s.shrink()
	return s.best
}

type shrinker struct {
	best     *Report
	deadline time.Time
	property string
	salts    uint64     // orders of messages that each smaller schedule is tried with
	tripwire func(*Sim) // of a test
}

// shrink goes over the faults again and again, each time with more patience: without a fault, all that comes after happens otherwise, and
// what took luck takes it again. A violation that takes none shrinks at once.
func (s *shrinker) shrink() {
	for s.salts = 2; s.salts <= 512 && !s.late(); s.salts *= 8 {
		s.fewerFaults()
		s.fewerClients()
	}
}

func (s *shrinker) late() bool { return !time.Now().Before(s.deadline) }

// still reports whether a configuration breaks the property too; then it is the best.
func (s *shrinker) still(cfg Config) bool {
	for first := cfg.Salt; cfg.Salt < first+s.salts && !s.late(); {
		batch := make([]*Report, runtime.GOMAXPROCS(0))
		var wait sync.WaitGroup
		for i := range batch {
			try := cfg
			try.Salt += uint64(i)
			wait.Go(func() { batch[i] = s.breaks(try) })
		}
		wait.Wait()
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

// fewerFaults leaves out ever smaller parts of the faults that happened (Zeller's ddmin), the last ones first: what happened before
// them stays as it was.
func (s *shrinker) fewerFaults() {
	for parts := 1; !s.late(); {
		now := s.numbers()
		if len(now) == 0 {
			return
		}
		parts = min(parts, len(now))
		size := (len(now) + parts - 1) / parts
		smaller := false
		for to := len(now); to > 0 && !smaller; to -= size {
			cfg := s.best.Config
			cfg.Only = slices.Concat(now[:max(0, to-size)], now[to:])
			if cfg.Only == nil { // which would stand for all
				cfg.Only = []int{}
			}
			smaller = s.still(cfg)
		}
		switch {
		case smaller:
			parts = max(1, parts-1)
		case parts == len(now):
			return
		default:
			parts *= 2
		}
	}
}

// numbers are the faults that happened in the best run, in their order. Empty, not nil: nil would stand for all.
func (s *shrinker) numbers() []int {
	out := []int{}
	for _, f := range s.best.Struck {
		out = append(out, f.Number)
	}
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
