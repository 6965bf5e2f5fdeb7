// Command demo runs Troupe as a replicated key-value store: a whole cluster in one process, one node of many, or a
// client of either. README.md beside this file tells how.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/troupe-raft/troupe/demo/config"
	"github.com/troupe-raft/troupe/demo/words"
)

// Exit statuses.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run executes one command line and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(dashed(root, args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return exitOK
	}
	var wrong *usageError
	if !errors.As(err, &wrong) {
		if errors.Is(err, syscall.EADDRINUSE) {
			err = fmt.Errorf("%w: another process listens there: stop it, or name another address", err)
		}
		say(stderr, lastWords, "demo:", plainly(err))
		return exitFailed
	}
	for _, fault := range config.Faults(wrong.err) {
		say(stderr, lastWords, "demo:", oneLine(fault))
	}
	return exitUsage
}

func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// plainly is oneLine without packages. Faults of a configuration keep all words: raft is a key there.
func plainly(err error) string { return words.Ours(oneLine(err)) }

// A usageError is a wrong command line or configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func newRoot() *cobra.Command {
	root := clusterCommand()
	root.Use = "demo"
	root.Short = "A replicated key-value store built on Troupe"
	root.Long = "Runs Troupe as a replicated key-value store. Without a command it does what `demo cluster` does."
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(clusterCommand(), nodeCommand(), ctlCommand(), versionCommand())
	root.SetFlagErrorFunc(flagFault)
	return root
}

// none is for commands without arguments.
func none(c *cobra.Command, given []string) error {
	switch {
	case len(given) == 0:
		return nil
	case c.HasSubCommands():
		return unknown(c, given[0])
	default:
		return usage("%s: %q is one word too many: it takes flags only (--help)", where(c), given[0])
	}
}
