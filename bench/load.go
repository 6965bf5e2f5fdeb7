package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// loads are the benchmarks of Troupe under a load of some kind, by the word of the command line that asks for them.
var loads = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) error{
	"overload": runOverload, "slowlink": runSlowLink, "busy": runBusy,
}

// loadOptions are what the command lines of all of them ask for.
type loadOptions struct {
	seconds float64
	warmup  time.Duration
	dir     string
}

// flags makes the flags of a benchmark that measures one case, of this name, after another.
func (o *loadOptions) flags(name, of string, seconds float64, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("bench "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Float64Var(&o.seconds, "seconds", seconds, "measured `seconds` of each "+of)
	fs.DurationVar(&o.warmup, "warmup", 2*time.Second, "load before each measurement, not counted; a `duration`")
	fs.StringVar(&o.dir, "dir", os.TempDir(), "`folder` on a real disk; data goes below it and is removed")
	return fs
}

func (o *loadOptions) parse(fs *flag.FlagSet, args []string) error {
	if err := fs.Parse(args); err != nil {
		return quietly(err)
	}
	if fs.NArg() > 0 || o.warmup < 0 || !(o.seconds > 0 && o.seconds <= 3600) {
		return fmt.Errorf("%w: no arguments, -warmup of 0 and above, -seconds above 0", errUsage)
	}
	return checkDisk(o.dir)
}

// floats reads a comma-separated list of numbers.
func floats(flag, list string, low, high float64) (out []float64, err error) {
	for s := range strings.SplitSeq(list, ",") {
		n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || !(n >= low && n <= high) {
			return nil, fmt.Errorf("%w: -%s: %q is not a number from %.3g to %.3g", errUsage, flag, s, low, high)
		}
		out = append(out, n)
	}
	return out, nil
}

// chosen reads a comma-separated list of known words.
func chosen(flag, list string, known []string) (out []string, err error) {
	for s := range strings.SplitSeq(list, ",") {
		word := strings.TrimSpace(s)
		if !slices.Contains(known, word) {
			return nil, fmt.Errorf("%w: -%s: %q is unknown; known are %s", errUsage, flag, s, strings.Join(known, ", "))
		}
		out = append(out, word)
	}
	return out, nil
}

func heapNow() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
