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
	work    work
}

// A sample is what one round measured.
type sample struct {
	ops    float64       // per second
	p50    time.Duration //
	p99    time.Duration //
	cpu    float64       // seconds per 100,000 operations
	allocs float64       // heap objects per operation

	low, high float64 // ops over the rounds; a summary's alone

	// All of these are unknown where the system does not tell.
	others  float64 // share of the machine's cores that other processes had
	written float64 // bytes to a voter's disk per payload byte proposed
	syncs   float64 // flush requests to the disk per operation
	heap    float64 // bytes held after a collection in the end
	rss     float64 // bytes of the process in the end, before that
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
	dir       string // on the disk that counts
	phase     atomic.Int32
	latencies *latencies
	acked     atomic.Uint64 // all acknowledged writes
	measured  atomic.Uint64 // those of them that were acknowledged while measuring

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
	cl, err := p.start(dir, settings{lease: c.work == lease})
	if err != nil {
		return s, fmt.Errorf("start: %w", err)
	}
	defer func() { err = errors.Join(err, cl.stop()) }()
	l := &load{cluster: cl, cell: c, dir: dir, latencies: newLatencies()}
	return l.run(ctx, o.warmup, time.Duration(o.seconds*float64(time.Second)))
}

// run warms up, measures, lets the clients end and verifies what the cluster did.
func (l *load) run(ctx context.Context, warmup, window time.Duration) (s sample, err error) {
	if l.cell.work != write { // so that there is something to read
		if err := l.cluster.propose(make([]byte, l.cell.size)); err != nil {
			return s, err
		}
		l.acked.Add(1)
	}
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
	s.rss = resident()
	runtime.GC()
	s.heap = float64(heapNow())
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
	before, err := used(l.dir)
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
	after, err := used(l.dir)
	if err != nil {
		return s, err
	}
	hist := l.latencies.merged()
	n := float64(hist.TotalCount())
	if n == 0 {
		return s, fmt.Errorf("no operation completed in %v", elapsed)
	}
	s = sample{
		ops:     n / elapsed.Seconds(),
		p50:     time.Duration(hist.ValueAtQuantile(50)) * time.Microsecond,
		p99:     time.Duration(hist.ValueAtQuantile(99)) * time.Microsecond,
		cpu:     (after.cpu - before.cpu).Seconds() / n * 1e5,
		allocs:  float64(after.allocs-before.allocs) / n,
		others:  after.others(before, elapsed),
		written: unknown,
		syncs:   (after.disk.flushes - before.disk.flushes) / n,
	}
	if proposed := float64(l.measured.Load()) * float64(l.cell.size); proposed > 0 {
		s.written = (after.disk.written - before.disk.written) / voters / proposed
	}
	return s, nil
}

// client sends one operation after the other, writes with the same payload, until the round ends.
func (l *load) client(id int) {
	data := make([]byte, l.cell.size)
	random := rand.NewChaCha8([32]byte{byte(id), byte(id >> 8)})
	_, _ = random.Read(data)                     // never fails
	for n := id; l.phase.Load() != ending; n++ { // from id on, so that not all clients write at once
		start := time.Now()
		var err error
		if l.cell.work.writes(n) {
			err = l.write(data)
		} else {
			err = l.read()
		}
		if err != nil {
			l.fail(err)
			continue
		}
		if l.phase.Load() == measuring {
			l.latencies.record(id, time.Since(start))
		}
	}
}

func (l *load) write(data []byte) error {
	if err := l.cluster.propose(data); err != nil {
		return err
	}
	l.acked.Add(1)
	if l.phase.Load() == measuring {
		l.measured.Add(1)
	}
	return nil
}

// read fails unless it sees all that was acknowledged to any client before it began.
func (l *load) read() error {
	known := l.acked.Load()
	count, err := l.cluster.read(l.cell.work == lease)
	if err == nil && count < known {
		err = fmt.Errorf("%w: %d operations, after %d were acknowledged", errStaleRead, count, known)
	}
	return err
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
