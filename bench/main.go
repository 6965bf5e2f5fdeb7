// Command bench measures Troupe and other Raft libraries for Go side by side: the same work, in turn, in one run.
//
// Each cell is one payload size and one number of clients. A cell's rounds are interleaved over the peers, every
// round starts a fresh cluster of three voters in this process (loopback TCP, fsync on) and prints nothing; when all
// rounds are done, one Markdown row per peer shows the medians. README.md says how to run it and how to read it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"syscall"
)

// Exit codes. A fault in the flags is exitUsage, as for the go command's own tools.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	os.Exit(run(os.Args[1:], registry(), os.Stdout, os.Stderr))
}

// run is main without the process: flags, profiles and the interrupt around one benchmark.
func run(args []string, known []peer, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if load, ok := loads[args[0]]; ok {
			return exitOf(stderr, load, args[1:], stdout)
		}
		if trial, ok := trials[args[0]]; ok {
			return exitOf(stderr, func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
				return trial(ctx, args, known, stdout, stderr)
			}, args[1:], stdout)
		}
	}
	o, err := parse(args, known, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once

	finish, err := profile(o)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	err = errors.Join(benchmark(ctx, o, stdout, stderr), finish())
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "bench: interrupted")
		if err != nil && !errors.Is(err, context.Canceled) {
			fmt.Fprintln(stderr, err)
		}
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return exitOK
}

// exitOf runs a benchmark of its own, until an interrupt.
func exitOf(stderr io.Writer, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error, args []string, stdout io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	err := run(ctx, args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "bench: interrupted")
		return exitInterrupted
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, err)
		return exitUsage
	case err != nil:
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	return exitOK
}

// profile starts what -cpuprofile asks for; the function that it returns ends it and writes what -memprofile asks for.
func profile(o options) (finish func() error, err error) {
	var cpu *os.File
	if o.cpuProfile != "" {
		if cpu, err = os.Create(o.cpuProfile); err != nil {
			return nil, fmt.Errorf("bench: CPU profile: %w", err)
		}
		if err = pprof.StartCPUProfile(cpu); err != nil {
			return nil, errors.Join(fmt.Errorf("bench: CPU profile: %w", err), cpu.Close())
		}
	}
	return func() (err error) {
		if cpu != nil {
			pprof.StopCPUProfile()
			err = cpu.Close()
		}
		if o.memProfile == "" {
			return err
		}
		f, createErr := os.Create(o.memProfile)
		if createErr != nil {
			return errors.Join(err, fmt.Errorf("bench: memory profile: %w", createErr))
		}
		runtime.GC() // so that the profile is complete
		return errors.Join(err, pprof.Lookup("allocs").WriteTo(f, 0), f.Close())
	}, nil
}
