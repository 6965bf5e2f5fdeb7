package persister

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// A history is the states that one group's changes lead through, over all the groups that bear its id.
type history struct {
	id      raft.GroupID
	life    int // counts them
	alive   bool
	hard    raft.HardState
	prev    raft.EntryID
	snap    raft.SnapshotMeta
	terms   []raft.Term // of the entries after prev
	changes []raft.Change
	past    []moment // after each change, and before the first

	rejected bool // a write of it was sent that no correct group asks for: it must be loaded again
}

type moment struct {
	life  int
	alive bool
	state raft.State
}

// is compares with what was found, where a life that has left no trace yet is 0.
func (m moment) is(found moment) bool {
	return m.alive == found.alive && (!m.alive || (found.life == 0 || m.life == found.life) && reflect.DeepEqual(m.state, sizeless(found.state)))
}

func (h *history) last() raft.Index { return h.prev.Index + raft.Index(len(h.terms)) }

func (h *history) stored() *raft.HardState {
	s := h.hard
	return &s
}

// next draws a change of a living group, which it plays on the model too. What it returns is a *Write, *Compact or *Destroy.
func (h *history) next(rng *rand.Rand) any {
	switch x := rng.IntN(24); {
	case x == 0 && len(h.terms) > 2:
		return h.compact(rng)
	case x == 1: // a snapshot from the leader
		h.hard.Term++
		h.snap = raft.SnapshotMeta{Index: h.last() + raft.Index(rng.IntN(5)), Term: h.hard.Term, Membership: founding}
		h.prev, h.terms, h.changes = raft.EntryID{Index: h.snap.Index, Term: h.snap.Term}, nil, nil
		snap := h.snap
		w := &Write{Group: h.id, Hard: h.stored(), Reset: &snap}
		if rng.IntN(2) == 0 {
			w.Blocks = h.extend(rng)
		}
		return w
	case x < 4: // a vote
		h.hard.Term, h.hard.Vote = h.hard.Term+1, raft.NodeID(rng.IntN(3))
		return &Write{Group: h.id, Hard: h.stored()}
	case x == 4: // a promise that stores nothing
		return &Write{Group: h.id}
	case x == 5:
		h.alive = false
		return &Destroy{Group: h.id}
	}
	w := &Write{Group: h.id}
	if low := int(max(h.snap.Index, h.prev.Index) - h.prev.Index); rng.IntN(4) == 0 && len(h.terms) > low { // a new leader overwrites
		h.truncate(low + rng.IntN(len(h.terms)-low))
		h.hard.Term++
		w.Hard = h.stored()
	}
	if h.hard.Term == 0 {
		h.hard.Term, w.Hard = 1, &raft.HardState{Term: 1}
	}
	w.Blocks = h.extend(rng)
	return w
}

// compact drops a part of the log, trailing entries kept.
func (h *history) compact(rng *rand.Rand) any {
	through := h.prev.Index + 1 + raft.Index(rng.IntN(len(h.terms)-1))
	at := max(h.snap.Index, through+raft.Index(rng.IntN(int(h.last()-through)+1)))
	h.snap = raft.SnapshotMeta{Index: at, Term: h.terms[at-h.prev.Index-1], Membership: founding}
	n := through - h.prev.Index
	h.prev, h.terms = raft.EntryID{Index: through, Term: h.terms[n-1]}, h.terms[n:]
	h.changes = slices.DeleteFunc(slices.Clone(h.changes), func(c raft.Change) bool { return c.Index <= through })
	return &Compact{Group: h.id, Meta: h.snap, Through: through}
}

func (h *history) truncate(keep int) {
	h.terms = h.terms[:keep:keep]
	h.changes = slices.DeleteFunc(slices.Clone(h.changes), func(c raft.Change) bool { return c.Index > h.last() })
}

// extend makes blocks that follow the log. Every entry says whose it is and where it belongs.
func (h *history) extend(rng *rand.Rand) (blocks []*entry.Block) {
	for range rng.IntN(3) + 1 {
		var b entry.Builder
		first := h.last() + 1
		for range rng.IntN(4) + 1 {
			at := h.last() + 1
			h.terms = append(slices.Clip(h.terms), h.hard.Term)
			if rng.IntN(12) == 0 {
				m := raft.Membership{Voters: []raft.NodeID{1, 2, 3, raft.NodeID(4 + at)}}
				h.changes = append(slices.Clip(h.changes), raft.Change{Index: at, Membership: m})
				b.Append(raft.Reconfigure, 0, 0, 0, entry.AppendMembership(nil, m))
				continue
			}
			b.Append(raft.Command, 0, 0, 0, append(label(h.id, h.life, at, h.hard.Term), bytes.Repeat([]byte("x"), rng.IntN(3000))...))
		}
		blocks = append(blocks, b.Seal(h.hard.Term, first))
	}
	return blocks
}

// snapshotOf is the name of the file that stands for a group's snapshots.
const snapshotOf = "of-life-%d"

func label(g raft.GroupID, life int, i raft.Index, term raft.Term) []byte {
	return fmt.Appendf(nil, "%d.%d %d/%d ", g, life, i, term)
}

func lifeOf(label []byte) (life int) {
	_, _ = fmt.Sscanf(string(label), "%d.%d", new(int), &life) // 0 is nobody's
	return life
}

// found is the start of another life.
func (h *history) found() {
	*h = history{id: h.id, life: h.life + 1, alive: true, past: h.past}
	h.snap.Membership = founding
}

// keep remembers how it is after a change.
func (h *history) keep() {
	m := moment{life: h.life, alive: h.alive}
	if h.alive {
		m.state = raft.State{Hard: h.hard, Snapshot: h.snap, Prev: h.prev}
		if len(h.changes) > 0 {
			m.state.Changes = h.changes
		}
		for i, term := range h.terms {
			at := h.prev.Index + raft.Index(i) + 1
			if n := len(m.state.Runs); n > 0 && m.state.Runs[n-1].Term == term {
				m.state.Runs[n-1].Last = at
			} else {
				m.state.Runs = append(m.state.Runs, raft.Run{First: at, Last: at, Term: term})
			}
		}
	}
	h.past = append(h.past, m)
}

// A world is a store in use by several groups: what was asked of it, in order, and how much of that it has promised.
type world struct {
	*rig
	rng    *rand.Rand
	groups [4]history
	order  []int // the group of each change
	told   func(promised int)
	sends  func(sent int)
	failed int // so often it was said that the store failed

	opening bool // a fault came while the store was opened
}

// A promise comes with every change that may carry one. It is the change's number, from 1 on.
type promise int

func newWorld(r *rig, seed uint64) *world {
	w := &world{rig: r, rng: rand.New(rand.NewPCG(seed, 1)), told: func(int) {}, sends: func(int) {}}
	for i := range w.groups {
		w.groups[i].id = raft.GroupID(i)
		w.groups[i].keep()
	}
	w.me = w.system.Root.Spawn(stage.Props(w.stage, func() actor.Actor { return actor.ReceiveFunc(w.hear) }))
	return w
}

// hear notes a promise the moment that it arrives, for the disk to know before it changes any further.
func (w *world) hear(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case promise:
		w.told(int(m))
	case *Persisted:
		w.told(int(m.Ack.Last))
		w.inbox <- m
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		w.inbox <- m
	}
}

// play makes a round of changes and waits until all of them are promised. False: the store failed before that.
func (w *world) play() bool {
	pending := 0
	for range 1 + w.rng.IntN(4) {
		g := w.rng.IntN(len(w.groups))
		h := &w.groups[g]
		if !h.alive || h.rejected || w.rng.IntN(20) == 0 {
			for ; pending > 0; pending-- {
				if !w.answered() {
					return false
				}
			}
			if !w.reload(h) {
				return false
			}
			continue
		}
		if w.rng.IntN(12) == 0 { // in the others' batch, and as if it had not been
			h.rejected = true
			w.send(&Write{Group: h.id, Hard: &raft.HardState{Term: h.hard.Term + 100}, Blocks: []*entry.Block{block(h.hard.Term+100, h.last()+2, 1)}, ReplyTo: w.me})
			pending++
			continue
		}
		m := h.next(w.rng)
		number := w.note(h)
		switch m := m.(type) {
		case *Write:
			m.ReplyTo, m.Ack = w.me, &raft.Persisted{Last: raft.Index(number)}
			m.Then = []Delivery{{w.me, promise(number)}}
		case *Compact:
			m.ReplyTo = w.me
		case *Destroy:
			m.ReplyTo = w.me
		}
		w.send(m)
		pending++
	}
	for ; pending > 0; pending-- {
		if !w.answered() {
			return false
		}
	}
	w.told(len(w.order))
	return true
}

// note counts a change of h, before it is sent.
func (w *world) note(h *history) int {
	h.keep()
	w.order = append(w.order, int(h.id))
	w.sends(len(w.order))
	return len(w.order)
}

// answered waits for the next answer.
func (w *world) answered() bool {
	w.t.Helper()
	switch m := expect[any](w.rig).(type) {
	case *Persisted, *Compacted:
	case *Destroyed:
		if m.Err != nil {
			if w.store.Failed() == nil {
				w.t.Fatal(m.Err)
			}
			return false
		}
	case *StoreFailed:
		if broken := (*invariantError)(nil); errors.As(m.Err, &broken) {
			return true
		}
		w.failed++
		return false
	default:
		w.t.Fatalf("got %T %+v", m, m)
	}
	return true
}

// reload loads a group, perhaps released before, which founds it when it does not live. All that was written must be seen.
func (w *world) reload(h *history) bool {
	w.t.Helper()
	h.rejected = false
	if h.alive && w.rng.IntN(2) == 0 {
		w.send(&Release{Group: h.id})
	}
	founds := !h.alive
	if founds {
		h.found()
		w.note(h)
	}
	w.send(&Load{Group: h.id, Founding: founding, ReplyTo: w.me})
	switch m := expect[any](w.rig).(type) {
	case *Loaded:
		if m.Err != nil {
			if w.store.Failed() == nil {
				w.t.Fatal(m.Err)
			}
			w.failed++
			return false
		}
		if want := h.past[len(h.past)-1].state; !reflect.DeepEqual(sizeless(m.State), want) {
			w.t.Fatalf("loaded\n%+v, written was\n%+v", m.State, want)
		}
	case *StoreFailed:
		w.failed++
		return false
	default:
		w.t.Fatalf("got %T %+v", m, m)
	}
	w.told(len(w.order))
	if founds { // if the disk lets us, which is not the store's affair
		fs, dir := w.store.cfg.FS, w.store.SnapshotDir(h.id)
		if fs.MkdirAll(dir, 0o755) == nil && writeFile(fs, fs.PathJoin(dir, fmt.Sprintf(snapshotOf, h.life)), []byte("snapshot")) == nil {
			_ = syncDir(fs, dir)
		}
	}
	return true
}
