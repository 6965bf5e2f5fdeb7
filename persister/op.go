package persister

import (
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// An invariantError is a change that no correct group asks for. It stops that group and no other.
type invariantError struct {
	group  raft.GroupID
	reason string
}

func (e *invariantError) Error() string {
	return fmt.Sprintf("persister: broken invariant of group %d: %s", e.group, e.reason)
}

func broken(g raft.GroupID, format string, args ...any) error {
	return &invariantError{g, fmt.Sprintf(format, args...)}
}

// op adds one op to the batch, or nothing of it when it fails for its group's sake (ofGroup): what may meet damage is read before anything
// is added. Any other error is the store's.
func (w *writer) op(t *task, o *Op) error {
	if o.Destroy {
		return w.destroy(t, o.Group)
	}
	w.mu.RLock()
	known, ok := w.groups[o.Group]
	w.mu.RUnlock()
	if !ok || known.loading {
		return broken(o.Group, "written without being loaded")
	}
	g := *known // w alone changes it, so that the copy stays true
	if err := w.check(&g, o); err != nil {
		return err
	}
	if len(o.Blocks) > 0 && o.Reset == nil && o.Blocks[0].First() <= g.last.Index {
		if err := w.truncate(&g, o.Group, o.Blocks[0]); err != nil {
			return err
		}
	}
	if o.Compact != nil { // reads, too; and nothing of what store adds comes with it but Hard, which it does not touch
		if err := w.compact(&g, o); err != nil {
			return err
		}
	}
	if err := w.store(&g, o); err != nil {
		return err
	}
	g.batch = w.number
	w.mu.Lock()
	*known = g
	w.mu.Unlock()
	return nil
}

// check refuses what would leave a gap, go back in time or touch what a snapshot covers.
func (w *writer) check(g *group, o *Op) error {
	prev, last, snapshot := g.prev, g.last, g.snapshot
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
		case b.First() == last.Index+1 && b.Term() < last.Term:
			return broken(o.Group, "%v after term %d", b, last.Term)
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

// store adds everything of o but its compaction.
func (w *writer) store(g *group, o *Op) error {
	if o.Found != nil {
		w.key = appendRecordKey(w.key[:0], o.Group)
		if err := w.set(record{gen: g.gen, alive: true}.encode(w.key)); err != nil {
			return err
		}
		if err := w.meta(o.Group, g.gen, meta{snapshot: raft.SnapshotMeta{Membership: *o.Found}}); err != nil {
			return err
		}
	}
	if o.Hard != nil {
		w.key = appendKey(w.key[:0], o.Group, g.gen, hardPart)
		if err := w.set(encodeHard(w.key, *o.Hard)); err != nil {
			return err
		}
	}
	if m := o.Reset; m != nil {
		if err := w.dropBlocks(o.Group, g, math.MaxUint64); err != nil {
			return err
		}
		g.snapshot, g.prev, g.firstBlock = m.Index, raft.EntryID{Index: m.Index, Term: m.Term}, 0
		g.last = g.prev
		if err := w.meta(o.Group, g.gen, meta{snapshot: *m, prev: g.prev}); err != nil {
			return err
		}
	}
	for _, b := range o.Blocks {
		if err := w.block(g, o.Group, b); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) set(value []byte) error { return w.batch.Set(w.key, value, nil) }

func (w *writer) meta(g raft.GroupID, gen generation, m meta) error {
	w.key = appendKey(w.key[:0], g, gen, metaPart)
	return w.set(m.encode(w.key))
}

func (w *writer) block(g *group, id raft.GroupID, b *entry.Block) error {
	if g.firstBlock == 0 {
		g.firstBlock = b.First()
	}
	g.last = raft.EntryID{Index: b.Last(), Term: b.Term()}
	w.key = appendBlockKey(w.key[:0], id, g.gen, b.First())
	return w.set(b.Bytes())
}

// dropBlocks removes the blocks whose key is below end. A range costs every later reader of
// the memtable a little, so short logs are removed block by block.
func (w *writer) dropBlocks(id raft.GroupID, g *group, end raft.Index) error {
	if g.firstBlock == 0 || g.firstBlock >= end {
		return nil
	}
	from, to := appendBlockKey(nil, id, g.gen, g.firstBlock), appendBlockKey(nil, id, g.gen, end)
	if g.batch == w.number { // the batch is not read: it may hold blocks that the database does not show yet
		return w.batch.DeleteRange(from, to, nil)
	}
	const few = 32
	keys, err := w.blockKeys(from, to, few+1)
	if err != nil {
		return err
	}
	if len(keys) > few {
		return w.batch.DeleteRange(from, to, nil)
	}
	for _, key := range keys {
		if err := w.batch.Delete(key, nil); err != nil {
			return err
		}
	}
	return nil
}

// destroy removes everything of a group, loaded or not, and keeps its generation.
func (w *writer) destroy(t *task, id raft.GroupID) error {
	w.mu.Lock()
	known, loaded := w.groups[id]
	delete(w.groups, id)
	delete(w.damaged, id)
	w.mu.Unlock()
	var r record
	if loaded && !known.loading {
		r = record{gen: known.gen, alive: true} // perhaps founded in this very batch
	} else if stored, err := w.record(id); err != nil {
		return err
	} else {
		r = stored
	}
	if !r.alive {
		return nil
	}
	t.remove = append(t.remove, w.snapshotDir(id, r.gen))
	w.key = appendRecordKey(w.key[:0], id)
	if err := w.set(record{gen: r.gen}.encode(w.key)); err != nil {
		return err
	}
	from := appendKey(nil, id, r.gen, 0)
	return w.batch.DeleteRange(from, appendKey(nil, id, r.gen, math.MaxUint8), nil)
}

// record reads a group's record, zero when there is none.
func (s *Store) record(g raft.GroupID) (record, error) {
	key := appendRecordKey(nil, g)
	value, closer, err := s.db.Get(key)
	if err == pebble.ErrNotFound {
		return record{}, nil
	}
	if err != nil {
		return record{}, err
	}
	r, err := decodeRecord(key, value)
	if closing := closer.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return record{}, s.corrupt(g, 0, "record", err)
	}
	return r, nil
}

// next is the record of the group that lives, or would live next, under the id of r.
func (r record) next() record {
	if r.alive {
		return r
	}
	return record{gen: r.gen + 1}
}

// corrupt is the error of damage, unread that of a read that failed, which Pebble may take for damage of a file of its own.
func (s *Store) corrupt(g raft.GroupID, i raft.Index, what string, err error) error {
	return &CorruptError{Dir: s.cfg.Dir, Group: g, Index: i, Reason: what, Err: err}
}

func (s *Store) unread(g raft.GroupID, i raft.Index, what string, err error) error {
	return &CorruptError{Dir: s.cfg.Dir, Group: g, Index: i, Reason: what, Err: err, unread: true}
}
