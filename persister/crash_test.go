package persister

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/raft"
)

// A witness clones the disk, as a power cut would leave it, at every change of it.
type witness struct {
	mu      sync.Mutex
	disk    *vfs.MemFS
	on      bool
	every   int
	changes int
	acked   [3]int // by group: how many of its writes were acknowledged
	crashes []crash
	rng     *rand.Rand
}

type crash struct {
	disk  *vfs.MemFS
	acked [3]int
	note  string
}

func (w *witness) MaybeError(op errorfs.Op) error {
	if !anyWrite(op) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changes++; !w.on || w.changes%w.every != 0 {
		return nil
	}
	percent := []int{0, 30, 100}[len(w.crashes)%3]
	w.crashes = append(w.crashes, crash{
		acked: w.acked,
		disk:  w.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: w.rng}),
		note:  fmt.Sprintf("crash %d, before %v of %s, %d%% of the unsynced data kept", len(w.crashes), op.Kind, op.Path, percent),
	})
	return nil
}

func (w *witness) String() string { return "witness" }

// A history is the states that a group's writes lead through.
type history struct {
	hard   raft.HardState
	prev   raft.EntryID
	snap   raft.SnapshotMeta
	terms  []raft.Term // of the entries after prev
	states []raft.State
}

func (h *history) last() raft.Index { return h.prev.Index + raft.Index(len(h.terms)) }

// next draws a random change, which it plays on the model too.
func (h *history) next(rng *rand.Rand, g raft.GroupID) any {
	switch x := rng.IntN(20); {
	case x == 0 && len(h.terms) > 2: // compact, trailing entries kept
		through := h.prev.Index + 1 + raft.Index(rng.IntN(len(h.terms)-1))
		at := max(h.snap.Index, through+raft.Index(rng.IntN(int(h.last()-through)+1)))
		h.snap = raft.SnapshotMeta{Index: at, Term: h.terms[at-h.prev.Index-1], Membership: founding}
		n := through - h.prev.Index
		h.prev, h.terms = raft.EntryID{Index: through, Term: h.terms[n-1]}, h.terms[n:]
		return &Compact{Group: g, Meta: h.snap, Through: through}
	case x == 1: // a snapshot from the leader
		h.hard.Term++
		h.snap = raft.SnapshotMeta{Index: h.last() + raft.Index(rng.IntN(5)), Term: h.hard.Term, Membership: founding}
		h.prev, h.terms = raft.EntryID{Index: h.snap.Index, Term: h.snap.Term}, nil
		snap := h.snap
		return &Write{Group: g, Hard: h.stored(), Reset: &snap}
	case x < 4: // a vote
		h.hard.Term, h.hard.Vote = h.hard.Term+1, raft.NodeID(rng.IntN(3))
		return &Write{Group: g, Hard: h.stored()}
	}
	keep := len(h.terms)
	w := &Write{Group: g}
	if low := int(max(h.snap.Index, h.prev.Index) - h.prev.Index); rng.IntN(4) == 0 && keep > low { // a new leader overwrites
		keep = low + rng.IntN(keep-low)
		h.hard.Term++
		w.Hard = h.stored()
	}
	if h.hard.Term == 0 {
		h.hard.Term, w.Hard = 1, &raft.HardState{Term: 1}
	}
	h.terms = h.terms[:keep:keep]
	for range rng.IntN(3) + 1 {
		n := rng.IntN(4) + 1
		w.Blocks = append(w.Blocks, padded(h.hard.Term, h.last()+1, n, rng.IntN(3000)))
		for range n {
			h.terms = append(h.terms, h.hard.Term)
		}
	}
	return w
}

func (h *history) stored() *raft.HardState {
	s := h.hard
	return &s
}

// keep remembers the state after a change.
func (h *history) keep() {
	s := raft.State{Hard: h.hard, Snapshot: h.snap, Prev: h.prev}
	if h.snap.Index == 0 {
		s.Snapshot.Membership = founding
	}
	for i, term := range h.terms {
		at := h.prev.Index + raft.Index(i) + 1
		if n := len(s.Runs); n > 0 && s.Runs[n-1].Term == term {
			s.Runs[n-1].Last = at
		} else {
			s.Runs = append(s.Runs, raft.Run{First: at, Last: at, Term: term})
		}
	}
	h.states = append(h.states, s)
}

// TestCrashAnywhere cuts the power at the disk's changes while three groups write. Every group must then be as it was after
// one of its writes: whole, and none older than the last acknowledged one.
func TestCrashAnywhere(t *testing.T) {
	rounds, every := 400, 3
	if testing.Short() {
		rounds, every = 100, 5
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	disk := vfs.NewCrashableMem()
	w := &witness{disk: disk, every: every, rng: rand.New(rand.NewPCG(seed, 2))}
	cfg := config(errorfs.Wrap(disk, w), "d")
	cfg.MemTableBytes = 256 << 10
	r := start(t, cfg)
	var groups [3]history
	for g := range groups {
		r.loaded(raft.GroupID(g))
		groups[g].keep()
	}
	w.mu.Lock()
	w.on = true
	w.mu.Unlock()
	pending := 0
	for i := range rounds {
		g := rng.IntN(len(groups))
		m := groups[g].next(rng, raft.GroupID(g))
		groups[g].keep()
		switch m := m.(type) {
		case *Write:
			m.ReplyTo, m.Ack = r.me, &raft.Persisted{}
		case *Compact:
			m.ReplyTo = r.me
		}
		r.send(m)
		pending++
		if rng.IntN(3) > 0 && i < rounds-1 {
			continue
		}
		for ; pending > 0; pending-- {
			g := raft.GroupID(0)
			switch m := expect[any](r).(type) {
			case *Persisted:
				g = m.Group
			case *Compacted:
				g = m.Group
			default:
				t.Fatalf("got %T %+v", m, m)
			}
			w.mu.Lock()
			w.acked[g]++
			w.mu.Unlock()
		}
	}
	r.stopped()
	if len(w.crashes) < 20 {
		t.Errorf("only %d crashes", len(w.crashes))
	}
	t.Logf("%d crashes", len(w.crashes))
	for _, c := range w.crashes {
		recoverFrom(t, c, &groups)
	}
}

func recoverFrom(t *testing.T, c crash, groups *[3]history) {
	t.Helper()
	r := start(t, config(c.disk, "d"))
	defer r.stopped()
	for g := range groups {
		got := r.loaded(raft.GroupID(g))
		ok := false
		for k := c.acked[g]; k < len(groups[g].states) && !ok; k++ {
			ok = reflect.DeepEqual(got, groups[g].states[k])
		}
		if !ok {
			t.Fatalf("%s: group %d is\n%+v, acknowledged was\n%+v", c.note, g, got, groups[g].states[c.acked[g]])
		}
		if n := len(got.Runs); n > 0 {
			r.log(raft.GroupID(g), got.Prev.Index+1, got.Runs[n-1].Last)
		}
	}
}

// TestCrashWhileFounding cuts the power at every change of a first start. The folder must open afterwards.
func TestCrashWhileFounding(t *testing.T) {
	disk := vfs.NewCrashableMem()
	w := &witness{disk: disk, every: 1, on: true, rng: rand.New(rand.NewPCG(1, 2))}
	r := start(t, config(errorfs.Wrap(disk, w), "d"))
	r.stopped()
	if len(w.crashes) < 10 {
		t.Errorf("only %d crashes", len(w.crashes))
	}
	for _, c := range w.crashes {
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
