//go:build unix

package main

import (
	"os"
	"syscall"
	"testing"
)

// stopSignals are those that stop a process in its tracks and have it go on.
func stopSignals(*testing.T) (stop, goOn os.Signal) { return syscall.SIGSTOP, syscall.SIGCONT }
