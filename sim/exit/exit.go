// Package exit is how the commands beside the simulator end: all is well, something was found, or they were not understood.
package exit

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// The statuses.
const (
	OK    = 0
	Found = 1 // all that there is to say has been said
	Usage = 2 // or whatever else kept the command from its work
)

// ErrFound is what a command returns that has said what it found.
var ErrFound = errors.New("see above")

// Status executes one command line and returns the exit status. An error other than ErrFound is told on stderr.
func Status(ctx context.Context, root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return OK
	case errors.Is(err, ErrFound):
		return Found
	default:
		fmt.Fprintf(stderr, "%s: %v\n", root.Name(), err)
		return Usage
	}
}
