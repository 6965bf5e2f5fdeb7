package main

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/troupe-raft/troupe/sim"
)

// A watchdog knows what runs, by the machine's clock. A run takes seconds; one that takes minutes turns in a circle within one step,
// where no check of the simulator can see it and nothing can end it but the end of the process.
type watchdog struct {
	patience time.Duration // until a run is named, and from then to the next time
	limit    time.Duration // of a run

	mu      sync.Mutex
	running map[uint64]*running
}

type running struct {
	what  string
	began time.Time
	named time.Time // or when it began
}

func newWatchdog(patience, limit time.Duration) *watchdog {
	return &watchdog{patience: patience, limit: limit, running: map[uint64]*running{}}
}

// begin notes that a run of a number begins.
func (w *watchdog) begin(n uint64, cfg sim.Config) (began time.Time) {
	began = time.Now()
	w.started(n, (&sim.Report{Config: cfg}).Command(), began)
	return began
}

func (w *watchdog) started(n uint64, what string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[n] = &running{what: what, began: at, named: at}
}

// end notes that it is over.
func (w *watchdog) end(n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, n)
}

// look names what has run for long, and everything, with the stacks of all goroutines, as soon as something runs beyond the limit: an
// error then.
func (w *watchdog) look(out io.Writer, now time.Time) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range slices.Sorted(maps.Keys(w.running)) {
		r := w.running[n]
		took := now.Sub(r.began)
		if took >= w.limit {
			err = fmt.Errorf("a run does not end, after %v: %s", took.Round(time.Second), r.what)
		}
		if now.Sub(r.named) >= w.patience || took >= w.limit {
			r.named = now
			fmt.Fprintf(out, "still running, since %s, for %v: %s\n", r.began.Format(time.TimeOnly), took.Round(time.Second), r.what)
		}
	}
	if err != nil {
		fmt.Fprintf(out, "\n%s\n", stacks())
	}
	return err
}

// stacks are those of all goroutines.
func stacks() []byte {
	for size := 1 << 20; ; size *= 2 {
		b := make([]byte, size)
		if n := runtime.Stack(b, true); n < size || size >= 64<<20 {
			return b[:n]
		}
	}
}
