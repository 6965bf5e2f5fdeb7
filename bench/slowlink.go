package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// slowOptions is what the command line of `bench slowlink` asks for.
type slowOptions struct {
	rates   []float64 // bytes a second into each node; 0: no limit
	bulk    int       // groups that write much
	quiet   int       // groups that write little
	clients int       // of each bulk group
	size    int       // bytes of their entries
	loadOptions
}

const slowHeader = "| link MB/s | bulk MB/s | of the link | elections: quiet groups | bulk groups | quiet writes/s | p50 | p99 | failed |\n" +
	"|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"

// runSlowLink is `bench slowlink`: groups that write as much as they can over a slow link, and what becomes of the others there.
func runSlowLink(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseSlow(args, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "GOMAXPROCS %d, three hosts in this process, %d bulk groups of %d clients and %d quiet groups, all led by one host\n\n"+slowHeader,
		runtime.GOMAXPROCS(0), o.bulk, o.clients, o.quiet)
	for _, rate := range o.rates {
		r, err := slowRound(ctx, o, rate)
		if err != nil {
			return fmt.Errorf("bench: %.1f MB/s: %w", rate/1e6, err)
		}
		link, share := "no limit", "-"
		if rate > 0 {
			link, share = fmt.Sprintf("%.1f", rate/1e6), fmt.Sprintf("%.2f", r.bulk/rate)
		}
		fmt.Fprintf(stdout, "| %s | %.1f | %s | %d | %d | %.0f | %s | %s | %d |\n", link, r.bulk/1e6, share, r.elections[0], r.elections[1],
			r.quiet.ops, millis(r.quiet.p50), millis(r.quiet.p99), r.failed)
	}
	return nil
}

func parseSlow(args []string, stderr io.Writer) (o slowOptions, err error) {
	fs := o.flags("slowlink", "link", 10, stderr)
	rates := fs.String("rates", "0,100,12.5", "comma-separated rates of the links in `MB/s`; 0: no limit")
	fs.IntVar(&o.bulk, "bulk", 2, "`number` of groups that write as much as they can")
	fs.IntVar(&o.quiet, "quiet", 20, "`number` of groups that write 16 bytes now and then")
	fs.IntVar(&o.clients, "clients", 64, "`number` of clients of each bulk group")
	fs.IntVar(&o.size, "size", 64<<10, "payload of a bulk group's entry in `bytes`")
	if err := o.parse(fs, args); err != nil {
		return o, err
	}
	if o.rates, err = floats("rates", *rates, 0, math.MaxFloat64); err != nil {
		return o, err
	}
	for i := range o.rates {
		o.rates[i] *= 1e6
	}
	if o.bulk < 1 || o.quiet < 0 || o.clients < 1 || o.size < 1 || o.size > maxPayload {
		return o, fmt.Errorf("%w: no flag below 1, and no -size above %d", errUsage, maxPayload)
	}
	return o, nil
}

// A slowResult is one link's.
type slowResult struct {
	bulk      float64 // payload bytes a second
	quiet     sample
	failed    int64
	elections [2]int64 // of the quiet groups, of the bulk groups
}

func slowRound(ctx context.Context, o slowOptions, rate float64) (r slowResult, err error) {
	dir, err := os.MkdirTemp(o.dir, "bench-slowlink-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	runtime.GC()
	c, err := startHosts(hostsSpec{dir: dir, voters: voters, first: o.bulk, others: o.quiet, linked: true, rate: rate})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	l := &slowLoad{cluster: c, latencies: newLatencies()}
	return l.run(ctx, o)
}

// A slowLoad drives the clients of one round.
type slowLoad struct {
	cluster   *hostCluster
	phase     atomic.Int32
	latencies *latencies   // of the quiet groups
	failed    atomic.Int64 // of the quiet groups
	bytes     atomic.Int64 // of the bulk groups
}

func (l *slowLoad) run(ctx context.Context, o slowOptions) (r slowResult, err error) {
	clients, end := context.WithCancel(ctx)
	defer end()
	var all sync.WaitGroup
	data := make([]byte, o.size)
	for i, g := range l.cluster.groups {
		if i >= o.bulk {
			all.Go(func() { l.quiet(clients, g) })
			continue
		}
		for range o.clients {
			all.Go(func() { l.bulk(clients, g, data) })
		}
	}
	err = pause(ctx, o.warmup)
	before, start := l.cluster.elected(), time.Now()
	l.phase.Store(measuring)
	err = errors.Join(err, pause(ctx, time.Duration(o.seconds*float64(time.Second))))
	l.phase.Store(ending)
	elapsed := time.Since(start).Seconds()
	for i, n := range l.cluster.elected() {
		r.elections[i] = n - before[i]
	}
	end()
	all.Wait()
	r.bulk, r.failed = float64(l.bytes.Load())/elapsed, l.failed.Load()
	h := l.latencies.merged()
	r.quiet.ops = float64(h.TotalCount()) / elapsed
	r.quiet.p50 = time.Duration(h.ValueAtQuantile(50)) * time.Microsecond
	r.quiet.p99 = time.Duration(h.ValueAtQuantile(99)) * time.Microsecond
	return r, err
}

func (l *slowLoad) bulk(ctx context.Context, g *hostGroup, data []byte) {
	for ctx.Err() == nil {
		if err := g.write(ctx, data); err == nil && l.phase.Load() == measuring {
			l.bytes.Add(int64(len(data)))
		}
	}
}

// quiet writes some 20 times a second.
func (l *slowLoad) quiet(ctx context.Context, g *hostGroup) {
	data := make([]byte, 16)
	for pause(ctx, 50*time.Millisecond) == nil {
		start := time.Now()
		err := g.write(ctx, data)
		if l.phase.Load() != measuring || ctx.Err() != nil {
			continue
		}
		if err != nil {
			l.failed.Add(1)
		} else {
			l.latencies.record(0, time.Since(start))
		}
	}
}
