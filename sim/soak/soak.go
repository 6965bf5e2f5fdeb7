package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-raft/troupe/sim"
	"github.com/troupe-raft/troupe/sim/exit"
)

type options struct {
	minutes  float64
	runs     int
	seed     uint64
	workers  int
	mode     string
	progress time.Duration
	shrink   time.Duration
	patience time.Duration // with one run, before it is named
	limit    time.Duration // of one run
	run      func(sim.Config) *sim.Report
}

func (o *options) validate() error {
	switch {
	case o.mode != "both" && o.mode != "safety" && o.mode != "liveness":
		return fmt.Errorf("--mode %q is none of safety, liveness and both", o.mode)
	case o.workers < 1:
		return fmt.Errorf("--workers %d: at least 1 is needed", o.workers)
	case o.minutes <= 0 && o.runs <= 0:
		return fmt.Errorf("neither --minutes nor --runs is above 0: nothing to do")
	case o.progress <= 0:
		return fmt.Errorf("--progress %v is not above 0", o.progress)
	case o.patience <= 0 || o.limit < o.patience:
		return fmt.Errorf("--patience %v is not above 0, or --limit %v is below it", o.patience, o.limit)
	}
	return nil
}

// config is the run of a number, counted from 0.
func (o *options) config(n uint64) sim.Config {
	switch o.mode {
	case "safety":
		return sim.Config{Seed: o.seed + n}
	case "liveness":
		return sim.Config{Seed: o.seed + n, Liveness: true}
	}
	return sim.Config{Seed: o.seed + n/2, Liveness: n%2 == 1}
}

// A tally sums up the runs of all workers.
type tally struct {
	mu     sync.Mutex
	runs   int
	steps  uint64
	busy   time.Duration // of all workers
	calls  int
	vague  []string // runs whose clients' answers were too hard to judge: why, and how to repeat them
	counts map[string]int
	bad    *sim.Report // the first that violated a property
}

func (t *tally) add(r *sim.Report, d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runs++
	t.steps += r.Steps
	t.busy += d
	t.calls += r.Ended
	if r.Unjudged != "" {
		t.vague = append(t.vague, r.Unjudged+": "+r.Command())
	}
	for k, n := range r.Counts {
		t.counts[k] += n
	}
	if r.Violation != nil && t.bad == nil {
		t.bad = r
	}
}

// line is what is said from time to time. A worker has a core of its own at best: on a busy machine the rate is lower.
func (t *tally) line(elapsed time.Duration) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%6.0fs  %d runs, %d client operations, %d messages delivered: %.0f a second, %.0f a second and worker",
		elapsed.Seconds(), t.runs, t.calls, t.steps, float64(t.steps)/elapsed.Seconds(), float64(t.steps)/max(t.busy.Seconds(), 1e-9))
}

// soak runs seed after seed.
func (o *options) soak(out io.Writer) error {
	if err := o.validate(); err != nil {
		return err
	}
	fmt.Fprintf(out, "seeds from %d on, mode %s, %d at once\n", o.seed, o.mode, o.workers)
	start := time.Now()
	t, w := &tally{counts: map[string]int{}}, newWatchdog(o.patience, o.limit)
	done := o.work(start, t, w)
	tick, look := time.NewTicker(o.progress), time.NewTicker(min(o.patience, time.Second))
	defer tick.Stop()
	defer look.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintln(out, t.line(time.Since(start)))
		case now := <-look.C:
			if err := w.look(out, now); err != nil {
				return err
			}
		case <-done:
			return o.conclude(out, t, time.Since(start))
		}
	}
}

// work starts the workers and returns what is closed when all have ended.
func (o *options) work(start time.Time, t *tally, w *watchdog) (done chan struct{}) {
	var next atomic.Uint64
	var stop atomic.Bool
	over := func(n uint64) bool {
		if o.runs > 0 {
			return n >= uint64(o.runs)
		}
		return time.Since(start).Minutes() >= o.minutes
	}
	var workers sync.WaitGroup
	for range o.workers {
		workers.Go(func() {
			for n := next.Add(1) - 1; !over(n) && !stop.Load(); n = next.Add(1) - 1 {
				began := w.begin(n, o.config(n))
				r := o.run(o.config(n))
				w.end(n)
				t.add(r, time.Since(began))
				if r.Violation != nil {
					stop.Store(true)
				}
			}
		})
	}
	done = make(chan struct{})
	go func() { workers.Wait(); close(done) }()
	return done
}

// conclude says what all runs came to.
func (o *options) conclude(out io.Writer, t *tally, elapsed time.Duration) error {
	fmt.Fprintln(out, t.line(elapsed))
	if t.bad == nil {
		for _, k := range slices.Sorted(maps.Keys(t.counts)) {
			fmt.Fprintf(out, "  %8d  %s\n", t.counts[k], k)
		}
		for _, run := range t.vague {
			fmt.Fprintf(out, "NOT JUDGED: %s\n", run)
		}
		fmt.Fprintf(out, "no property was violated; %d of %d runs could not be judged by what their clients were told\n", len(t.vague), t.runs)
		return nil
	}
	fmt.Fprintf(out, "\n%v\n\nlooking for a smaller schedule …\n", t.bad)
	small := o.smaller(out, t.bad)
	fmt.Fprintf(out, "\nseed %d violated %q with %d faults and %d clients:\n%s\nto see it again:\n  %s --trace\n",
		small.Config.Seed, small.Violation.Property, len(small.Struck), small.Config.Clients, small.Schedule(), small.Command())
	return exit.ErrFound
}

// smaller shrinks a schedule. It makes do with the one that was found if a smaller one does not come to an end.
func (o *options) smaller(out io.Writer, found *sim.Report) *sim.Report {
	small := make(chan *sim.Report, 1)
	go func() { small <- sim.Shrink(found, o.shrink) }()
	select {
	case r := <-small:
		return r
	case <-time.After(o.shrink + o.limit):
		fmt.Fprintf(out, "a run of a smaller schedule does not end:\n%s\n", stacks())
		return found
	}
}
