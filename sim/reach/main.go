// Command reach measures what the simulator reaches: it runs the fixed seeds of sim's TestSeeds, nothing else, and counts the statements of the
// rules and of every actor that some of them executed. A fault where no simulation ever goes is found by users.
//
// The file reach.txt beside this one says how much is demanded of each package, which statements no simulation can reach, each with its
// reason, and what is not counted, as it needs goroutines. See [readList] for its form.
//
// It fails when a package falls below its demand; when a listed statement is reached after all, or is no more; and, once a package is to reach
// all but what is listed, when a statement is neither reached nor listed.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/tools/cover"

	"github.com/troupe-raft/troupe/sim/exit"
)

const (
	module = "github.com/troupe-raft/troupe/"
	// full is the demand, in percent, from which on everything that is not reached must be listed.
	full = 97.0
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(exit.Status(ctx, command(), os.Args[1:], os.Stdout, os.Stderr))
}

func command() *cobra.Command {
	var o options
	c := &cobra.Command{
		Use: "reach", Short: "Measure what the simulator's fixed seeds reach of the rules and the actors", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return o.measure(c.Context(), c.OutOrStdout()) },
	}
	f := c.Flags()
	f.StringVar(&o.profile, "profile", "", "judge this coverage profile instead of running the seeds")
	f.StringVar(&o.keep, "keep", "", "leave the coverage profile in this file")
	f.StringSliceVar(&o.only, "package", nil, "only these packages")
	f.IntVar(&o.seeds, "seeds", 0, "run so many seeds; 0: all of TestSeeds")
	f.IntVar(&o.rare, "rare", 0, "print what was executed no more often than this, too")
	return c
}

type options struct {
	profile, keep string
	only          []string
	seeds, rare   int
}

// measure runs the seeds and judges what they reached.
func (o *options) measure(ctx context.Context, out io.Writer) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	l, err := readList(filepath.Join(root, "sim", "reach", "reach.txt"))
	if err != nil {
		return err
	}
	file := o.profile
	if file == "" {
		if file, err = o.run(ctx, root, l.packages(), out); err != nil {
			return err
		}
		if o.keep == "" {
			defer func() { _ = os.Remove(file) }() // in the folder of temporary files
		}
	}
	profiles, err := cover.ParseProfiles(file)
	if err != nil {
		return err
	}
	blocks, err := readBlocks(root, profiles)
	if err != nil {
		return err
	}
	if !judge(out, l, blocks, o.only, o.rare) {
		return exit.ErrFound
	}
	return nil
}

// run executes TestSeeds and returns the file with its coverage profile.
func (o *options) run(ctx context.Context, root string, packages []string, out io.Writer) (string, error) {
	file := o.keep
	if file == "" {
		temp, err := os.CreateTemp("", "reach-*.out")
		if err != nil {
			return "", err
		}
		file = temp.Name()
		if err := temp.Close(); err != nil {
			return "", err
		}
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	for i, p := range packages {
		packages[i] = module + p
	}
	args := []string{"test", "./sim", "-run", "^TestSeeds$", "-count=1", "-covermode=count", "-coverpkg=" + strings.Join(packages, ","), "-coverprofile=" + file}
	if o.seeds > 0 {
		args = append(args, fmt.Sprintf("-sim.seeds=%d", o.seeds))
	}
	test := exec.CommandContext(ctx, "go", args...)
	test.Dir = root
	if said, err := test.CombinedOutput(); err != nil {
		return "", fmt.Errorf("TestSeeds failed: %w\n%s", err, said)
	}
	return file, nil
}

// moduleRoot is the folder of go.mod.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	file := strings.TrimSpace(string(out))
	if filepath.Base(file) != "go.mod" {
		return "", fmt.Errorf("run this within the module: %q is no go.mod", file)
	}
	return filepath.Dir(file), nil
}
