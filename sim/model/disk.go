package model

import (
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// A disk is what a server finds when it restarts.
type disk struct {
	hard     raft.HardState
	snapshot raft.SnapshotMeta
	prev     raft.EntryID
	terms    []raft.Term // of the entries after prev
	changes  []raft.Change
}

// A write is one atomic change of a disk, and what waits for it.
type write struct {
	hard    *raft.HardState
	reset   *raft.SnapshotMeta
	runs    []raft.Run
	changes []raft.Change
	ack     raft.Persisted
	held    []uint32 // messages
}

func (d *disk) clone() disk {
	c := *d
	c.terms, c.changes = slices.Clone(d.terms), slices.Clone(d.changes)
	return c
}

func (d *disk) last() raft.Index { return d.prev.Index + raft.Index(len(d.terms)) }

// termAt returns the term of entry i, which may be that of the snapshot.
func (d *disk) termAt(i raft.Index) (raft.Term, bool) {
	switch {
	case i == d.prev.Index:
		return d.prev.Term, true
	case i > d.prev.Index && i <= d.last():
		return d.terms[i-d.prev.Index-1], true
	case i == d.snapshot.Index:
		return d.snapshot.Term, true
	}
	return 0, false
}

// holds reports whether entry i of term is durable here, by itself or in a snapshot.
func (d *disk) holds(i raft.Index, term raft.Term) bool {
	if i < d.prev.Index || i < d.snapshot.Index {
		return true // only what is committed is compacted
	}
	t, ok := d.termAt(i)
	return ok && t == term
}

func (d *disk) apply(w write) {
	if w.hard != nil {
		d.hard = *w.hard
	}
	if w.reset != nil {
		if w.reset.Index >= d.snapshot.Index {
			d.snapshot = *w.reset
		}
		d.prev = raft.EntryID{Index: w.reset.Index, Term: w.reset.Term}
		d.terms, d.changes = nil, nil
	}
	if len(w.runs) > 0 { // what is compacted stands
		d.truncate(max(w.runs[0].First, d.prev.Index+1))
	}
	for _, r := range w.runs {
		for i := max(r.First, d.prev.Index+1); i <= r.Last; i++ {
			d.terms = append(d.terms, r.Term)
		}
	}
	for _, c := range w.changes {
		if c.Index > d.prev.Index {
			d.changes = append(d.changes, c)
		}
	}
}

// truncate removes entry from and all after it.
func (d *disk) truncate(from raft.Index) {
	d.terms = d.terms[:min(from-d.prev.Index-1, raft.Index(len(d.terms)))]
	d.changes = slices.DeleteFunc(d.changes, func(c raft.Change) bool { return c.Index >= from })
}

// snapshotted makes a snapshot durable and forgets the log through through, if it is the log that the snapshot was taken of.
func (d *disk) snapshotted(s raft.SnapshotMeta, through raft.Index) {
	t, ok := d.termAt(s.Index)
	d.snapshot = s
	if !ok || t != s.Term || through <= d.prev.Index {
		return
	}
	at, _ := d.termAt(through)
	d.terms = slices.Clone(d.terms[through-d.prev.Index:])
	d.prev = raft.EntryID{Index: through, Term: at}
	d.changes = slices.DeleteFunc(d.changes, func(c raft.Change) bool { return c.Index <= through })
}

// state is what the rules are started from.
func (d *disk) state() raft.State {
	st := raft.State{Hard: d.hard, Snapshot: d.snapshot, Prev: d.prev, Changes: slices.Clone(d.changes)}
	for k, t := range d.terms {
		i := d.prev.Index + raft.Index(k) + 1
		if n := len(st.Runs); n > 0 && st.Runs[n-1].Term == t {
			st.Runs[n-1].Last = i
		} else {
			st.Runs = append(st.Runs, raft.Run{First: i, Last: i, Term: t})
		}
	}
	return st
}
