// Command soak runs simulations from fresh seeds for a while, several at once, and says how many messages they delivered. The
// first broken property ends it: with the seed, a schedule shrunk to few faults, and the command that shows the run again.
package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-raft/troupe/sim"
	"github.com/troupe-raft/troupe/sim/exit"
)

func main() {
	debug.SetGCPercent(400) // runs are short, and their garbage is most of the work
	os.Exit(exit.Status(context.Background(), command(sim.Run), os.Args[1:], os.Stdout, os.Stderr))
}

// command is all of it; run runs one configuration.
func command(run func(sim.Config) *sim.Report) *cobra.Command {
	o := options{run: run}
	c := &cobra.Command{
		Use: "soak", Short: "Simulate clusters under faults, from one seed after another", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("seed") {
				o.seed = uint64(rand.Uint32())
			}
			return o.soak(c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.Float64Var(&o.minutes, "minutes", 1, "how long to go on")
	f.IntVar(&o.runs, "runs", 0, "end after so many runs instead; 0: by time")
	f.Uint64Var(&o.seed, "seed", 0, "first seed; drawn and printed when not given")
	f.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "simulations at once")
	f.StringVar(&o.mode, "mode", "both", "safety: faults for ever; liveness: they end, and then all must go well; both: in turn")
	f.DurationVar(&o.progress, "progress", 10*time.Second, "print a line this often")
	f.DurationVar(&o.shrink, "shrink", 2*time.Minute, "time that may be spent on a smaller schedule")
	f.DurationVar(&o.patience, "patience", time.Minute, "name a run that takes longer than this, again and again")
	f.DurationVar(&o.limit, "limit", 5*time.Minute, "give up on one that takes longer than this")
	c.AddCommand(replayCommand(run))
	return c
}

func replayCommand(run func(sim.Config) *sim.Report) *cobra.Command {
	var cfg sim.Config
	var trace bool
	c := &cobra.Command{
		Use: "replay", Short: "Repeat one run and print its faults, or every step", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			out := c.OutOrStdout()
			if trace {
				cfg.Out = out
			}
			return conclude(run(cfg), out)
		},
	}
	f := c.Flags()
	f.Uint64Var(&cfg.Seed, "seed", 0, "the run's seed")
	f.Uint64Var(&cfg.Salt, "salt", 0, "the order of messages under the seed's plan")
	f.BoolVar(&cfg.Liveness, "liveness", false, "the faults end, and then all must go well")
	f.IntVar(&cfg.Nodes, "nodes", 0, "founders; 0: drawn from the seed")
	f.IntVar(&cfg.Clients, "clients", 0, "clients; 0: the default, below 0: none")
	f.Func("only", "numbers, with commas, of the faults that happen; all when not given, none when empty", func(text string) error {
		cfg.Only = []int{}
		for _, number := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
			n, err := strconv.Atoi(number)
			if err != nil {
				return err
			}
			cfg.Only = append(cfg.Only, n)
		}
		return nil
	})
	f.Func("config", "other fields of the run's configuration (sim.Config), as JSON", cfg.Merge)
	f.BoolVar(&trace, "trace", false, "print every step")
	return c
}

func conclude(r *sim.Report, out io.Writer) error {
	fmt.Fprint(out, r.Schedule())
	fmt.Fprintln(out, r)
	if r.Violation != nil {
		return exit.ErrFound
	}
	return nil
}
