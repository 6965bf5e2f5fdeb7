package raft

import (
	"flag"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("raft.seed", 0, "run the random cluster tests with this seed only")
	seedsFlag = flag.Int("raft.seeds", 25, "how many seeds each random cluster test runs with")
)

// Everything at once and each kind of trouble by itself, so that a failure points at its kind.
var troubles = map[string]struct {
	size, spare int
	faults      faults
	want        []string // must have happened, over all seeds
}{
	"calm": {3, 0, faults{propose: 0.05, read: 0.05, lease: 0.05}, []string{"proposed", "read"}},
	"lossy": {5, 0, faults{drop: 0.2, dup: 0.1, late: 0.2, propose: 0.05, read: 0.05, lease: 0.05},
		[]string{"drop", "dup", "late", "proposed", "read"}},
	"partitions": {5, 0, faults{late: 0.1, partition: 0.01, heal: 0.01, propose: 0.05, read: 0.05, lease: 0.1},
		[]string{"lost", "partition", "proposed", "read", "read lost"}},
	"crashes": {3, 0, faults{hold: 1, sync: 0.3, crash: 0.02, late: 0.1, propose: 0.1, read: 0.05, lease: 0.1},
		[]string{"crash", "proposed", "read"}},
	"even": {4, 0, faults{hold: 1, sync: 0.3, crash: 0.01, partition: 0.01, heal: 0.02, propose: 0.1, read: 0.05, lease: 0.1},
		[]string{"crash", "partition", "proposed", "read"}},
	"snapshots": {3, 0, faults{hold: 1, sync: 0.3, crash: 0.02, partition: 0.005, heal: 0.02, propose: 0.2, compact: 0.05, lease: 0.1},
		[]string{"crash", "compacted", "restored"}},
	"members": {3, 4, faults{late: 0.05, propose: 0.05, change: 0.02, read: 0.05, lease: 0.1},
		[]string{"changed", "read"}},
	"transfers": {5, 0, faults{late: 0.1, drop: 0.05, propose: 0.05, transfer: 0.02, disturb: 0.002, read: 0.05, lease: 0.2},
		[]string{"transferred", "read"}},
	"gone back": {3, 0, faults{
		late: 0.2, dup: 0.1, hold: 1, sync: 0.3, crash: 0.01, partition: 0.01, heal: 0.02, propose: 0.1, read: 0.05, lease: 0.1, back: 0.02,
	}, []string{"back", "crash", "proposed", "read", "trusted again"}},
	"two gone back": {5, 0, faults{
		late: 0.2, dup: 0.1, hold: 1, sync: 0.3, crash: 0.01, partition: 0.01, heal: 0.02, propose: 0.1, compact: 0.03, transfer: 0.01, back: 0.04,
	}, []string{"back", "crash", "proposed", "transfer", "restored", "trusted again"}},
	"states lost": {3, 0, faults{
		drop: 0.05, dup: 0.05, late: 0.1, hold: 1, sync: 0.3, crash: 0.02, partition: 0.005, heal: 0.02, propose: 0.2, read: 0.05, lease: 0.1, compact: 0.05,
		transfer: 0.01, disturb: 0.001, lose: 0.05,
	}, []string{"crash", "compacted", "restored", "state lost", "leader's state lost", "regained"}},
	"alone": {1, 2, faults{hold: 1, sync: 0.2, crash: 0.02, propose: 0.1, read: 0.1, change: 0.02, compact: 0.02}, []string{"crash", "proposed", "read"}},
	"everything": {5, 3, faults{
		drop: 0.05, dup: 0.05, late: 0.1, crash: 0.02, partition: 0.005, heal: 0.02, hold: 1, sync: 0.3,
		propose: 0.1, read: 0.05, lease: 0.1, compact: 0.03, change: 0.02, transfer: 0.01, disturb: 0.001,
	}, []string{"drop", "dup", "late", "lost", "crash", "partition", "proposed", "read", "compacted", "restored", "changed", "transfer"}},
}

// TestRandomClusters lets clusters of bare Replicas live through seeded trouble under the eyes of the checks in
// cluster_test.go: Election Safety, Log Matching, Leader Completeness, State Machine Safety, linearizable reads, leases.
// Repeat one with -raft.seed.
func TestRandomClusters(t *testing.T) {
	for name, trouble := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			happened := map[string]int{}
			for seed := uint64(1); seed <= uint64(*seedsFlag); seed++ {
				if *seedFlag != 0 && seed != 1 {
					break
				} else if *seedFlag != 0 {
					seed = *seedFlag
				}
				w := newWorld(t, seed, trouble.size, trouble.spare, trouble.faults)
				for i := 0; i < 20; i++ {
					w.run(200 * time.Millisecond)
					w.checkLogs()
				}
				w.recover()
				for k, v := range w.happened {
					happened[k] += v
				}
			}
			for _, k := range trouble.want {
				if happened[k] == 0 && *seedFlag == 0 {
					t.Errorf("%q never happened: the test tests nothing; %v", k, happened)
				}
			}
			t.Log(happened)
		})
	}
}
