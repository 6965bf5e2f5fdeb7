package persister

import (
	"bytes"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// blocksOf opens an iterator over the blocks of a group. The caller closes it.
func (s *Store) blocksOf(id raft.GroupID, gen generation) (*pebble.Iterator, error) {
	return s.db.NewIter(&pebble.IterOptions{
		LowerBound: appendKey(nil, id, gen, blockPart),
		UpperBound: appendKey(nil, id, gen, blockPart+1),
	})
}

// at decodes and verifies the block that it is positioned at. The block aliases the iterator's memory and is
// good until it moves, unless it is to be kept.
func (s *Store) at(it *pebble.Iterator, id raft.GroupID, keep bool) (*entry.Block, error) {
	i, ok := blockIndex(it.Key())
	if !ok {
		return nil, s.corrupt(id, 0, "key of a block", errDamaged)
	}
	raw, err := it.ValueAndErr()
	if err != nil {
		return nil, s.unread(id, i, "block cannot be read", err)
	}
	if keep {
		raw = bytes.Clone(raw)
	}
	b, err := entry.Decode(raw)
	if err != nil {
		return nil, s.corrupt(id, i, "block", err)
	}
	if b.First() != i {
		return nil, s.corrupt(id, i, "block of another index in its place", nil)
	}
	return b, nil
}

// blockKeys returns the first few keys of stored blocks in [from, to).
func (s *Store) blockKeys(from, to []byte, few int) (keys [][]byte, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok && len(keys) < few; ok = it.Next() {
		keys = append(keys, bytes.Clone(it.Key()))
	}
	return keys, it.Close()
}

// truncate removes the entries that first and its followers replace (§5.3): the blocks at or after it, and the end of
// the block that it begins in.
func (w *writer) truncate(g *group, id raft.GroupID, first *entry.Block) error {
	if g.batch == w.number { // its blocks may be in the batch, which cannot be read
		if err := w.split(); err != nil {
			return err
		}
	}
	it, err := w.blocksOf(id, g.gen)
	if err != nil {
		return err
	}
	err = w.cut(it, g, id, first)
	if closing := it.Close(); err == nil {
		err = closing
	}
	return err
}

func (w *writer) cut(it *pebble.Iterator, g *group, id raft.GroupID, first *entry.Block) error {
	before := g.prev // the entry that first follows
	var begun *entry.Block
	if it.SeekLT(appendBlockKey(nil, id, g.gen, first.First())) {
		b, err := w.at(it, id, true)
		if err != nil {
			return err
		}
		if b.Last() > g.prev.Index {
			begun = b
			before = raft.EntryID{Index: min(b.Last(), first.First()-1), Term: b.Term()}
		}
	}
	switch {
	case it.Error() != nil:
		return it.Error()
	case before.Index != first.First()-1:
		return w.corrupt(id, first.First()-1, "block is missing", nil)
	case first.Term() < before.Term:
		return broken(id, "%v after term %d", first, before.Term)
	}
	if begun != nil && before.Index < begun.Last() {
		if err := w.shorten(g, id, begun, before.Index); err != nil {
			return err
		}
	}
	if begun == nil || before.Index == g.prev.Index {
		g.firstBlock = 0
	}
	g.last = before
	for ok := it.SeekGE(appendBlockKey(nil, id, g.gen, first.First())); ok; ok = it.Next() {
		if err := w.batch.Delete(it.Key(), nil); err != nil {
			return err
		}
	}
	return it.Error()
}

// shorten makes b end at last, or removes it when that leaves only entries that were compacted.
func (w *writer) shorten(g *group, id raft.GroupID, b *entry.Block, last raft.Index) error {
	w.key = appendBlockKey(w.key[:0], id, g.gen, b.First())
	if last <= g.prev.Index {
		return w.batch.Delete(w.key, nil)
	}
	return w.set(b.Slice(b.First(), last).Bytes())
}

// compact stores a snapshot's metadata and drops the blocks that lie wholly at or below o.Through. A snapshot
// older than the stored one changes nothing.
func (w *writer) compact(g *group, o *Op) error {
	m := *o.Compact
	if m.Index < g.snapshot {
		return nil
	}
	g.snapshot = m.Index
	if o.Through > g.prev.Index {
		if g.batch == w.number { // see truncate
			if err := w.split(); err != nil {
				return err
			}
		}
		if err := w.advance(g, o.Group, m, o.Through); err != nil {
			return err
		}
	}
	return w.meta(o.Group, g.gen, meta{snapshot: m, prev: g.prev})
}

// advance makes entry through the one before the log.
func (w *writer) advance(g *group, id raft.GroupID, m raft.SnapshotMeta, through raft.Index) error {
	prev := raft.EntryID{Index: m.Index, Term: m.Term} // where the log ends at m or before
	keep := raft.Index(0)
	if through < g.last.Index {
		it, err := w.blocksOf(id, g.gen)
		if err != nil {
			return err
		}
		prev, keep, err = w.around(it, g, id, through)
		if closing := it.Close(); err == nil {
			err = closing
		}
		if err != nil {
			return err
		}
	}
	end := keep
	if end == 0 {
		end = math.MaxUint64
	}
	if err := w.dropBlocks(id, g, end); err != nil {
		return err
	}
	g.prev, g.firstBlock = prev, keep
	if g.last.Index <= through {
		g.last = prev
	}
	return nil
}

// around finds entry i, which is not the last, and the first index of the first block with an entry after it.
func (w *writer) around(it *pebble.Iterator, g *group, id raft.GroupID, i raft.Index) (at raft.EntryID, keep raft.Index, err error) {
	missing := func() error {
		if err := it.Error(); err != nil {
			return err
		}
		return w.corrupt(id, i, "block is missing", nil)
	}
	if !it.SeekLT(appendBlockKey(nil, id, g.gen, i+1)) {
		return at, 0, missing()
	}
	b, err := w.at(it, id, false)
	if err != nil {
		return at, 0, err
	}
	at = raft.EntryID{Index: i, Term: b.Term()}
	switch {
	case b.Last() < i:
		return at, 0, missing()
	case b.Last() > i:
		return at, b.First(), nil
	case !it.Next():
		return at, 0, missing()
	}
	if keep, _ = blockIndex(it.Key()); keep != i+1 {
		return at, 0, missing()
	}
	return at, keep, nil
}
