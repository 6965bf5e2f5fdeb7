package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"time"
)

const snapshotHeader = "| peer | all applied s | min–max s | MB/s | extra RSS MB | ratio to better peer |\n|---|--:|--:|--:|--:|--:|\n"

// snapshotPayload is the size in bytes of the entries that make up the state.
const snapshotPayload = 1 << 20

// mostSnapshot is the largest state in MiB: etcd's raft carries it in one message.
const mostSnapshot = 512

// errNoSnapshot is a voter that caught up by the log.
var errNoSnapshot = errors.New("the third voter was sent no snapshot")

// snapshotOptions is what the command line of `bench snapshot` asks for.
type snapshotOptions struct {
	mb int
	trialOptions
}

// A snapshotResult is one round's.
type snapshotResult struct {
	applied time.Duration // since the third voter began to open
	extra   float64       // bytes resident at most, above what was before; may be unknown
}

// runSnapshot is `bench snapshot`: two voters have a large state and no log, and the third starts.
func runSnapshot(ctx context.Context, args []string, known []peer, stdout, stderr io.Writer) error {
	var o snapshotOptions
	fs := o.flags("snapshot", 1, known, stderr)
	fs.IntVar(&o.mb, "mb", 256, "size of the state in `MiB`")
	if err := o.parse(fs, args, known); err != nil {
		return err
	}
	if o.mb < 1 || o.mb > mostSnapshot {
		return fmt.Errorf("%w: -mb from 1 to %d", errUsage, mostSnapshot)
	}
	fmt.Fprintf(stdout, "GOMAXPROCS %d, two voters in this process with a state of %d MiB, and a third that starts\n\n"+snapshotHeader, runtime.GOMAXPROCS(0), o.mb)
	results, err := try(ctx, o.trialOptions, "snapshot", settings{election: o.election, keep: true}, o.snapshot, stderr)
	if results == nil {
		return err
	}
	applied := func(r snapshotResult) time.Duration { return r.applied }
	_, _ = io.WriteString(stdout, trialRows(o.peers, results, 4, applied, func(rs []snapshotResult) string {
		seconds := median(rs, func(r snapshotResult) float64 { return r.applied.Seconds() })
		extra := median(rs, func(r snapshotResult) float64 { return r.extra })
		return fmt.Sprintf("%s | %.0f | %s", spread(rs, applied), float64(o.mb)*snapshotPayload/1e6/seconds, figure("%.0f", extra/1e6))
	}))
	return err
}

func (o snapshotOptions) snapshot(ctx context.Context, c voterSet) (r snapshotResult, err error) {
	if err := c.reserve(2); err != nil {
		return r, err
	}
	if err := open(ctx, c, 0, 1); err != nil {
		return r, err
	}
	if err := fill(ctx, c, o.mb, 4, make([]byte, snapshotPayload)); err != nil {
		return r, err
	}
	if err := verify(ctx, c.machines(), uint64(o.mb), convergeTimeout); err != nil {
		return r, err
	}
	if err := c.at(c.leads()).snapshot(); err != nil {
		return r, err
	}
	runtime.GC()
	debug.FreeOSMemory()
	before, start := resident(), time.Now()
	done, most := make(chan struct{}), make(chan float64)
	go func() { most <- highest(done, resident) }()
	err = c.open(2)
	if err == nil {
		err = reached(ctx, c.machines(), uint64(o.mb))
	}
	r.applied = time.Since(start)
	close(done)
	r.extra = <-most - before
	if err != nil {
		return r, err
	}
	if !c.at(2).state().restored.Load() {
		return r, errNoSnapshot
	}
	return r, verify(ctx, c.machines(), uint64(o.mb), convergeTimeout)
}

// highest is the most that is seen until done is closed, and once at least.
func highest(done <-chan struct{}, look func() float64) (most float64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for most = look(); ; most = max(most, look()) {
		select {
		case <-done:
			return max(most, look())
		case <-tick.C:
		}
	}
}
