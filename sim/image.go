package sim

import (
	"fmt"
	"slices"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
)

// damagedDisk is where the disk says that bits have rotted.
const damagedDisk = "simulated disk"

// An image is what a disk holds of one group.
type image struct {
	alive    bool
	life     int // how often the group was destroyed
	hard     raft.HardState
	snapshot raft.SnapshotMeta
	prev     raft.EntryID   // the entry before the log
	blocks   []*entry.Block // the first may begin at or before prev

	rotHard, rotMeta bool // cannot be read until they are written anew

	standing standing // what the checker has read of the log
}

func (m *image) clone() *image {
	c := *m
	c.blocks = slices.Clone(m.blocks)
	return &c
}

func (m *image) last() raft.EntryID {
	if n := len(m.blocks); n > 0 {
		return raft.EntryID{Index: m.blocks[n-1].Last(), Term: m.blocks[n-1].Term()}
	}
	return m.prev
}

// termAt is the term of the stored entry i, or of prev.
func (m *image) termAt(i raft.Index) (raft.Term, bool) {
	if i == m.prev.Index {
		return m.prev.Term, true
	}
	if k := m.blockOf(i); k >= 0 && i > m.prev.Index {
		return m.blocks[k].Term(), true
	}
	return 0, false
}

// blockOf is the place of the block that holds i, or -1.
func (m *image) blockOf(i raft.Index) int {
	k, found := slices.BinarySearchFunc(m.blocks, i, func(b *entry.Block, i raft.Index) int {
		switch {
		case b.Last() < i:
			return -1
		case b.First() > i:
			return 1
		}
		return 0
	})
	if !found {
		return -1
	}
	return k
}

// check refuses what no correct group asks for, as the store on disk does.
func (m *image) check(o *persister.Op) error {
	prev, last, snapshot := m.prev, m.last(), m.snapshot.Index
	if r := o.Reset; r != nil {
		if r.Index < snapshot {
			return fmt.Errorf("sim: log of group %d reset to %d, below its snapshot at %d", o.Group, r.Index, snapshot)
		}
		prev = raft.EntryID{Index: r.Index, Term: r.Term}
		last, snapshot = prev, r.Index
	}
	for i, b := range o.Blocks {
		switch {
		case b.First() <= prev.Index || b.First() <= snapshot && b.First() <= last.Index:
			return fmt.Errorf("sim: %v replaces what the snapshot at %d covers", b, max(snapshot, prev.Index))
		case b.First() > last.Index+1 || i > 0 && b.First() != last.Index+1:
			return fmt.Errorf("sim: %v after index %d", b, last.Index)
		case b.First() == last.Index+1 && b.Term() < last.Term:
			return fmt.Errorf("sim: %v after term %d", b, last.Term)
		}
		last = raft.EntryID{Index: b.Last(), Term: b.Term()}
	}
	if c := o.Compact; c != nil {
		switch {
		case o.Through > c.Index:
			return fmt.Errorf("sim: compaction through %d, above its snapshot at %d", o.Through, c.Index)
		case c.Index == last.Index && c.Term != last.Term:
			return fmt.Errorf("sim: snapshot at %d of term %d, the entry is of term %d", c.Index, c.Term, last.Term)
		case c.Index > last.Index && o.Through != c.Index:
			return fmt.Errorf("sim: snapshot at %d above the last entry %d", c.Index, last.Index)
		}
	}
	return nil
}

// apply changes the image as the op says.
func (m *image) apply(o *persister.Op) {
	if o.Destroy {
		*m = image{life: m.life + 1}
		return
	}
	if o.Found != nil {
		m.alive, m.snapshot = true, raft.SnapshotMeta{Membership: *o.Found}
	}
	if o.Hard != nil {
		m.hard, m.rotHard = *o.Hard, false
	}
	m.rotMeta = m.rotMeta && o.Found == nil && o.Reset == nil && o.Compact == nil
	if r := o.Reset; r != nil {
		m.snapshot, m.prev, m.blocks = *r, raft.EntryID{Index: r.Index, Term: r.Term}, nil
	}
	if len(o.Blocks) > 0 {
		m.truncate(o.Blocks[0].First())
		m.blocks = append(m.blocks, o.Blocks...)
	}
	if o.Compact != nil {
		m.compact(*o.Compact, o.Through)
	}
}

// truncate removes every entry from first on.
func (m *image) truncate(first raft.Index) {
	for n := len(m.blocks); n > 0; n-- {
		b := m.blocks[n-1]
		if b.Last() < first {
			return
		}
		m.blocks = m.blocks[:n-1]
		if b.First() < first {
			m.blocks = append(m.blocks, b.Slice(b.First(), first-1))
			return
		}
	}
}

func (m *image) compact(meta raft.SnapshotMeta, through raft.Index) {
	m.snapshot = meta
	if through <= m.prev.Index {
		return
	}
	if through > m.last().Index {
		m.prev, m.blocks = raft.EntryID{Index: meta.Index, Term: meta.Term}, nil
		return
	}
	term, _ := m.termAt(through)
	m.prev = raft.EntryID{Index: through, Term: term}
	k := 0
	for k < len(m.blocks) && m.blocks[k].Last() <= through {
		k++
	}
	m.blocks = slices.Delete(m.blocks, 0, k)
}

// state is what a load finds. Every byte is verified on the way.
func (m *image) state(g raft.GroupID, rot rotten) (raft.State, error) {
	switch {
	case m.rotHard:
		return raft.State{}, corrupt(g, 0, "term and vote", nil)
	case m.rotMeta:
		return raft.State{}, corrupt(g, 0, "snapshot metadata", nil)
	}
	st := raft.State{Hard: m.hard, Snapshot: m.snapshot, Prev: m.prev}
	next := m.prev.Index + 1
	for _, b := range m.blocks {
		b, err := rot.decode(g, b)
		if err != nil {
			return raft.State{}, err
		}
		if n := len(st.Runs); n > 0 && st.Runs[n-1].Term == b.Term() {
			st.Runs[n-1].Last = b.Last()
		} else {
			st.Runs = append(st.Runs, raft.Run{First: next, Last: b.Last(), Term: b.Term()})
		}
		changes, err := b.Changes()
		if err != nil {
			return raft.State{}, corrupt(g, b.First(), "block", err)
		}
		for _, c := range changes {
			if c.Index >= next {
				st.Changes = append(st.Changes, c)
			}
		}
		st.Bytes += b.Size()
		st.Stamp = max(st.Stamp, b.Stamp())
		next = b.Last() + 1
	}
	return st, nil
}

// read is Reader.Blocks on this image.
func (m *image) read(g raft.GroupID, from, to raft.Index, maxBytes int, rot rotten) ([]*entry.Block, error) {
	switch {
	case from > to || from > m.last().Index:
		return nil, fmt.Errorf("group %d, index %d: %w", g, from, persister.ErrMissing)
	case from <= m.prev.Index:
		return nil, fmt.Errorf("group %d, index %d: %w", g, from, persister.ErrCompacted)
	}
	var out []*entry.Block
	size := 0
	for k := m.blockOf(from); k < len(m.blocks) && m.blocks[k].First() <= to; k++ {
		b := m.blocks[k]
		if size += b.Size(); len(out) > 0 && size > maxBytes {
			break
		}
		if rot[b] != nil {
			var err error
			if b, err = rot.decode(g, b); err != nil {
				return nil, err
			}
		}
		out = append(out, b)
	}
	return out, nil
}

// touches is what an op that has to read stored blocks finds: one that replaces entries reads the block before them, and one that
// compacts the block that it ends in.
func (m *image) touches(o *persister.Op, rot rotten) error {
	if len(rot) == 0 {
		return nil
	}
	if b := m.reads(o); b != nil && rot[b] != nil {
		_, err := rot.decode(o.Group, b)
		return err
	}
	return nil
}

// reads is the stored block that an op has to read, or nil.
func (m *image) reads(o *persister.Op) *entry.Block {
	at := raft.Index(0)
	if len(o.Blocks) > 0 && o.Reset == nil && o.Blocks[0].First() <= m.last().Index {
		at = o.Blocks[0].First() - 1
	} else if o.Compact != nil && o.Through < m.last().Index {
		at = o.Through
	}
	if k := m.blockOf(at); k >= 0 {
		return m.blocks[k]
	}
	return nil
}
