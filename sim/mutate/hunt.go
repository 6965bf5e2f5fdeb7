package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-raft/troupe/sim/exit"
)

// hunted are the bugs that the simulator must find by its generic workload alone.
var hunted = []int{1, 14, 18, 23, 37, 38, 39, 40, 43, 44, 45, 46, 47, 49, 50, 51, 52, 58}

func huntCommand() *cobra.Command {
	var bugs []int
	var minutes float64
	var seed uint64
	c := &cobra.Command{
		Use: "hunt", Short: "Have the simulator find injected bugs by its generic workload", Args: cobra.NoArgs,
		Long: "Builds sim/soak with each bug in turn and lets it run until a property is violated. Nothing tells it what to look for.",
		RunE: func(c *cobra.Command, _ []string) error {
			if minutes <= 0 {
				return fmt.Errorf("--minutes %v must be positive", minutes)
			}
			root, chosen, err := chosen(bugs)
			if err != nil {
				return err
			}
			return hunt(c.Context(), c.OutOrStdout(), root, chosen, minutes, seed)
		},
	}
	c.Flags().IntSliceVarP(&bugs, "bug", "b", hunted, "numbers of the bugs, with commas")
	c.Flags().Float64Var(&minutes, "minutes", 10, "longest that one may take")
	c.Flags().Uint64Var(&seed, "seed", 1, "first seed of the simulations")
	return c
}

// hunt tries bug after bug and prints a line for each and one for all.
func hunt(ctx context.Context, out io.Writer, root string, bugs []Bug, minutes float64, seed uint64) error {
	found := 0
	for _, b := range bugs {
		start := time.Now()
		what, err := prey(ctx, root, b, minutes, seed)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%2d %-28s", b.Number, b.Name)
		if what == "" {
			fmt.Fprintf(out, "%s NOT FOUND in %v\n", line, time.Since(start).Round(time.Second))
			continue
		}
		found++
		fmt.Fprintf(out, "%s found after %v: %s\n", line, time.Since(start).Round(time.Second), what)
	}
	fmt.Fprintf(out, "%d/%d found\n", found, len(bugs))
	if found < len(bugs) {
		return exit.ErrFound
	}
	return nil
}

// violated is how soak tells of what it found, in a sim.Report: its lines before the violation count this and that.
var violated = regexp.MustCompile(`(?ms)^seed (\d+):.*?^VIOLATED ([^\n]*)`)

// prey builds soak with the bug and runs it. Empty: it found nothing.
func prey(ctx context.Context, root string, b Bug, minutes float64, seed uint64) (what string, err error) {
	if b.Absent != "" {
		return "", fmt.Errorf("bug %d has no injection: %s", b.Number, b.Absent)
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	overlay, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "soak")
	if err := writeOverlay(root, b, filepath.Join(dir, "mutated"), overlay); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", binary, "./sim/soak")
	build.Dir = root
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("bug %d does not compile:\n%s", b.Number, said)
	}
	said, err := exec.CommandContext(ctx, binary, "--minutes", fmt.Sprint(minutes), "--seed", fmt.Sprint(seed), "--shrink", "0s").CombinedOutput()
	if err == nil {
		return "", nil
	}
	m := violated.FindSubmatch(said)
	if m == nil {
		return "", fmt.Errorf("bug %d: the simulation ended with %w and no violation:\n%s", b.Number, err, said)
	}
	return fmt.Sprintf("seed %s, %s", m[1], m[2]), nil
}
