package raft

import "slices"

// A ReplicaState is what a Replica's disk holds. Read-only.
type ReplicaState struct {
	Hard         HardState
	Snapshot     SnapshotMeta
	SnapshotData []byte
	Prev         EntryID // the entry before the first of Entries
	Entries      []CommittedEntry
}

// A memoryLog is a disk in memory.
type memoryLog struct {
	hard     HardState
	snapshot SnapshotMeta
	data     []byte // the snapshot
	prev     EntryID
	entries  []CommittedEntry
}

// A write is one atomic change of the disk.
type write struct {
	hard    *HardState
	reset   *SnapshotMeta
	data    []byte // of reset
	entries []CommittedEntry
}

func (l *memoryLog) last() Index { return l.prev.Index + Index(len(l.entries)) }

// slice returns the entries first..last, which must be here.
func (l *memoryLog) slice(first, last Index) []CommittedEntry {
	return l.entries[first-l.prev.Index-1 : last-l.prev.Index : last-l.prev.Index]
}

func (l *memoryLog) has(id EntryID) bool {
	if id.Index == l.prev.Index {
		return id == l.prev
	}
	return id.Index > l.prev.Index && id.Index <= l.last() && l.slice(id.Index, id.Index)[0].Term == id.Term
}

func (l *memoryLog) apply(w write) {
	if w.hard != nil {
		l.hard = *w.hard
	}
	if w.reset != nil {
		l.reset(*w.reset, w.data)
	}
	if len(w.entries) == 0 {
		return
	}
	first := w.entries[0].Index
	last := w.entries[len(w.entries)-1].Index
	if first <= l.prev.Index { // compacted since, hence committed: what is kept of it stands
		w.entries = w.entries[min(l.prev.Index, last)-first+1:]
		first = l.prev.Index + 1
	}
	keep := first - 1 - l.prev.Index
	l.entries = append(l.entries[:keep:keep], w.entries...) // what slice lent stays as it was
}

// reset empties the log to continue s, unless a newer snapshot was taken before this write got its turn: that one stays.
func (l *memoryLog) reset(s SnapshotMeta, data []byte) {
	if s.Index >= l.snapshot.Index {
		l.snapshot, l.data = s, data
	}
	l.prev = EntryID{Index: s.Index, Term: s.Term}
	l.entries = nil
}

// compact forgets the entries through i, which must be here or gone already.
func (l *memoryLog) compact(i Index) {
	if i <= l.prev.Index {
		return
	}
	e := l.slice(i, i)[0]
	l.entries = slices.Clone(l.slice(i+1, l.last()))
	l.prev = EntryID{Index: i, Term: e.Term}
}

func (l *memoryLog) clone() *memoryLog {
	c := *l
	c.entries = slices.Clone(l.entries)
	return &c
}

// state is what New wants to know.
func (l *memoryLog) state() State {
	st := State{Hard: l.hard, Snapshot: l.snapshot, Prev: l.prev}
	st.Runs = runsOf(l.entries)
	for _, e := range l.entries {
		if e.Kind == Reconfigure {
			st.Changes = append(st.Changes, Change{Index: e.Index, Membership: *e.Membership})
		}
	}
	return st
}

func (l *memoryLog) export() *ReplicaState {
	return &ReplicaState{
		Hard: l.hard, Snapshot: l.snapshot, SnapshotData: l.data,
		Prev: l.prev, Entries: slices.Clone(l.entries),
	}
}

func (s *ReplicaState) log() *memoryLog {
	return &memoryLog{
		hard: s.Hard, snapshot: s.Snapshot, data: s.SnapshotData,
		prev: s.Prev, entries: slices.Clone(s.Entries),
	}
}

// runsOf returns the term spans of consecutive entries.
func runsOf(entries []CommittedEntry) []Run {
	var s Shape
	for _, e := range entries {
		s.extend(Run{First: e.Index, Last: e.Index, Term: e.Term})
	}
	return s.Runs
}
