package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
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
	Stuck       FaultKind = "stuck"        // A's group actor, or that of who leads, is in the middle of a turn For a while
	Suspend     FaultKind = "suspend"      // of A: as a pause, but its monotonic clock stands still
	StandStill  FaultKind = "stand-still"  // of A's monotonic clock, while A goes on
	Partition   FaultKind = "partition"    // the nodes in Set from the others
	OneWay      FaultKind = "one-way"      // nothing gets from A to B
	Isolate     FaultKind = "isolate"      // A from everybody
	Storm       FaultKind = "storm"        // all links drop, double, delay and reorder
	SlowLink    FaultKind = "slow-link"    // from A to B
	NarrowLink  FaultKind = "narrow-link"  // from A to B: so many bytes a second, and what does not fit the queue before it is lost
	LateKind    FaultKind = "late-kind"    // messages of one kind are slow on all links
	Hang        FaultKind = "hang"         // of an actor of A, or of who leads: its handler does not return
	Toil        FaultKind = "toil"         // every Apply of A takes N microseconds of its processor
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
	Members     FaultKind = "members"      // the membership becomes Set, by force
	Careful     FaultKind = "careful"      // an operator asks for a change of members that must not be forced
	Mistake     FaultKind = "mistake"      // of an operator or a program, on A
	Stray       FaultKind = "stray"        // a message that an actor of A does not know
	GoBack      FaultKind = "go-back"      // A restarts from what its disk holds now, For later; with N 1 from nothing
	GiveUp      FaultKind = "give-up"      // of an actor of A, which panics until it is not restarted any more
	PanicText   FaultKind = "panic-text"   // as panic, with a text instead of an error
	Relocate    FaultKind = "relocate"     // a member listens elsewhere from now on
	Guest       FaultKind = "guest"        // A runs a group that others founded, For a while
	Foreign     FaultKind = "foreign"      // A gets messages of N groups that run nowhere
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
	if f.Kind == Stuck || f.Kind == Hang {
		b.WriteString([]string{"", ", or whoever leads,"}[f.N])
	} else if f.Kind == Rot {
		b.WriteString([]string{"", ", then it restarts", ", after a restart"}[f.N])
	} else if f.Kind == GoBack && f.N == wiped {
		b.WriteString(" to nothing")
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

// A weight is how often a kind of fault is drawn.
type weight struct {
	kind   FaultKind
	weight int
}

var weights = []weight{
	{Crash, 24}, {CrashAll, 3}, {CrashIn, 4}, {Pause, 8}, {Stuck, 8}, {Partition, 12}, {OneWay, 10}, {Isolate, 10}, {Storm, 8}, {SlowLink, 6}, {NarrowLink, 5}, {LateKind, 5}, {Hang, 10}, {Toil, 3},
	{Stall, 5}, {FailSync, 4}, {FailWrite, 3}, {FullDisk, 3}, {FailFile, 10}, {FailRead, 5}, {FailLog, 6}, {Skew, 5},
	{Panic, 10}, {PanicIn, 7}, {Transfer, 8}, {StepDown, 4}, {Snapshot, 8}, {Members, 14}, {RestartOnly, 3}, {Mistake, 8}, {Stray, 4},
	{Suspend, 6}, {StandStill, 3},
}

// longestHang is how long a group's actor is stuck at most.
const longestHang = 2 * time.Second

// leads says that not A is meant, but who leads.
const leads = 1

// When a disk rots.
const (
	restarted = 1 // its node starts again at once
	loaded    = 2 // its node has started a moment before
)

// callbacks are what a panic can be set for: the state machine's methods, what Snapshot returned, the function that makes a state machine, and
// whoever watches the rules.
var callbacks = []string{"Apply", "Snapshot", "Write", "Restore", "New", "rules", "a subscriber"}

// Plan draws the faults of a run.
func (c Config) Plan() []Fault {
	r := rand.New(rand.NewPCG(c.Seed, 0x70a1))
	ids := c.ids()
	var plan []Fault
	swarm, total := c.swarm()
	mean := c.Every
	for at := time.Duration(r.Int64N(int64(mean) + 1)); at < c.Length; at += time.Duration(r.ExpFloat64() * float64(mean)) {
		pick := r.IntN(total)
		kind := Crash
		for _, w := range swarm {
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
	plan = append(plan, c.careful(r, ids)...)
	if r.IntN(4) == 0 {
		for range 1 + r.IntN(3) {
			plan = append(plan, Fault{
				At: time.Duration(r.Int64N(int64(c.Length))), Kind: GoBack, A: ids[r.IntN(len(ids))],
				For: time.Duration(r.Int64N(int64(time.Second))), N: r.IntN(4) / 3,
			})
		}
	}
	if c.folders() {
		r := rand.New(rand.NewPCG(c.Seed, 0xf01d))
		for range 1 + r.IntN(4) {
			plan = append(plan, Fault{
				At: time.Duration(r.Int64N(int64(c.Length))), Kind: GoBack, A: ids[r.IntN(len(ids))],
				For: time.Duration(r.Int64N(int64(time.Second))), N: r.IntN(2) * wiped,
			})
		}
	}
	return slices.Concat(plan, c.extras(ids), c.relocations(ids))
}

// swarm leaves half of the kinds out of a run, others in each, so that those that are left meet one another more often than all could (Groce et
// al., Swarm Testing, 2012).
func (c Config) swarm() (kinds []weight, total int) {
	r := rand.New(rand.NewPCG(c.Seed, 0x57a9))
	for _, w := range weights {
		if r.IntN(2) == 0 {
			kinds = append(kinds, w)
			total += w.weight
		}
	}
	if total == 0 {
		return weights[:1], weights[0].weight
	}
	return kinds, total
}

// few draws one of a few names, the same ones throughout a run.
func (c Config) few(r *rand.Rand, names []string) string {
	of := rand.New(rand.NewPCG(c.Seed, uint64(len(names))))
	return names[of.Perm(len(names))[r.IntN(min(3, len(names)))]]
}

func (c Config) fault(r *rand.Rand, at time.Duration, kind FaultKind, ids []raft.NodeID) Fault {
	f := Fault{At: at, Kind: kind, A: ids[r.IntN(len(ids))]}
	brief := func(most time.Duration) time.Duration { return time.Duration(r.Int64N(int64(most))) }
	switch kind {
	case Crash, Pause, Suspend, StandStill, FullDisk, Isolate, SlowLink, OneWay, NarrowLink:
		f.For = brief(1500 * time.Millisecond)
	case CrashAll:
		f.A, f.For = 0, brief(time.Second)
	case Partition, Storm:
		f.A, f.For = 0, brief(2*time.Second)
	case Stuck:
		f.For, f.N = brief(longestHang), r.IntN(leads+1)
	case LateKind:
		f.A, f.In, f.For = 0, kinds[r.IntN(len(kinds))], brief(2*time.Second)
	case Hang:
		f.In, f.For = c.few(r, hangable), brief(1500*time.Millisecond)
		if f.In == "actors.publisher" { // of whom nothing is asked: long enough for several events
			f.For *= 4
		}
		if f.In == "applier.applier" && f.For%2 == 0 { // long enough for another to lead
			f.N, f.For = leads, 3*f.For
		}
	case Toil:
		f.N, f.For = 1<<r.IntN(14), brief(time.Second)
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
		f.In, f.N, f.Amid = c.few(r, victims), 1+r.IntN(10), r.IntN(6)
		if f.In == "replication.reader" { // which a new leader asks once or twice
			f.N = 1
		}
		f.For = brief(time.Second)
	case Mistake:
		f.In = mistakes[r.IntN(len(mistakes))].name
	case Stray:
		f.In = victims[r.IntN(len(victims))]
	case PanicIn:
		f.In = c.few(r, callbacks)
	case StepDown:
		f.A = 0
	}
	if kind == NarrowLink {
		f.Rate = float64(int(50) << r.IntN(12))
	}
	switch kind {
	case SlowLink, OneWay, NarrowLink:
		for f.B = f.A; f.B == f.A && len(ids) > 1; {
			f.B = ids[r.IntN(len(ids))]
		}
	case Storm:
		f.Rate = 0.3 * r.Float64()
	case LateKind:
		f.Rate = 0.1 + 0.5*r.Float64()
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
