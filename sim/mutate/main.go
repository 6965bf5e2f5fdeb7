// Command mutate proves that the tests would notice: it puts historic Raft bugs (docs/bugs.md) back into the code, one at a
// time, and demands that the tests named for each fail. The working tree is not touched; the go command sees the mutated
// files through an overlay.
//
// An injection is a file bugs/NN-short-name.txtar: header lines `title:`, `reference:`, `catch: FOLDER TEST...` (repeatable),
// optionally `timeout:`, or `absent:` with the reason why it cannot be injected; after an empty line, prose; then for every edit a section
// `-- find PATH --` with whole lines that occur exactly once in that file, and a section `-- replace --` with what stands there instead.
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupe-raft/troupe/sim/exit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns the exit status: exit.Found when a bug was not caught, or a test fails without one.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := mutateCommand()
	root.AddCommand(overlayCommand(), huntCommand())
	return exit.Status(ctx, root, args, stdout, stderr)
}

func mutateCommand() *cobra.Command {
	var f struct {
		bugs    []int
		verbose bool
		clean   bool
		jobs    int
		timeout time.Duration
	}
	c := &cobra.Command{
		Use: "mutate", Short: "Inject historic Raft bugs and demand that the tests catch them", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			root, bugs, err := chosen(f.bugs)
			if err != nil {
				return err
			}
			if f.jobs < 1 || f.timeout <= 0 {
				return fmt.Errorf("--jobs %d, --timeout %v: both must be positive", f.jobs, f.timeout)
			}
			r := &runner{root: root, timeout: f.timeout, jobs: f.jobs, verbose: func(string, ...any) {}}
			if f.verbose {
				r.verbose = func(format string, args ...any) { fmt.Fprintf(c.ErrOrStderr(), format+"\n", args...) }
			}
			return report(c.Context(), c.OutOrStdout(), r, bugs, f.clean)
		},
	}
	c.Flags().IntSliceVarP(&f.bugs, "bug", "b", nil, "numbers of the bugs to inject, with commas; default all")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print the output of every test")
	c.Flags().BoolVar(&f.clean, "clean", true, "show first that the same tests pass without an injection")
	c.Flags().IntVarP(&f.jobs, "jobs", "j", 2, "injections tried at once")
	c.Flags().DurationVar(&f.timeout, "timeout", 2*time.Minute, "longest that a test may take")
	return c
}

// report runs bugs and prints a line for each and one for all.
func report(ctx context.Context, out io.Writer, r *runner, bugs []Bug, clean bool) error {
	missed := false
	if clean {
		start := time.Now()
		if err := r.clean(ctx, bugs); err != nil {
			missed = true
			fmt.Fprintf(out, "%v\n", err)
		} else {
			fmt.Fprintf(out, "without injections every test passes  %.1fs\n", time.Since(start).Seconds())
		}
	}
	caught, absent := 0, 0
	var uncaught []string
	r.run(ctx, bugs, func(res Result) {
		line := fmt.Sprintf("%2d %-28s", res.Bug.Number, res.Bug.Name)
		switch {
		case res.Err != nil:
			missed = true
			line = fmt.Sprintf("%s NOT CAUGHT  %.1fs\n   %s\n", line, res.Took.Seconds(), strings.ReplaceAll(res.Err.Error(), "\n", "\n   "))
			uncaught = append(uncaught, line)
			fmt.Fprint(out, line)
		case res.Bug.Absent != "":
			absent++
			fmt.Fprintf(out, "%s does not apply: %s\n", line, res.Bug.Absent)
		default:
			caught++
			fmt.Fprintf(out, "%s caught by %s  %.1fs\n", line, catchers(res.Failed), res.Took.Seconds())
		}
	})
	for _, line := range uncaught { // again, where the end of a long output is all that is kept
		fmt.Fprint(out, line)
	}
	if absent > 0 {
		fmt.Fprintf(out, "%d do not apply\n", absent)
	}
	fmt.Fprintf(out, "%d/%d caught\n", caught, len(bugs))
	if missed {
		return exit.ErrFound
	}
	return nil
}

func catchers(failed []Failure) string {
	var names []string
	for _, f := range failed {
		where := f.Where
		if where == "" {
			where = f.Folder + ", by a panic"
		}
		names = append(names, fmt.Sprintf("%s (%s)", f.Test, where))
	}
	return strings.Join(names, ", ")
}

func overlayCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "overlay NUMBER", Short: "Write one bug's overlay, for go test -overlay and go run -overlay", Args: cobra.ExactArgs(1),
		Example: "  go run ./sim/mutate overlay 18 -o /tmp/18.json && go test -overlay /tmp/18.json ./raft",
		RunE: func(c *cobra.Command, args []string) error {
			number, err := strconv.Atoi(args[0])
			if err != nil {
				return fmt.Errorf("%q is not the number of a bug: see docs/bugs.md", args[0])
			}
			root, bugs, err := chosen([]int{number})
			if err != nil {
				return err
			}
			if bugs[0].Absent != "" {
				return fmt.Errorf("bug %d has no injection: %s", number, bugs[0].Absent)
			}
			if file, err = filepath.Abs(file); err != nil {
				return err
			}
			return writeOverlay(root, bugs[0], strings.TrimSuffix(file, ".json")+".mutated", file)
		},
	}
	c.Flags().StringVarP(&file, "output", "o", "", "the overlay to write; the mutated files go to a folder beside it")
	if err := c.MarkFlagRequired("output"); err != nil {
		panic(err) // the flag is defined one line above
	}
	return c
}

// chosen returns the module's root and the bugs with these numbers, or all.
func chosen(numbers []int) (root string, bugs []Bug, err error) {
	if root, err = moduleRoot(); err != nil {
		return "", nil, err
	}
	all, err := readBugs(filepath.Join(root, "sim", "mutate", "bugs"))
	if err != nil || len(numbers) == 0 {
		return root, all, err
	}
	for _, n := range numbers {
		at := slices.IndexFunc(all, func(b Bug) bool { return b.Number == n })
		if at < 0 {
			return "", nil, fmt.Errorf("there is no bug %d: see docs/bugs.md", n)
		}
		bugs = append(bugs, all[at])
	}
	return root, bugs, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
