package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// overloadOptions is what the command line of `bench overload` asks for.
type overloadOptions struct {
	closed []float64 // requests open in closed loops, in what a group takes; the first loop measures the capacity
	loads  []float64 // offered in open loops, in capacities
	paths  []string
	size   int // payload bytes
	again  bool
	loadOptions
}

// paths are the ways by which requests come.
var paths = []string{"facade", "actor", "facade-read", "actor-read"}

const overloadHeader = "| path | offered | offered/s | goodput/s | of the peak | refused/s | p50 | p99 | elections | heap MB |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n"

// mostOutstanding bounds what the generator has open at a time: beyond it a request counts as refused.
const mostOutstanding = 1 << 20

// runOverload is `bench overload`: requests come in closed loops of as many as a group takes and more, where whoever is refused as busy repeats at once, and
// in open loops, however many are answered, from half of what the cluster can do to many times as much.
func runOverload(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOverload(args, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "GOMAXPROCS %d, three voters in this process, %d bytes, repeat at once when busy: %v\n\n"+overloadHeader, runtime.GOMAXPROCS(0), o.size, o.again)
	for _, path := range o.paths {
		if err := overloadPath(ctx, o, path, stdout); err != nil {
			return fmt.Errorf("bench: %s: %w", path, err)
		}
	}
	return nil
}

func parseOverload(args []string, stderr io.Writer) (o overloadOptions, err error) {
	fs := o.flags("overload", "load", 5, stderr)
	loops := fs.String("closed", "1,4", "comma-separated numbers of requests open in closed loops, in `what a group takes`; the first loop measures the capacity")
	loads := fs.String("loads", "0.5,1,2,4,8", "comma-separated offered loads, in `capacities`")
	ways := fs.String("paths", strings.Join(paths, ","), "comma-separated `paths`")
	fs.IntVar(&o.size, "size", 128, "payload in `bytes`")
	fs.BoolVar(&o.again, "again", false, "whoever is refused as busy repeats at once")
	if err := o.parse(fs, args); err != nil {
		return o, err
	}
	if o.closed, err = floats("closed", *loops, 0.001, 100); err != nil {
		return o, err
	}
	if o.loads, err = floats("loads", *loads, math.SmallestNonzeroFloat64, 100); err != nil {
		return o, err
	}
	if o.paths, err = chosen("paths", *ways, paths); err != nil {
		return o, err
	}
	if o.size < 1 || o.size > maxPayload {
		return o, fmt.Errorf("%w: -size from 1 to %d", errUsage, maxPayload)
	}
	return o, nil
}

// overloadPath measures the capacity of one path, by the first closed loop, and then the other loops and every offered load.
func overloadPath(ctx context.Context, o overloadOptions, path string, stdout io.Writer) error {
	peak := 0.0
	show := func(name string, offered float64, r overloadResult) {
		fmt.Fprintf(stdout, "| %s | %s | %.0f | %.0f | %.2f | %.0f | %s | %s | %d | %d |\n", path, name, offered, r.goodput, r.goodput/peak, r.refused,
			millis(r.p50), millis(r.p99), r.elections, r.heap>>20)
	}
	for i, loop := range o.closed {
		r, err := overloadRound(ctx, o, path, offer{closed: int(loop * closedLoop)})
		if err != nil {
			return err
		}
		if i == 0 {
			if peak = r.goodput; peak == 0 {
				return fmt.Errorf("nothing was answered within %v", drainTimeout)
			}
		}
		show(fmt.Sprintf("%.1f closed", loop), 0, r)
	}
	for _, capacities := range o.loads {
		r, err := overloadRound(ctx, o, path, offer{rate: capacities * peak})
		if err != nil {
			return err
		}
		show(fmt.Sprintf("%.1f", capacities), capacities*peak, r)
	}
	return nil
}

// An offer is a closed loop of so many requests, or an open one with so many a second.
type offer struct {
	closed int
	rate   float64
}

// An overloadResult is one load's.
type overloadResult struct {
	goodput, refused float64 // a second
	p50, p99         time.Duration
	elections        int64
	heap             uint64 // the most that was seen
}

// A generator offers requests and counts what becomes of them.
type generator struct {
	cluster   *troupeCluster
	data      []byte
	again     bool
	phase     atomic.Int32
	latencies *latencies
	open      atomic.Int64 // requests without an answer
	ok        atomic.Int64 // answered while measuring
	refused   atomic.Int64 // likewise
	closed    int          // requests of a closed loop, in which an answer calls for the next; 0: it is open
}

func overloadRound(ctx context.Context, o overloadOptions, path string, of offer) (r overloadResult, err error) {
	dir, err := os.MkdirTemp(o.dir, "bench-overload-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	runtime.GC()
	started, err := (troupePeer{}).start(dir, settings{})
	if err != nil {
		return r, err
	}
	c := started.(*troupeCluster)
	g := &generator{cluster: c, data: make([]byte, o.size), again: o.again || of.closed > 0, latencies: newLatencies(), closed: of.closed}
	send, done := senders[path](g)
	defer done() // once the cluster has stopped: until then it answers what is open
	defer func() { err = errors.Join(err, c.stop()) }()
	offering, end := context.WithCancel(ctx)
	defer end()
	var offers sync.WaitGroup
	offers.Go(func() { g.offer(offering, of.rate, send) })

	err = pause(ctx, o.warmup)
	elections, start := terms(c), time.Now()
	g.phase.Store(measuring)
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for err == nil && (time.Since(start).Seconds() < o.seconds || g.ok.Load() == 0 && time.Since(start) < drainTimeout) {
		r.heap = max(r.heap, heapNow())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	g.phase.Store(ending)
	elapsed := time.Since(start).Seconds()
	end()
	offers.Wait()
	all := g.latencies.merged()
	r.goodput, r.refused = float64(g.ok.Load())/elapsed, float64(g.refused.Load())/elapsed
	r.p50, r.p99 = time.Duration(all.ValueAtQuantile(50))*time.Microsecond, time.Duration(all.ValueAtQuantile(99))*time.Microsecond
	r.elections = terms(c) - elections
	return r, err
}

// terms is the latest term of any voter: every election begins one.
func terms(c *troupeCluster) (term int64) {
	for _, n := range c.nodes {
		term = max(term, int64(n.group.Status().Term))
	}
	return term
}

// closedLoop is how many requests a group takes by default.
const closedLoop = 1 << 14

// offer sends at a rate, a millisecond's worth at a time, or as many as a closed loop has.
func (g *generator) offer(ctx context.Context, rate float64, send func(n int)) {
	if g.closed > 0 {
		g.open.Add(int64(g.closed))
		send(g.closed)
		<-ctx.Done()
		return
	}
	start, sent := time.Now(), 0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n := int(time.Since(start).Seconds()*rate) - sent
		sent += n
		if room := mostOutstanding - int(g.open.Load()); n > room {
			g.count(&g.refused, n-room)
			n = room
		}
		g.open.Add(int64(n))
		send(n)
	}
}

func (g *generator) count(what *atomic.Int64, n int) {
	if g.phase.Load() == measuring {
		what.Add(int64(n))
	}
}

// answered takes the end of one request and says whether the sender is to send another in its place.
func (g *generator) answered(shard int, since time.Time, busy, failed bool) (next bool) {
	switch {
	case busy || failed:
		g.count(&g.refused, 1)
		next = busy && g.again
	case g.phase.Load() == measuring:
		g.ok.Add(1)
		g.latencies.record(shard, time.Since(since))
	}
	if next = (next || g.closed > 0) && g.phase.Load() != ending; !next {
		g.open.Add(-1)
	}
	return next
}
