package main

import (
	"math"
	"runtime"
	"time"
)

// unknown is a figure that this system does not tell. Differences and ratios of it are unknown, too.
var unknown = math.NaN()

// A usage is what the process and the machine have used up so far.
type usage struct {
	cpu    time.Duration // user and system, of this process
	allocs uint64        // heap objects
	busy   float64       // seconds of all the machine's cores, by whomever; or unknown
	cores  float64       // of the machine
	disk   diskUse
}

// A diskUse is what a disk has done so far. Both are unknown where it cannot be told.
type diskUse struct {
	written float64 // bytes
	flushes float64 // requests to empty the disk's cache, of which a sync makes one or two
}

// used reads the clocks. It stops the world for some microseconds. dir is on the disk that counts.
func used(dir string) (usage, error) {
	cpu, err := processCPU()
	if err != nil {
		return usage{}, err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u := usage{cpu: cpu, allocs: m.Mallocs, disk: diskOf(dir)}
	u.busy, u.cores = machineCPU()
	return u, nil
}

// others is the share of the machine's cores that other processes had since before.
func (u usage) others(before usage, elapsed time.Duration) float64 {
	share := (u.busy - before.busy - (u.cpu - before.cpu).Seconds()) / (u.cores * elapsed.Seconds())
	if share < 0 { // the kernel's two clocks differ by ticks
		return 0
	}
	return share
}
