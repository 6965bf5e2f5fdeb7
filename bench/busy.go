package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/stage"
)

// busyOptions is what the command line of `bench busy` asks for.
type busyOptions struct {
	cases   []string
	busy    int           // groups whose Apply takes long
	clients int           // of each
	apply   time.Duration // that an Apply takes
	voters  int
	memory  bool
	loadOptions
}

// busyCases are what the busy groups do. The first is the measure of the others.
var busyCases = []string{"alone", "burn", "burn-unbounded", "cheap", "sleep", "sleep-waits", "hang"}

const busyHeader = "| busy groups | their writes/s | quiet writes/s | of alone | p50 | p99 | elections: quiet group | busy groups | heap MB |\n" +
	"|---|--:|--:|--:|--:|--:|--:|--:|--:|\n"

// runBusy is `bench busy`: groups whose Apply burns the processor, waits or hangs, and what is left to one beside them.
func runBusy(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseBusy(args, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "GOMAXPROCS %d, %d hosts in this process, %d busy groups of %d clients, Apply %v, one client of a quiet group, in memory: %v\n\n"+busyHeader,
		runtime.GOMAXPROCS(0), o.voters, o.busy, o.clients, o.apply, o.memory)
	var alone, burnt float64
	for _, what := range o.cases {
		r, err := busyRound(ctx, o, what, burnt)
		if err != nil {
			return fmt.Errorf("bench: %s: %w", what, err)
		}
		switch what {
		case "alone":
			alone = r.quiet.ops
		case "burn":
			burnt = r.busy
		}
		share := "-"
		if alone > 0 {
			share = fmt.Sprintf("%.2f", r.quiet.ops/alone)
		}
		fmt.Fprintf(stdout, "| %s | %.0f | %.0f | %s | %s | %s | %d | %d | %d |\n", what, r.busy, r.quiet.ops, share, millis(r.quiet.p50), millis(r.quiet.p99),
			r.elections[0], r.elections[1], r.heap>>20)
	}
	return nil
}

func parseBusy(args []string, stderr io.Writer) (o busyOptions, err error) {
	fs := o.flags("busy", "case", 5, stderr)
	cases := fs.String("cases", "alone,burn,burn-unbounded,cheap,sleep,sleep-waits,hang", "comma-separated `cases`")
	fs.IntVar(&o.busy, "busy", 8, "`number` of busy groups")
	fs.IntVar(&o.clients, "clients", 4, "`number` of clients of each busy group, who write as much as they can")
	fs.DurationVar(&o.apply, "apply", time.Millisecond, "what a busy group's Apply takes; a `duration`")
	fs.IntVar(&o.voters, "voters", 3, "`number` of hosts, each of which votes in every group")
	fs.BoolVar(&o.memory, "memory", false, "no disk: what is left is the processors' share")
	if err := o.parse(fs, args); err != nil {
		return o, err
	}
	if o.cases, err = chosen("cases", *cases, busyCases); err != nil {
		return o, err
	}
	if o.busy < 1 || o.clients < 1 || o.apply < 0 || o.voters < 1 || o.voters > 9 {
		return o, fmt.Errorf("%w: no flag below 1, nine -voters at most", errUsage)
	}
	return o, nil
}

// A busyResult is one case's.
type busyResult struct {
	busy      float64 // writes a second
	quiet     sample
	elections [2]int64 // of the quiet group, of the busy groups
	heap      uint64   // the most that was seen
}

// A busyLoad drives the clients of one case.
type busyLoad struct {
	cluster   *hostCluster
	phase     atomic.Int32
	latencies *latencies   // of the quiet group
	done      atomic.Int64 // by the busy groups
}

func busyRound(ctx context.Context, o busyOptions, what string, rate float64) (r busyResult, err error) {
	dir, err := os.MkdirTemp(o.dir, "bench-busy-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	runtime.GC()
	gone := make(chan struct{})
	c, err := startHosts(o.spec(what, dir, gone))
	if err != nil {
		return r, err
	}
	defer func() {
		close(gone)
		err = errors.Join(err, c.stop())
	}()
	l := &busyLoad{cluster: c, latencies: newLatencies()}
	return l.run(ctx, o, what, rate)
}

// spec is the cluster of one case. Its hosts share turns, as hosts of one process should.
func (o busyOptions) spec(what, dir string, gone <-chan struct{}) hostsSpec {
	turns := stage.TurnsConfig{}
	if what == "burn-unbounded" {
		turns.Most = 1 << 20
	}
	shared := stage.NewTurns(turns)
	work := workOf(o.apply)
	s := hostsSpec{dir: dir, voters: o.voters, first: o.busy, others: 1}
	if what == "alone" {
		s.first = 0
	}
	s.host = func(c *actors.HostConfig) {
		c.ApplyTurns = shared
		if o.memory {
			c.FS = vfs.NewMem()
		}
	}
	s.group = func(n int, c *actors.GroupConfig) {
		if n >= s.first {
			return
		}
		c.ApplyWaits = what == "sleep-waits"
		switch what {
		case "burn", "burn-unbounded":
			c.Apply = func(actors.Command) []byte { compute(work); return nil }
		case "sleep", "sleep-waits":
			c.Apply = func(actors.Command) []byte { time.Sleep(o.apply); return nil }
		case "hang":
			c.Apply = func(actors.Command) []byte { <-gone; return nil }
		}
	}
	return s
}

// compute keeps a processor busy.
func compute(work int) {
	x := uint64(1)
	for range work {
		x = x*6364136223846793005 + 1
	}
	runtime.KeepAlive(x)
}

// workOf is how much compute does in d on a processor of its own: the least of some measurements, as others may disturb one.
func workOf(d time.Duration) int {
	const probe = 1 << 20
	took := time.Hour
	for range 5 {
		start := time.Now()
		compute(probe)
		took = min(took, time.Since(start))
	}
	return int(float64(probe) * float64(d) / float64(max(took, 1)))
}

func (l *busyLoad) run(ctx context.Context, o busyOptions, what string, rate float64) (r busyResult, err error) {
	clients, end := context.WithCancel(ctx)
	defer end()
	var all sync.WaitGroup
	groups := l.cluster.groups
	last := len(groups) - 1
	pace := time.Duration(0) // of each client
	if what == "cheap" && rate > 0 {
		pace = time.Duration(float64(time.Second) * float64(last*o.clients) / rate)
	}
	for _, g := range groups[:last] {
		for range o.clients {
			all.Go(func() { l.busy(clients, g, pace) })
		}
	}
	all.Go(func() { l.quiet(clients, groups[last]) })
	err = pause(ctx, o.warmup)
	before, start := l.cluster.elected(), time.Now()
	l.phase.Store(measuring)
	for err == nil && time.Since(start).Seconds() < o.seconds {
		r.heap = max(r.heap, heapNow())
		err = pause(ctx, min(100*time.Millisecond, time.Duration(o.seconds*float64(time.Second))))
	}
	l.phase.Store(ending)
	elapsed := time.Since(start).Seconds()
	for i, n := range l.cluster.elected() {
		r.elections[i] = n - before[i]
	}
	end()
	all.Wait()
	r.busy = float64(l.done.Load()) / elapsed
	h := l.latencies.merged()
	r.quiet.ops = float64(h.TotalCount()) / elapsed
	r.quiet.p50 = time.Duration(h.ValueAtQuantile(50)) * time.Microsecond
	r.quiet.p99 = time.Duration(h.ValueAtQuantile(99)) * time.Microsecond
	return r, err
}

// busy writes as much as it can, or once in a pace.
func (l *busyLoad) busy(ctx context.Context, g *hostGroup, pace time.Duration) {
	data := make([]byte, 16)
	for next := time.Now(); ctx.Err() == nil; {
		if err := g.write(ctx, data); err == nil && l.phase.Load() == measuring {
			l.done.Add(1)
		}
		if next = next.Add(pace); pace > 0 {
			_ = pause(ctx, time.Until(next))
		}
	}
}

// quiet writes one after the other.
func (l *busyLoad) quiet(ctx context.Context, g *hostGroup) {
	data := make([]byte, 16)
	for ctx.Err() == nil {
		start := time.Now()
		if err := g.write(ctx, data); err == nil && l.phase.Load() == measuring {
			l.latencies.record(0, time.Since(start))
		}
	}
}
