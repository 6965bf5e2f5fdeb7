package persister

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/raft"
)

// A witness clones the disk, as a power cut would leave it, before every change of it: with nothing that was not
// synced, with a part of it, and with all.
type witness struct {
	disk *vfs.MemFS
	rng  *rand.Rand

	mu             sync.Mutex
	boundaries     int
	promised, sent int
	clean          bool // what is synced and promised is as in the clone before
	remains        []remains
	files          map[string]int // boundaries by kind of file
}

func (w *witness) MaybeError(op errorfs.Op) error {
	if !anyWrite(op) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.boundaries++
	if w.files != nil {
		w.files[kindOf(op.Path)]++
	}
	for _, percent := range []int{0, 40, 100} {
		if percent == 0 && w.clean {
			continue
		}
		w.remains = append(w.remains, remains{
			promised: w.promised, sent: w.sent,
			disk: w.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: w.rng}),
			note: fmt.Sprintf("power cut before change %d of the disk, of kind %d of %s, %d%% of the unsynced data kept", w.boundaries, op.Kind, op.Path, percent),
		})
	}
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		w.clean = false
	default:
		w.clean = true
	}
	return nil
}

func (w *witness) String() string { return "witness" }

// take returns the clones made since it was last called.
func (w *witness) take() []remains {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.remains
	w.remains = nil
	return taken
}

// TestCrashAtEveryBoundary cuts the power before every change of the disk while groups are founded, write, are compacted, reset,
// loaded again and destroyed. Whatever part of the unsynced data survives, the store must open and all groups together be as they were
// after one of the changes asked for: none that was promised is missing, none that was not asked for is there.
func TestCrashAtEveryBoundary(t *testing.T) {
	changes := 220
	part := brief(t, "60 changes in place of 220")
	if part {
		changes = 60
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	disk := vfs.NewCrashableMem()
	eye := &witness{disk: disk, rng: rand.New(rand.NewPCG(seed, 2)), files: map[string]int{}}
	cfg := config(errorfs.Wrap(disk, eye), "d")
	cfg.MemTableBytes = 256 << 10
	w := newWorld(start(t, cfg), seed)
	w.told = func(promised int) {
		eye.mu.Lock()
		eye.promised, eye.clean = max(eye.promised, promised), false
		eye.mu.Unlock()
	}
	w.sends = func(sent int) {
		eye.mu.Lock()
		eye.sent = sent
		eye.mu.Unlock()
	}
	cuts, twice := 0, 0
	check := func() {
		for _, c := range eye.take() {
			if cuts++; cuts%100 == 0 {
				twice += w.recoverTwice(c)
			}
			w.recover(c)
		}
	}
	for len(w.order) < changes {
		if !w.play() {
			t.Fatalf("the store failed: %v", w.store.Failed())
		}
		check()
	}
	w.stopped()
	check()
	w.recover(remains{disk: disk, promised: len(w.order), sent: len(w.order), note: "closed"})
	t.Logf("%d changes of groups, %d of the disk, %d power cuts and %d more while recovering, by file %v", len(w.order), eye.boundaries, cuts, twice, eye.files)
	if eye.boundaries < 2*changes || cuts < 2*eye.boundaries || twice < cuts/20 {
		t.Errorf("%d changes of the disk, %d power cuts and %d second ones are fewer than must have been", eye.boundaries, cuts, twice)
	}
	for _, kind := range []string{"log", "sst", "MANIFEST"} {
		if eye.files[kind] == 0 && !part {
			t.Errorf("no power cut at a %s: %v", kind, eye.files)
		}
	}
}

// recoverTwice cuts the power again before every change of the disk that opening and loading make, and returns how often. Then it has
// every group go on from what remains.
func (w *world) recoverTwice(c remains) int {
	w.t.Helper()
	disk := c.disk.CrashClone(vfs.CrashCloneCfg{})
	eye := &witness{disk: disk, rng: rand.New(rand.NewPCG(w.rng.Uint64(), 2))} // of its own: Pebble deletes files on goroutines of its own
	store, err := Open(config(errorfs.Wrap(disk, eye), "d"))
	if err != nil {
		w.t.Fatalf("%s: %v", c.note, err)
	}
	var before []moment
	for g := range w.groups {
		before = append(before, look(w.t, store, &w.groups[g], c.note))
	}
	cuts := eye.take()
	grown := map[int]raft.Index{}
	for g, m := range before { // a log that was cut short must bear new entries
		if !m.alive {
			continue
		}
		h := history{id: raft.GroupID(g), life: m.life, prev: m.state.Prev}
		if n := len(m.state.Runs); n > 0 {
			h.prev.Index = m.state.Runs[n-1].Last
		}
		h.hard.Term = m.state.Hard.Term + 1
		done := make(chan error, 1)
		ops := []Op{{Group: h.id, Hard: &h.hard, Blocks: h.extend(w.rng)}}
		store.Commit(ops, func(err error) { done <- err })
		if err := errors.Join(<-done, ops[0].Err); err != nil {
			w.t.Fatalf("%s: group %d cannot go on: %v", c.note, g, err)
		}
		grown[g] = h.last()
	}
	if err := store.Close(); err != nil {
		w.t.Fatalf("%s: %v", c.note, err)
	}
	for i := range cuts {
		cuts[i].promised, cuts[i].sent, cuts[i].note = c.promised, c.sent, c.note+", then "+cuts[i].note
		w.recover(cuts[i])
	}
	if store, err = Open(config(disk.CrashClone(vfs.CrashCloneCfg{}), "d")); err != nil {
		w.t.Fatalf("%s, gone on: %v", c.note, err)
	}
	for g, last := range grown {
		if m := look(w.t, store, &w.groups[g], c.note); m.state.Runs[len(m.state.Runs)-1].Last != last || m.life != before[g].life && before[g].life != 0 {
			w.t.Fatalf("%s: group %d went on to %d, has %+v", c.note, g, last, m)
		}
	}
	if err := store.Close(); err != nil {
		w.t.Fatal(err)
	}
	return len(cuts)
}

// TestCrashWhileFounding cuts the power at every change of a first start. The folder must open afterwards.
func TestCrashWhileFounding(t *testing.T) {
	disk := vfs.NewCrashableMem()
	w := &witness{disk: disk, rng: rand.New(rand.NewPCG(1, 2))}
	r := start(t, config(errorfs.Wrap(disk, w), "d"))
	r.stopped()
	if len(w.remains) < 10 {
		t.Errorf("only %d crashes", len(w.remains))
	}
	for _, c := range w.remains {
		s, err := Open(config(c.disk, "d"))
		if err != nil {
			t.Errorf("%s: %v", c.note, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", c.note, err)
		}
	}
}
