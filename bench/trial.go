package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// trials are the benchmarks of what happens once, with all peers, by the word of the command line that asks for them.
var trials = map[string]func(ctx context.Context, args []string, known []peer, stdout, stderr io.Writer) error{
	"failover": runFailover, "restart": runRestart, "snapshot": runSnapshot,
}

// trialTimeout bounds one round of a trial.
const trialTimeout = 30 * time.Minute

// trialOptions are what the command lines of all of them ask for.
type trialOptions struct {
	peers    []peer
	rounds   int
	election time.Duration
	dir      string

	names string // of the peers, before parse
}

func (o *trialOptions) flags(name string, rounds int, known []peer, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.names, "peers", strings.Join(names(known), ","), "comma-separated `peers`, in the order in which a round takes them")
	fs.IntVar(&o.rounds, "rounds", rounds, "`number` of rounds, each with a fresh cluster")
	fs.DurationVar(&o.election, "election", time.Second, "shortest election timeout of every peer, the longest is twice that; a `duration`")
	fs.StringVar(&o.dir, "dir", os.TempDir(), "`folder` on a real disk; data goes below it and is removed")
	return fs
}

func (o *trialOptions) parse(fs *flag.FlagSet, args []string, known []peer) (err error) {
	if err := fs.Parse(args); err != nil {
		return quietly(err)
	}
	if fs.NArg() > 0 || o.rounds < 1 || o.rounds > 1000 || o.election < 100*time.Millisecond || o.election > time.Minute {
		return fmt.Errorf("%w: no arguments, -rounds from 1 to 1000, -election from 100ms to 1m", errUsage)
	}
	if o.peers, err = pick(o.names, known); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return checkDisk(o.dir)
}

// A trialOf one cluster does one round with it and returns what it measured. It does not stop the cluster.
type trialOf[R any] func(ctx context.Context, c voterSet) (R, error)

// try does all rounds, interleaved like those of the cells. A failed round is reported on stderr and left out; the error says how many there were.
func try[R any](ctx context.Context, o trialOptions, name string, s settings, do trialOf[R], stderr io.Writer) (results [][]R, err error) {
	results = make([][]R, len(o.peers))
	failed := 0
	for r := range o.rounds {
		for i := range o.peers {
			at := (i + r) % len(o.peers)
			result, err := tryOnce(ctx, o, name, o.peers[at], s, do)
			if ctx.Err() != nil {
				return nil, errors.Join(ctx.Err(), err)
			}
			if err != nil {
				failed++
				fmt.Fprintf(stderr, "bench: %s: %s round=%d: %v\n", name, o.peers[at].name(), r+1, err)
				continue
			}
			results[at] = append(results[at], result)
		}
	}
	if failed > 0 {
		err = fmt.Errorf("bench: %s: %d rounds failed", name, failed)
	}
	return results, err
}

func tryOnce[R any](ctx context.Context, o trialOptions, name string, p peer, s settings, do trialOf[R]) (result R, err error) {
	dir, err := os.MkdirTemp(o.dir, "bench-"+name+"-"+p.name()+"-")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	runtime.GC()
	debug.FreeOSMemory()
	ctx, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	c := p.found(dir, s)
	defer func() { err = errors.Join(err, c.stop()) }()
	return do(ctx, c)
}

// trialRows formats a row for each peer: cells of its results, then the ratio of the better peer's time to its own.
func trialRows[R any](peers []peer, results [][]R, columns int, time func(R) time.Duration, cells func([]R) string) string {
	seconds := func(r R) float64 { return time(r).Seconds() }
	better := 0.0
	for i, p := range peers {
		if t := median(results[i], seconds); p.name() != reference && t > 0 && (better == 0 || t < better) {
			better = t
		}
	}
	var out strings.Builder
	for i, p := range peers {
		if len(results[i]) == 0 {
			fmt.Fprintf(&out, "| %s | failed %s|\n", p.name(), strings.Repeat("| ", columns))
			continue
		}
		compared := "-"
		if better > 0 {
			compared = ratio(better, median(results[i], seconds))
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", p.name(), cells(results[i]), compared)
	}
	return out.String()
}

// spread formats the median of times, and the least and the greatest.
func spread[R any](results []R, time func(R) time.Duration) string {
	seconds := func(r R) float64 { return time(r).Seconds() }
	low, high := span(results, seconds)
	return fmt.Sprintf("%.3f | %.3f–%.3f", median(results, seconds), low, high)
}

// open opens a cluster's voters at these places and waits for a leader.
func open(ctx context.Context, c voterSet, places ...int) error {
	if err := c.open(places...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.elect(ctx)
}

// fill writes count entries from so many clients.
func fill(ctx context.Context, c cluster, count, clients int, data []byte) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for i := range clients {
		share := (count + i) / clients
		all.Go(func() {
			for range share {
				if ctx.Err() != nil {
					return
				}
				if err := c.propose(data); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// firstWrite proposes at each of these places, a millisecond after every refusal, until one acknowledges. It returns when that was.
func firstWrite(ctx context.Context, c voterSet, data []byte, places ...int) (when time.Time, err error) {
	ctx, found := context.WithCancel(ctx)
	defer found()
	var all sync.WaitGroup
	var once sync.Once
	var last error
	for _, place := range places {
		v := c.at(place)
		all.Go(func() {
			for ctx.Err() == nil {
				refused := v.propose(data)
				if refused == nil {
					once.Do(func() { when = time.Now(); found() })
					return
				}
				if pause(ctx, time.Millisecond) != nil {
					once.Do(func() { last = refused; found() }) // the time is up, unless another has found one
				}
			}
		})
	}
	all.Wait()
	if when.IsZero() {
		return when, errors.Join(fmt.Errorf("no write was acknowledged: %w", last), ctx.Err())
	}
	return when, nil
}
