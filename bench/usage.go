package main

import (
	"fmt"
	"runtime"
	"syscall"
	"time"
)

// A usage is what the process has used up so far.
type usage struct {
	cpu    time.Duration // user and system
	allocs uint64        // heap objects
}

// used reads the process's clocks. It stops the world for some microseconds.
func used() (usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return usage{}, fmt.Errorf("getrusage: %w", err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{
		cpu:    time.Duration(r.Utime.Nano() + r.Stime.Nano()),
		allocs: m.Mallocs,
	}, nil
}
