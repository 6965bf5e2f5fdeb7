package sim

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

var (
	firstSeed = flag.Uint64("sim.seed", 1, "first seed of TestSeeds")
	seeds     = flag.Int("sim.seeds", enough, "how many seeds TestSeeds runs in each mode")
)

// enough seeds for everything to happen in some of them.
const enough = 200

// each runs configurations beside one another, and returns their reports in order.
func each(configs []Config) []*Report {
	reports := make([]*Report, len(configs))
	var wait sync.WaitGroup
	room := make(chan struct{}, 2)
	for i := range configs {
		room <- struct{}{}
		wait.Go(func() {
			reports[i] = Run(configs[i])
			<-room
		})
	}
	wait.Wait()
	return reports
}

// complain reports a violation with all that is needed to see it again, the first one of a test with a schedule shrunk for a while.
func complain(t *testing.T, r *Report) {
	t.Helper()
	if r.Violation == nil {
		return
	}
	if !t.Failed() && len(r.Struck) > 0 {
		r = Shrink(r, 20*time.Second)
	}
	t.Errorf("seed %d: %v\n%v\nto see it again: %s --trace\n%s", r.Config.Seed, r.Violation, r, r.Command(), r.Schedule())
}

// TestSeeds runs a fixed set of seeds in both modes, and asserts that everything the plans hold really happened in them.
func TestSeeds(t *testing.T) {
	n := *seeds
	if testing.Short() {
		n = 40
	}
	var configs []Config
	for i := range n {
		seed := *firstSeed + uint64(i)
		configs = append(configs, Config{Seed: seed}, Config{Seed: seed, Liveness: true})
	}
	all := map[string]int{}
	var sum Report
	for _, r := range each(configs) {
		complain(t, r)
		if r.Unjudged != "" {
			t.Errorf("not judged: %s: %s", r.Unjudged, r.Command())
		}
		for k, v := range r.Counts {
			all[k] += v
		}
		sum.Steps += r.Steps
		sum.Ended += r.Ended
		sum.Changes += r.Changes
		sum.Restores += r.Restores
		sum.Doubled += r.Doubled
		sum.Dropped += r.Dropped
		sum.Torn += r.Torn
		sum.Leases += r.Leases
	}
	t.Logf("%d messages delivered, %d client operations, %d changes of the membership", sum.Steps, sum.Ended, sum.Changes)
	if n < enough {
		t.Logf("%d seeds are too few to demand that everything happens in them: %d are enough", n, enough)
		return
	}
	for name, n := range map[string]int{
		"client operations": sum.Ended, "membership changes": sum.Changes, "snapshots restored": sum.Restores, "messages doubled": sum.Doubled,
		"messages lost": sum.Dropped, "writes torn by a crash": sum.Torn, "steps under a lease": sum.Leases,
	} {
		if n == 0 {
			t.Errorf("no %s in any run", name)
		}
	}
	t.Logf("what happened least often: %s", rarest(all))
	for _, fault := range happenings() {
		if all[fault] == 0 {
			t.Errorf("%q never happened in %d runs; what did: %v", fault, len(configs), slices.Sorted(maps.Keys(all)))
		}
	}
}

// rarest lists the happenings that came least often, with their numbers: those that a change may lose by chance.
func rarest(all map[string]int) string {
	names := happenings()
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(all[a], all[b]) })
	var b strings.Builder
	for _, name := range names[:min(30, len(names))] {
		fmt.Fprintf(&b, "\n  %4d %s", all[name], name)
	}
	return b.String()
}

// happenings are what every sizeable set of runs must have seen.
func happenings() []string {
	all := []string{
		"fault crash", "fault partition", "fault one-way", "fault isolate", "fault storm", "fault slow-link", "fault stall", "fault skew",
		"fault rot in log", "fault rot in head", "fault rot in file", "bad data met by the load", "bad data met by a restore",
		"no data for the applier", "no data for a restore", "snapshot file failed: read", "unsynced names lost", "unsynced names kept",
		"fault transfer", "fault step-down", "fault snapshot", "fault members", "fault restart-only", "nodes left down",
		"disk failed: sync: injected input/output error", "disk failed: write: injected input/output error",
		"disk failed: write: no space left on device", "snapshot file failed: injected", "client timeout", "snapshots compared",
		"fault go-back", "gone back and noticed", "trusted again",
		"fault crash-in", "fault pause", "fault stuck", "a stuck leader lost its heartbeats", "disturbances overlap", "message late", "message late, in the calm", "message late, of a life that has ended",
		"burst", "burst: acknowledged", "burst: no answer in time", "burst: " + actors.ErrBusy.Error(), "burst: " + actors.ErrIndeterminate.Error(),
		"refused: " + actors.ErrBusy.Error(), "refused: " + actors.ErrTooLarge.Error(),
		"volley", "volley: answered again", "volley: " + actors.ErrSessionForgotten.Error(), "volley: " + actors.ErrSessionExpired.Error(),
		"burst: " + actors.ErrSessionOrder.Error(),
		"fault narrow-link", "message lost before a narrow link", "fault late-kind", "fault toil", "events dropped", "call from Apply", "call from a subscriber",
		"trial: overload", "trial: a leader is cut off", "trial: a leader's state machine hangs", "read by lease alone", "wait within Apply", "wait within Snapshot", "wait within Restore",
	}
	all = append(append(all, rare...), jumpsTerm)
	all = append(all, "panic in "+brokenRule)
	for _, f := range []FaultKind{GiveUp, Foreign, Guest, Relocate} {
		all = append(all, "fault "+string(f))
	}
	for _, name := range strayed {
		if name != "replication.reader" {
			all = append(all, "stray message to "+name)
		}
	}
	for _, m := range allMistakes() {
		all = append(all, "mistake: "+m.name)
	}
	for _, one := range benches {
		all = append(all, "bench: "+one.name)
	}
	for _, name := range hangable {
		if name != "replication.reader" {
			all = append(all, "hang of "+name)
		}
	}
	for _, name := range slices.Concat(victims, callbacks) {
		if name != "replication.reader" { // which has little to do: TestPanicsAnywhere
			all = append(all, "panic in "+name)
			if slices.Contains(victims, name) {
				all = append(all, "stray message to "+name)
			}
		}
	}
	return all
}

// TestSameSeedSameRun: a run is a function of its configuration, to the byte of its trace, whatever runs beside it.
func TestSameSeedSameRun(t *testing.T) {
	for seed := range uint64(4) {
		cfg := Config{Seed: 1000 + seed, Liveness: seed%2 == 1, Length: 1500 * time.Millisecond}
		var first, second bytes.Buffer
		a, b := cfg, cfg
		a.Out, b.Out = &first, &second
		reports := each([]Config{a, b, cfg})
		if reports[0].Trace != reports[1].Trace || reports[1].Trace != reports[2].Trace || reports[0].Steps != reports[2].Steps {
			t.Errorf("seed %d: three runs, traces %016x, %016x and %016x", cfg.Seed, reports[0].Trace, reports[1].Trace, reports[2].Trace)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) || first.Len() == 0 {
			t.Errorf("seed %d: the written traces differ", cfg.Seed)
		}
		cfg.Salt++
		if other := Run(cfg); other.Trace == reports[0].Trace {
			t.Errorf("seed %d: another salt changes nothing", cfg.Seed)
		}
	}
}

// TestOneLinkDown: with any one link of five nodes down, in both directions or in one, there is soon a leader that stays, all
// nodes converge and every client finishes.
func TestOneLinkDown(t *testing.T) {
	var configs []Config
	for a := raft.NodeID(1); a <= 5; a++ {
		for b := raft.NodeID(1); b <= 5; b++ {
			if a == b {
				continue
			}
			broken := []Link{{a, b}}
			if a < b {
				configs = append(configs, Config{Broken: []Link{{a, b}, {b, a}}})
			}
			configs = append(configs, Config{Broken: broken})
		}
	}
	for i := range configs {
		configs[i].Seed, configs[i].Nodes, configs[i].Spares = uint64(i), 5, -1
		configs[i].Quiet, configs[i].Liveness, configs[i].Length = true, true, 4*time.Second
	}
	silent := 0
	for _, r := range each(configs) {
		complain(t, r)
		if r.Dropped == 0 { // two followers of one lasting leader have nothing to say to each other
			silent++
		}
		if r.Elections > 4 {
			t.Errorf("links %v down: %d elections in %v", r.Config.Broken, r.Elections, r.Virtual)
		}
	}
	if silent > len(configs)/2 {
		t.Errorf("%d of %d broken links lost nothing", silent, len(configs))
	}
}

// TestLyingDisk: a disk that confirms what it did not store is found out, so the checker looks at what is on the disks.
func TestLyingDisk(t *testing.T) {
	s := New(Config{Seed: 7, Nodes: 3, Quiet: true})
	for _, id := range s.ids[:2] {
		s.nodes[id].disk.lies = true
	}
	if r := s.Run(); r.Violation == nil || !strings.Contains(r.Violation.Property, "durable") {
		t.Errorf("violated: %v", r.Violation)
	}
}

// TestShrink finds the two faults that matter among many.
func TestShrink(t *testing.T) {
	rig := func(s *Sim) {
		seen := map[FaultKind]bool{}
		s.tripwire = func(f Fault) {
			if seen[f.Kind] = true; seen[StepDown] && seen[Skew] {
				s.check.fail("rigged", "both struck")
			}
		}
	}
	var found *Report
	for seed := uint64(1); found == nil || found.Violation == nil || len(found.Struck) < 20; seed++ {
		if seed > 50 {
			t.Fatal("no seed has much to shrink")
		}
		s := New(Config{Seed: seed, Every: 20 * time.Millisecond, Length: 2 * time.Second})
		rig(s)
		found = s.Run()
	}
	small := shrinker{best: found, property: "rigged", tripwire: rig, deadline: time.Now().Add(8 * time.Minute)}
	small.shrink()
	r := small.best
	if len(r.Struck) != 2 || r.Config.Clients != 1 || r.Violation.Property != "rigged" {
		t.Errorf("shrunk to:\n%s", r.Schedule())
	}
	if got := r.Command(); !strings.Contains(got, fmt.Sprintf("--seed %d ", found.Config.Seed)) || !strings.Contains(got, "--only=") || !strings.Contains(got, "--clients 1") {
		t.Errorf("command %q", got)
	}
}
