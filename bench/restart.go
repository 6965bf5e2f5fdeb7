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

const restartHeader = "| peer | open s | first write s | all applied s | min–max s | ratio to better peer |\n|---|--:|--:|--:|--:|--:|\n"

// errRestored is a voter that did not replay its log.
var errRestored = errors.New("a voter began with a snapshot")

// restartOptions is what the command line of `bench restart` asks for.
type restartOptions struct {
	entries int
	size    int // payload bytes
	clients int // that fill
	trialOptions
}

// A restartResult has times since the start began.
type restartResult struct{ opened, wrote, applied time.Duration }

// runRestart is `bench restart`: three voters with a long log and no snapshot are stopped, and all are started at once.
func runRestart(ctx context.Context, args []string, known []peer, stdout, stderr io.Writer) error {
	var o restartOptions
	fs := o.flags("restart", 1, known, stderr)
	fs.IntVar(&o.entries, "entries", 1_000_000, "`number` of entries in the log")
	fs.IntVar(&o.size, "size", 128, "payload of an entry in `bytes`")
	fs.IntVar(&o.clients, "clients", 1024, "`number` of clients that fill the log")
	if err := o.parse(fs, args, known); err != nil {
		return err
	}
	if o.entries < 1 || o.size < 1 || o.size > maxPayload || o.clients < 1 || o.clients > maxClients {
		return fmt.Errorf("%w: -entries, -size and -clients from 1, -size up to %d, -clients up to %d", errUsage, maxPayload, maxClients)
	}
	fmt.Fprintf(stdout, "GOMAXPROCS %d, three voters in this process, %d entries of %d bytes, election timeouts %v to %v\n\n"+restartHeader,
		runtime.GOMAXPROCS(0), o.entries, o.size, o.election, 2*o.election)
	results, err := try(ctx, o.trialOptions, "restart", settings{election: o.election, replay: true}, o.restart, stderr)
	if results == nil {
		return err
	}
	last := func(r restartResult) time.Duration { return r.applied }
	_, _ = io.WriteString(stdout, trialRows(o.peers, results, 4, last, func(rs []restartResult) string {
		opened := median(rs, func(r restartResult) float64 { return r.opened.Seconds() })
		wrote := median(rs, func(r restartResult) float64 { return r.wrote.Seconds() })
		return fmt.Sprintf("%.3f | %.3f | %s", opened, wrote, spread(rs, last))
	}))
	return err
}

func (o restartOptions) restart(ctx context.Context, c voterSet) (r restartResult, err error) {
	if err := open(ctx, c, 0, 1, 2); err != nil {
		return r, err
	}
	data := make([]byte, o.size)
	if err := fill(ctx, c, o.entries, o.clients, data); err != nil {
		return r, err
	}
	if err := verify(ctx, c.machines(), uint64(o.entries), trialTimeout); err != nil {
		return r, err
	}
	if err := c.stop(); err != nil {
		return r, err
	}
	runtime.GC()
	debug.FreeOSMemory()
	start := time.Now()
	if err := c.open(0, 1, 2); err != nil {
		return r, err
	}
	r.opened = time.Since(start)
	when, err := firstWrite(ctx, c, data, 0, 1, 2)
	if err != nil {
		return r, err
	}
	r.wrote = when.Sub(start)
	all := uint64(o.entries + 1)
	if err := reached(ctx, c.machines(), all); err != nil {
		return r, err
	}
	r.applied = time.Since(start)
	for _, m := range c.machines() {
		if m.restored.Load() {
			return r, errRestored
		}
	}
	return r, verify(ctx, c.machines(), all, convergeTimeout)
}
