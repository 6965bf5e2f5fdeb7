//go:build !unix

package main

import (
	"os"
	"testing"
)

// stopSignals skips tests where no process can be stopped in its tracks.
func stopSignals(t *testing.T) (stop, goOn os.Signal) {
	t.Skip("no signal stops a process here")
	return nil, nil
}
