package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// maxPayload is the largest payload of an operation in bytes: what every peer takes with its settings here.
const maxPayload = 1 << 20

// maxClients bounds the goroutines of one cell.
const maxClients = 1 << 14

// options is what the command line asks for.
type options struct {
	peers   []peer
	sizes   []int // payload bytes
	clients []int // operations in flight
	works   []work
	quick   bool // quickCells instead of those
	seconds float64
	rounds  int
	warmup  time.Duration

	dir        string // parent of the data folders
	cpuProfile string
	memProfile string
}

// parse reads the command line. Its error names every fault that it found.
func parse(args []string, known []peer, stderr io.Writer) (options, error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	var (
		o       options
		peers   = fs.String("peers", strings.Join(names(known), ","), "comma-separated `peers`, in the order in which a round takes them")
		sizes   = fs.String("size", "16,128,1024", "comma-separated payload sizes in `bytes`")
		clients = fs.String("clients", "1,64,1024", "comma-separated `numbers` of clients, each with one operation in flight")
		seconds = fs.String("seconds", "5", "measured `seconds` of each cell and round")
		rounds  = fs.String("rounds", "3", "rounds of each cell; the table shows medians, so an odd `number` is best")
		warmup  = fs.String("warmup", "500ms", "load before each measurement, not counted; a `duration`")
		doing   = fs.String("work", "write", "comma-separated kinds of `work`: "+strings.Join(workNames, ", "))
	)
	fs.BoolVar(&o.quick, "quick", false, "a look at everything in about a minute: few cells, one short round of each")
	fs.StringVar(&o.dir, "dir", os.TempDir(), "`folder` on a real disk; data goes below it and is removed")
	fs.StringVar(&o.cpuProfile, "cpuprofile", "", "write a CPU profile of the whole run to `file`")
	fs.StringVar(&o.memProfile, "memprofile", "", "write an allocation profile of the whole run to `file`")
	if err := fs.Parse(args); err != nil {
		return o, quietly(err)
	}
	set := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if o.quick {
		for name, value := range map[string]*string{"seconds": seconds, "rounds": rounds, "warmup": warmup} {
			if !set[name] {
				*value = quickDefaults[name]
			}
		}
	}
	var faults []error
	fault := func(err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("bench: %w", err))
		}
	}
	if fs.NArg() > 0 {
		fault(fmt.Errorf("unexpected arguments: %s", strings.Join(fs.Args(), " ")))
	}
	var err error
	o.peers, err = pick(*peers, known)
	fault(err)
	o.sizes, err = numbers("size", *sizes, 1, maxPayload)
	fault(err)
	o.clients, err = numbers("clients", *clients, 1, maxClients)
	fault(err)
	o.works, err = works(*doing)
	fault(err)
	for _, name := range []string{"size", "clients", "work"} {
		if o.quick && set[name] {
			fault(fmt.Errorf("-quick has cells of its own: leave out -%s", name))
		}
	}
	o.rounds, err = number("rounds", *rounds, 1, 1000)
	fault(err)
	if o.seconds, err = strconv.ParseFloat(*seconds, 64); err != nil || !(o.seconds >= 0.01 && o.seconds <= 3600) {
		fault(fmt.Errorf("-seconds %q is not a number from 0.01 to 3600", *seconds))
	}
	if o.warmup, err = time.ParseDuration(*warmup); err != nil || o.warmup < 0 || o.warmup > time.Hour {
		fault(fmt.Errorf("-warmup %q is not a duration from 0s to 1h", *warmup))
	}
	fault(checkDisk(o.dir))
	return o, errors.Join(faults...)
}

// quickDefaults are what -quick makes of flags that are not set.
var quickDefaults = map[string]string{"seconds": "1", "rounds": "1", "warmup": "200ms"}

// quickCells are what -quick looks at.
var quickCells = []cell{
	{128, 1, write}, {128, 64, write}, {128, 1024, write}, {16 << 10, 64, write}, {128, 64, read}, {128, 64, lease}, {128, 64, mixed},
}

// cells are what the options ask for. Reads alone have no size: they come once for all of them.
func (o options) cells() (cells []cell) {
	if o.quick {
		return quickCells
	}
	kinds := o.works
	if len(kinds) == 0 {
		kinds = []work{write}
	}
	for _, w := range kinds {
		sizes := o.sizes
		if w == read || w == lease {
			sizes = sizes[:1]
		}
		for _, size := range sizes {
			for _, clients := range o.clients {
				cells = append(cells, cell{size: size, clients: clients, work: w})
			}
		}
	}
	return cells
}

var errUsage = errors.New("bench: wrong usage")

// quietly drops the text of an error that package flag has printed already.
func quietly(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return errUsage
}

func names(peers []peer) []string {
	out := make([]string, len(peers))
	for i, p := range peers {
		out[i] = p.name()
	}
	return out
}

// pick finds the named peers.
func pick(list string, known []peer) (picked []peer, err error) {
	seen := map[string]bool{}
next:
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if seen[name] {
			err = errors.Join(err, fmt.Errorf("-peers names %q twice", name))
			continue
		}
		seen[name] = true
		for _, p := range known {
			if p.name() == name {
				picked = append(picked, p)
				continue next
			}
		}
		err = errors.Join(err, fmt.Errorf("-peers: %q is unknown; known are %s", name, strings.Join(names(known), ", ")))
	}
	return picked, err
}

// numbers reads a comma-separated list of whole numbers.
func numbers(flag, list string, low, high int) (out []int, err error) {
	for s := range strings.SplitSeq(list, ",") {
		n, fault := number(flag, s, low, high)
		out, err = append(out, n), errors.Join(err, fault)
	}
	return out, err
}

func number(flag, s string, low, high int) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("-%s: %q is not a whole number from %d to %d", flag, s, low, high)
	}
	return n, nil
}
