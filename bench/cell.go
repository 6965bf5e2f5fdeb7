package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// drainTimeout bounds the wait for the operations in flight at the end of a measurement.
const drainTimeout = 30 * time.Second

// retryPause keeps a client whose operation failed from spinning.
const retryPause = 5 * time.Millisecond

// A cell is one load.
type cell struct {
	size    int // payload bytes
	clients int
}

// A sample is what one round measured.
type sample struct {
	ops    float64       // per second
	p50    time.Duration //
	p99    time.Duration //
	cpu    float64       // seconds per 100,000 operations
	allocs float64       // heap objects per operation
}

// phases of a round.
const (
	warming int32 = iota
	measuring
	ending
)

// A load drives the clients of one round.
type load struct {
	cluster   cluster
	cell      cell
	phase     atomic.Int32
	latencies *latencies
	acked     atomic.Uint64 // all acknowledged operations, counted when a client ends

	mu     sync.Mutex
	failed int   // operations
	first  error // of them
}

// measure runs one round of a peer in a folder of its own below parent, which it removes.
func measure(ctx context.Context, p peer, c cell, o options) (s sample, err error) {
	dir, err := os.MkdirTemp(o.dir, "bench-"+p.name()+"-")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Every round starts with the same heap, whoever ran before.
	runtime.GC()
	debug.FreeOSMemory()
	cl, err := p.start(dir)
	if err != nil {
		return s, fmt.Errorf("start: %w", err)
	}
	defer func() { err = errors.Join(err, cl.stop()) }()
	l := &load{cluster: cl, cell: c, latencies: newLatencies()}
	return l.run(ctx, o.warmup, time.Duration(o.seconds*float64(time.Second)))
}

// run warms up, measures, lets the clients end and verifies what the cluster did.
func (l *load) run(ctx context.Context, warmup, window time.Duration) (s sample, err error) {
	var clients sync.WaitGroup
	for i := range l.cell.clients {
		clients.Go(func() { l.client(i) })
	}
	s, err = l.window(ctx, warmup, window)
	l.phase.Store(ending)
	ended := make(chan struct{})
	go func() { clients.Wait(); close(ended) }()
	drain := time.NewTimer(drainTimeout)
	defer drain.Stop()
	select {
	case <-ended:
	case <-drain.C:
		return s, errors.Join(err, fmt.Errorf("operations still in flight after %v", drainTimeout))
	}
	if err != nil {
		return s, err
	}
	if l.failed > 0 {
		err = fmt.Errorf("%d operations failed, the first with: %w", l.failed, l.first)
	}
	return s, errors.Join(err, verify(ctx, l.cluster.machines(), l.acked.Load(), convergeTimeout))
}

// window waits for the warm-up and the measured time, and takes the differences over the latter.
func (l *load) window(ctx context.Context, warmup, window time.Duration) (s sample, err error) {
	if err := pause(ctx, warmup); err != nil {
		return s, err
	}
	before, err := used()
	if err != nil {
		return s, err
	}
	start := time.Now()
	l.phase.Store(measuring)
	if err := pause(ctx, window); err != nil {
		return s, err
	}
	l.phase.Store(ending)
	elapsed := time.Since(start)
	after, err := used()
	if err != nil {
		return s, err
	}
	hist := l.latencies.merged()
	n := float64(hist.TotalCount())
	if n == 0 {
		return s, fmt.Errorf("no operation completed in %v", elapsed)
	}
	return sample{
		ops:    n / elapsed.Seconds(),
		p50:    time.Duration(hist.ValueAtQuantile(50)) * time.Microsecond,
		p99:    time.Duration(hist.ValueAtQuantile(99)) * time.Microsecond,
		cpu:    (after.cpu - before.cpu).Seconds() / n * 1e5,
		allocs: float64(after.allocs-before.allocs) / n,
	}, nil
}

// client sends one operation after the other, each with the same payload, until the round ends.
func (l *load) client(id int) {
	data := make([]byte, l.cell.size)
	random := rand.NewChaCha8([32]byte{byte(id), byte(id >> 8)})
	_, _ = random.Read(data) // never fails
	var acked uint64
	defer func() { l.acked.Add(acked) }()
	for l.phase.Load() != ending {
		start := time.Now()
		if err := l.cluster.propose(data); err != nil {
			l.fail(err)
			continue
		}
		acked++
		if l.phase.Load() == measuring {
			l.latencies.record(id, time.Since(start))
		}
	}
}

func (l *load) fail(err error) {
	l.mu.Lock()
	l.failed++
	if l.first == nil {
		l.first = err
	}
	l.mu.Unlock()
	_ = pause(context.Background(), retryPause) // cannot be interrupted
}

// pause waits for d or the end of the context.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
