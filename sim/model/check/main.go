// Command check runs the model check of package raft: every scope is exhausted, every property looked at in every state, and the
// figures compared with the known ones. Without flags it runs the full scopes as well as the quick ones, which go test runs.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-raft/troupe/sim/exit"
	"github.com/troupe-raft/troupe/sim/model"
)

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// run executes one command line and returns the exit status: exit.Found when a property does not hold, or the figures are others.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return exit.Status(ctx, command(), args, stdout, stderr)
}

func command() *cobra.Command {
	var quick bool
	var names []string
	var jobs int
	c := &cobra.Command{
		Use: "check", Short: "Check package raft exhaustively within small bounds", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			scopes := model.Quick()
			if !quick {
				scopes = append(scopes, model.Full()...)
			}
			chosen, err := choose(scopes, names)
			if err != nil {
				return err
			}
			if jobs < 1 {
				return fmt.Errorf("--jobs %d is not positive", jobs)
			}
			return check(c.OutOrStdout(), chosen, jobs)
		},
	}
	c.Flags().BoolVar(&quick, "quick", false, "only the scopes that go test runs")
	c.Flags().StringArrayVar(&names, "scope", nil, "only the scope of this name (repeatable)")
	c.Flags().IntVarP(&jobs, "jobs", "j", 2, "scopes checked at once")
	return c
}

func choose(scopes []model.Scope, names []string) ([]model.Scope, error) {
	if len(names) == 0 {
		return scopes, nil
	}
	var out []model.Scope
	for _, name := range names {
		at := slices.IndexFunc(scopes, func(s model.Scope) bool { return s.Name == name })
		if at < 0 {
			var known []string
			for _, s := range scopes {
				known = append(known, s.Name)
			}
			return nil, fmt.Errorf("there is no scope %q; there are: %s", name, strings.Join(known, "; "))
		}
		out = append(out, scopes[at])
	}
	return out, nil
}

// A result is what a scope came to.
type result struct {
	model.Report
	err error
}

// check runs the scopes and prints a line for each, in their order.
func check(out io.Writer, scopes []model.Scope, jobs int) error {
	began := time.Now()
	results := make([]chan result, len(scopes))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	next := make(chan int, len(scopes))
	for i := range scopes {
		next <- i
	}
	close(next)
	for range jobs {
		go func() {
			for i := range next {
				r, err := model.Run(scopes[i])
				results[i] <- result{r, err}
			}
		}()
	}
	var all model.Figures
	failed := false
	for i, s := range scopes {
		r := <-results[i]
		if r.err != nil {
			return r.err
		}
		failed = report(out, s, r.Report) || failed
		all.States, all.Transitions, all.Depth = all.States+r.States, all.Transitions+r.Transitions, max(all.Depth, r.Depth)
	}
	line(out, "all", all, time.Since(began), "")
	if failed {
		return exit.ErrFound
	}
	fmt.Fprintln(out, "every property holds in every state")
	return nil
}

func line(out io.Writer, name string, f model.Figures, took time.Duration, about string) {
	fmt.Fprintf(out, "%-27s %9d states %10d transitions, depth %2d %6.1fs  %s\n", name, f.States, f.Transitions, f.Depth, took.Seconds(), about)
}

// report prints what a scope came to and reports whether that is a failure.
func report(out io.Writer, s model.Scope, r model.Report) (failed bool) {
	line(out, s.Name, r.Figures, r.Took, s.About)
	switch {
	case r.Violation != nil:
		fmt.Fprintf(out, "  BROKEN: %v\n  %s\n", r.Violation, strings.Join(r.Violation.Trace, "\n  "))
	case r.Figures != s.Golden:
		fmt.Fprintf(out, "  OTHER FIGURES than the known %v: see the package's comment. These are\n  s.Golden = %#v\n", s.Golden, r.Figures)
	default:
		return false
	}
	return true
}
