package persister

import (
	"slices"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A written group is a loaded one as its last op leaves it, landed or not. Ops are held against it, and are made into
// changes, without reading anything.
type written struct {
	gen      generation
	alive    bool
	number   uint64 // of the last change
	snapshot raft.Index
	prev     raft.EntryID
	runs     []raft.Run // of the entries after prev
}

func (w *written) last() raft.EntryID {
	if n := len(w.runs); n > 0 {
		return raft.EntryID{Index: w.runs[n-1].Last, Term: w.runs[n-1].Term}
	}
	return w.prev
}

// termAt is the term of an entry from prev to the last.
func (w *written) termAt(i raft.Index) raft.Term {
	for _, r := range w.runs {
		if r.First <= i && i <= r.Last {
			return r.Term
		}
	}
	return w.prev.Term
}

// check refuses what would leave a gap, go back in time or touch what a snapshot covers.
func (w *written) check(o *Op) error {
	prev, last, snapshot := w.prev, w.last(), w.snapshot
	if m := o.Reset; m != nil {
		if m.Index < snapshot {
			return broken(o.Group, "log reset to index %d, below the stored snapshot at %d", m.Index, snapshot)
		}
		prev = raft.EntryID{Index: m.Index, Term: m.Term}
		last, snapshot = prev, m.Index
	}
	for i, b := range o.Blocks {
		switch {
		case b.First() <= prev.Index || b.First() <= snapshot && b.First() <= last.Index:
			return broken(o.Group, "%v replaces what the snapshot at %d covers", b, max(snapshot, prev.Index))
		case b.First() > last.Index+1 || i > 0 && b.First() != last.Index+1:
			return broken(o.Group, "%v after index %d", b, last.Index)
		}
		before := last.Term
		if i == 0 && o.Reset == nil && b.First() <= last.Index {
			before = w.termAt(b.First() - 1)
		}
		if b.Term() < before {
			return broken(o.Group, "%v after term %d", b, before)
		}
		last = raft.EntryID{Index: b.Last(), Term: b.Term()}
	}
	if m := o.Compact; m != nil {
		switch {
		case len(o.Blocks) > 0 || o.Reset != nil || o.Found != nil:
			return broken(o.Group, "compaction together with another change")
		case m.Index == last.Index && m.Term != last.Term:
			return broken(o.Group, "snapshot at %d of term %d, the entry is of term %d", m.Index, m.Term, last.Term)
		case o.Through > m.Index:
			return broken(o.Group, "compaction through %d, above its snapshot at %d", o.Through, m.Index)
		case m.Index > last.Index && o.Through != m.Index:
			return broken(o.Group, "snapshot at %d above the last entry %d", m.Index, last.Index)
		}
	}
	return nil
}

// apply makes an op that was checked into changes, in order, each of which leaves a whole group.
func (w *written) apply(o *Op, emit func(kind changeKind, body []byte)) {
	say := func(kind changeKind, body []byte) {
		w.number++
		emit(kind, body)
	}
	if o.Destroy {
		*w = written{gen: w.gen, number: w.number}
		say(destroyChange, nil)
		return
	}
	if o.Found != nil {
		*w = written{gen: w.gen, alive: true, number: w.number}
		say(foundChange, meta{snapshot: raft.SnapshotMeta{Membership: *o.Found}}.encode(nil))
	}
	if o.Hard != nil {
		say(hardChange, encodeHard(nil, *o.Hard))
	}
	if m := o.Reset; m != nil {
		w.snapshot, w.prev, w.runs = m.Index, raft.EntryID{Index: m.Index, Term: m.Term}, nil
		say(resetChange, meta{snapshot: *m, prev: w.prev}.encode(nil))
	}
	for _, b := range o.Blocks {
		w.put(b)
		say(blockChange, b.Bytes())
	}
	if m := o.Compact; m != nil && m.Index >= w.snapshot { // an older one changes nothing
		w.compact(m, o.Through)
		say(compactChange, meta{snapshot: *m, prev: w.prev}.encode(nil))
	}
}

// put has a block replace everything from its first entry on.
func (w *written) put(b *entry.Block) {
	for n := len(w.runs); n > 0 && w.runs[n-1].Last >= b.First(); n = len(w.runs) {
		if w.runs[n-1].First < b.First() {
			w.runs = slices.Clone(w.runs) // others may read them
			w.runs[n-1].Last = b.First() - 1
			break
		}
		w.runs = w.runs[: n-1 : n-1]
	}
	if n := len(w.runs); n > 0 && w.runs[n-1].Term == b.Term() {
		w.runs = slices.Clone(w.runs)
		w.runs[n-1].Last = b.Last()
		return
	}
	w.runs = append(w.runs[:len(w.runs):len(w.runs)], raft.Run{First: b.First(), Last: b.Last(), Term: b.Term()})
}

// compact drops the entries up to one, or all that there are where the snapshot is above them.
func (w *written) compact(m *raft.SnapshotMeta, through raft.Index) {
	w.snapshot = m.Index
	switch last := w.last(); {
	case through <= w.prev.Index:
	case through >= last.Index:
		w.prev, w.runs = raft.EntryID{Index: m.Index, Term: m.Term}, nil
	default:
		w.prev = raft.EntryID{Index: through, Term: w.termAt(through)}
		n := slices.IndexFunc(w.runs, func(r raft.Run) bool { return r.Last > through })
		w.runs = slices.Clone(w.runs[n:])
		w.runs[0].First = max(w.runs[0].First, through+1)
	}
}
