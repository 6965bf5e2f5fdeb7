package applier

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A log of blocks of drawn sizes, the end of which the sender has at hand. What lies before it is read from the disk, a few bytes at a time, and
// turns end anywhere: after a part of what was read, at its end, amid the sender's blocks. Each entry is applied once, in order.
func TestTurnsMayEndOnEitherSideOfAGap(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0x9a9))
		var log []*entry.Block
		last := raft.Index(0)
		for range 1 + rng.IntN(40) {
			data := make([]string, 1+rng.IntN(5))
			for i := range data {
				data[i] = string(make([]byte, rng.IntN(50)))
			}
			log = append(log, block(1, last+1, data...))
			last += raft.Index(len(data))
		}
		var applied []raft.Index
		a := gapApplier(&disk{blocks: log}, func(c Command) { applied = append(applied, c.Index) })
		a.TurnBytes, a.ReadBytes = 1+rng.IntN(200), 1+rng.IntN(1000)
		for from := raft.Index(0); from < last; {
			through := from + 1 + raft.Index(rng.IntN(int(last-from)))
			m := &Committed{Through: raft.EntryID{Index: through, Term: 1}}
			for _, b := range log[rng.IntN(len(log)):] {
				if b.First() <= through {
					m.Blocks = append(m.Blocks, b)
				}
			}
			if err := applyAll(a, m); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			from = through
		}
		for i, got := range applied {
			if got != raft.Index(i+1) {
				t.Fatalf("seed %d: entry %d was applied in place of %d", seed, got, i+1)
			}
		}
		if len(applied) != int(last) {
			t.Fatalf("seed %d: %d of %d entries were applied", seed, len(applied), last)
		}
	}
}

// A sender whose list has a hole itself, at any place, does not get entries skipped or the replica stopped: the hole is read from the disk.
func TestHolesInTheSendersBlocksAreRead(t *testing.T) {
	var log []*entry.Block
	for i := range raft.Index(10) {
		log = append(log, block(1, 1+2*i, "a", "b"))
	}
	for hole := range log {
		var applied []raft.Index
		a := gapApplier(&disk{blocks: log}, func(c Command) { applied = append(applied, c.Index) })
		a.TurnBytes, a.ReadBytes = 3, 1
		m := &Committed{Through: raft.EntryID{Index: 20, Term: 1}}
		m.Blocks = append(append(m.Blocks, log[:hole]...), log[hole+1:]...)
		if err := applyAll(a, m); err != nil {
			t.Fatalf("hole %d: %v", hole, err)
		}
		if fmt.Sprint(applied) != "[1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20]" {
			t.Errorf("hole %d: applied %v", hole, applied)
		}
	}
}

// The end of the log was replaced, and the disk has not heard of that yet: of its block, which begins before and goes on where the sender's begins, no more
// is applied than the sender lacks.
func TestReplacedEntriesOnTheDiskAreNotApplied(t *testing.T) {
	for kept := range raft.Index(5) { // entries of the old block that are committed
		var applied []string
		a := gapApplier(&disk{blocks: []*entry.Block{block(1, 1, "a", "b", "c", "d", "e")}}, func(c Command) { applied = append(applied, string(c.Data)) })
		want := append([]string{"a", "b", "c", "d", "e"}[:kept:kept], "x", "y")
		m := &Committed{Through: raft.EntryID{Index: kept + 2, Term: 2}, Blocks: []*entry.Block{block(2, kept+1, "x", "y")}}
		if err := applyAll(a, m); err != nil || !slices.Equal(applied, want) {
			t.Errorf("it applies %q, %v, not %q", applied, err, want)
		}
	}
}

func gapApplier(d *disk, apply func(Command)) *applier {
	return &applier{
		Config: Config{Group: 1, Reader: d}.withDefaults(), machine: applyFunc(apply), sessions: newSessions(), begun: true,
	}
}

// applyAll takes turns at one Committed until it is done.
func applyAll(a *applier, m *Committed) error {
	for w := (&batch{Committed: m}); ; {
		turn := a.newTurn(func() time.Duration { return 0 }, nil)
		if done, err := a.some(w, &turn); done || err != nil {
			return err
		}
	}
}

// An applyFunc is a state machine that only applies.
type applyFunc func(Command)

func (f applyFunc) Apply(c Command) []byte                 { f(c); return nil }
func (applyFunc) Snapshot() (func(io.Writer) error, error) { return nil, nil }
func (applyFunc) Restore(io.Reader) error                  { return nil }
