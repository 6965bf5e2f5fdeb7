package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A FaultKind is what a fault does.
type FaultKind string

// The faults.
const (
	Crash       FaultKind = "crash"        // of A, For a while
	CrashAll    FaultKind = "crash-all"    // of every node at once
	CrashIn     FaultKind = "crash-in"     // of A, within a handler, at its N-th operation on the disk from now
	Pause       FaultKind = "pause"        // A is suspended: nothing of it happens, then everything that waited
	Partition   FaultKind = "partition"    // the nodes in Set from the others
	OneWay      FaultKind = "one-way"      // nothing gets from A to B
	Isolate     FaultKind = "isolate"      // A from everybody
	Storm       FaultKind = "storm"        // all links drop, double, delay and reorder
	SlowLink    FaultKind = "slow-link"    // from A to B
	Stall       FaultKind = "stall"        // the disk of A
	FailSync    FaultKind = "fail-sync"    // of A, the N-th from now; A restarts after a while
	FailWrite   FaultKind = "fail-write"   // the same with a write
	FullDisk    FaultKind = "full-disk"    // of A; there is room again when A restarts
	FailFile    FaultKind = "fail-file"    // of A, the N-th operation from now that writes to snapshot files
	FailRead    FaultKind = "fail-read"    // of A, the N-th that reads them, if it comes soon
	FailLog     FaultKind = "fail-log"     // of A, the N-th reading of its log, if it comes soon
	Rot         FaultKind = "rot"          // one bit of what A, or the next to lead, has stored
	Skew        FaultKind = "skew"         // A's clock runs at another rate, and its calendar jumps
	Panic       FaultKind = "panic"        // of an actor of A, at or amid the N-th message to it from now
	PanicIn     FaultKind = "panic-in"     // of a callback of A
	Transfer    FaultKind = "transfer"     // leadership to A
	StepDown    FaultKind = "step-down"    // of the leader
	Snapshot    FaultKind = "snapshot"     // on A
	Members     FaultKind = "members"      // the membership becomes Set
	RestartOnly FaultKind = "restart-only" // of A's group actor, its node stays up
)

// A Fault is one disturbance of a plan.
type Fault struct {
	At   time.Duration // of the run
	Kind FaultKind
	A, B raft.NodeID
	Set  []raft.NodeID
	For  time.Duration
	N    int
	Amid int           // of a panic: after so many things that the handler does, 0: before it begins
	Rate float64       // of a clock, or a probability
	Jump time.Duration // of a calendar
	In   string        // which actor or callback
}

func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", f.At.Round(time.Microsecond), f.Kind)
	if f.A != 0 {
		fmt.Fprintf(&b, " n%d", f.A)
	}
	if f.B != 0 {
		fmt.Fprintf(&b, " → n%d", f.B)
	}
	if len(f.Set) > 0 {
		fmt.Fprintf(&b, " %v", f.Set)
	}
	if f.In != "" {
		fmt.Fprintf(&b, " in %s", f.In)
	}
	if f.Kind == Rot {
		b.WriteString([]string{"", ", then it restarts", ", after a restart"}[f.N])
	} else if f.N > 0 {
		fmt.Fprintf(&b, " at the %d. time", f.N)
	}
	if f.Amid > 0 {
		fmt.Fprintf(&b, " amid %d", f.Amid)
	}
	if f.Rate > 0 {
		fmt.Fprintf(&b, " %.4g", f.Rate)
	}
	if f.Jump != 0 {
		fmt.Fprintf(&b, " jump %v", f.Jump)
	}
	if f.For > 0 {
		fmt.Fprintf(&b, " for %v", f.For.Round(time.Microsecond))
	}
	return b.String()
}

// weights is how often each kind of fault is drawn.
var weights = []struct {
	kind   FaultKind
	weight int
}{
	{Crash, 24}, {CrashAll, 3}, {CrashIn, 4}, {Pause, 8}, {Partition, 12}, {OneWay, 10}, {Isolate, 10}, {Storm, 8}, {SlowLink, 6},
	{Stall, 5}, {FailSync, 4}, {FailWrite, 3}, {FullDisk, 3}, {FailFile, 8}, {FailRead, 5}, {FailLog, 6}, {Skew, 5},
	{Panic, 10}, {PanicIn, 5}, {Transfer, 8}, {StepDown, 4}, {Snapshot, 5}, {Members, 14}, {RestartOnly, 3},
}

// When a disk rots.
const (
	restarted = 1 // its node starts again at once
	loaded    = 2 // its node has started a moment before
)

// callbacks are what a panic can be set for: the state machine's methods, what Snapshot returned, the function that makes a state machine, and
// whoever watches the rules.
var callbacks = []string{"Apply", "Snapshot", "Write", "Restore", "New", "rules"}

// Plan draws the faults of a run.
func (c Config) Plan() []Fault {
	r := rand.New(rand.NewPCG(c.Seed, 0x70a1))
	ids := c.ids()
	var plan []Fault
	total := 0
	for _, w := range weights {
		total += w.weight
	}
	mean := c.Every
	for at := time.Duration(r.Int64N(int64(mean) + 1)); at < c.Length; at += time.Duration(r.ExpFloat64() * float64(mean)) {
		pick := r.IntN(total)
		kind := Crash
		for _, w := range weights {
			if pick -= w.weight; pick < 0 {
				kind = w.kind
				break
			}
		}
		plan = append(plan, c.fault(r, at, kind, ids))
	}
	if rot := r.IntN(3) == 0; (rot || c.Rot) && len(ids) > 2 {
		var node raft.NodeID
		if r.IntN(2) == 0 {
			node = ids[r.IntN(len(ids))]
		}
		for range 1 + r.IntN(5) {
			plan = append(plan, Fault{
				At: time.Duration(r.Int64N(int64(c.Length))), Kind: Rot, A: node, In: rotting[r.IntN(len(rotting))], N: r.IntN(loaded + 1),
				For: time.Duration(r.Int64N(int64(100 * time.Millisecond))),
			})
		}
	}
	return plan
}

func (c Config) fault(r *rand.Rand, at time.Duration, kind FaultKind, ids []raft.NodeID) Fault {
	f := Fault{At: at, Kind: kind, A: ids[r.IntN(len(ids))]}
	brief := func(most time.Duration) time.Duration { return time.Duration(r.Int64N(int64(most))) }
	switch kind {
	case Crash, Pause, FullDisk, Isolate, SlowLink, OneWay:
		f.For = brief(1500 * time.Millisecond)
	case CrashAll:
		f.A, f.For = 0, brief(time.Second)
	case Partition, Storm:
		f.A, f.For = 0, brief(2*time.Second)
	case Stall:
		f.For = brief(800 * time.Millisecond)
	case FailSync, FailWrite:
		f.For, f.N = brief(time.Second), 1+r.IntN(4)
	case CrashIn:
		f.For, f.N = brief(1500*time.Millisecond), 1+r.IntN(12)
	case FailFile:
		f.N = 1 + r.IntN(8)
	case FailRead:
		f.For, f.N = brief(time.Second), 1+r.IntN(4)
	case FailLog:
		f.For, f.N = brief(3*time.Second), 1+r.IntN(2)
	case Skew:
		f.Rate, f.Jump = 0.97+0.06*r.Float64(), time.Duration(r.NormFloat64()*float64(10*time.Minute))
	case Panic:
		f.In, f.N, f.Amid = victims[r.IntN(len(victims))], 1+r.IntN(10), r.IntN(6)
		if f.In == "replication.reader" { // which a new leader asks once or twice
			f.N = 1
		}
		f.For = brief(time.Second)
	case PanicIn:
		f.In = callbacks[r.IntN(len(callbacks))]
	case StepDown:
		f.A = 0
	}
	switch kind {
	case SlowLink, OneWay:
		for f.B = f.A; f.B == f.A && len(ids) > 1; {
			f.B = ids[r.IntN(len(ids))]
		}
	case Storm:
		f.Rate = 0.3 * r.Float64()
	case Partition:
		f.Set = subset(r, ids, 1+r.IntN(len(ids)))
	case Members:
		f.A = 0
		f.Set = subset(r, ids, 1+r.IntN(min(len(ids), 5)))
		f.N = r.IntN(3) // 0: as voters at once; 1: the last one as a learner; 2: one voter in or out only
	}
	return f
}

// subset draws n of the ids, ascending.
func subset(r *rand.Rand, ids []raft.NodeID, n int) (out []raft.NodeID) {
	chosen := map[int]bool{}
	for _, i := range r.Perm(len(ids))[:n] {
		chosen[i] = true
	}
	for i, id := range ids {
		if chosen[i] {
			out = append(out, id)
		}
	}
	return out
}
