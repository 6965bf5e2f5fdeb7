package persister

import (
	"maps"
	"math"
	"slices"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister/journal"
	"github.com/troupe-raft/troupe/raft"
)

// A table is what the journal is folded into: keys in order, changed by batches.
type table interface {
	// below returns the last key in [low, high), and its value. False: there is none.
	below(low, high []byte) (key, value []byte, ok bool, err error)
	newBatch() tableBatch
}

// A tableBatch is applied whole or not at all. What comes later in it wins.
type tableBatch interface {
	set(key, value []byte) error
	deleteRange(from, to []byte) error
	size() int // bytes
	commit() error
}

// A mover folds one segment of the journal into a table. It works from what the segment's changes do together, so that
// what they have written and ended among themselves costs nothing.
//
// What a change ended is deleted from the table even where it wrote nothing that counts: the table may have entries
// that the segment replaced. What it wrote is left out where a later change, that has landed, ended it.
type mover struct {
	table   table
	groups  map[raft.GroupID]*moving
	through journal.Position // the end of the segment
	slice   int              // bytes of a batch
	batch   tableBatch
}

// moving is what a segment does to one group.
type moving struct {
	gen    generation
	alive  bool
	number uint64
	ended  []generation                // in it
	void   bool                        // nothing of the log that the table has counts any more
	cut    raft.Index                  // nor does what is at or above this; 0: all counts
	prev   raft.Index                  // nor what lies wholly at or below this
	bodies map[journal.Position][]byte // of blocks, by where they are
}

func newMover(t table, through journal.Position, slice int) *mover {
	return &mover{table: t, groups: map[raft.GroupID]*moving{}, through: through, slice: slice}
}

// add follows the next change of the segment. It keeps the change's body.
func (m *mover) add(c *change) error {
	g := m.groups[c.group]
	if g == nil {
		g = &moving{alive: true, bodies: map[journal.Position][]byte{}}
		m.groups[c.group] = g
	}
	g.gen, g.number = c.gen, c.number
	switch c.kind {
	case foundChange:
		g.alive, g.void, g.cut, g.prev = true, true, 0, 0
	case resetChange:
		g.void, g.cut, g.prev = true, 0, 0
		clear(g.bodies)
	case blockChange:
		b, err := c.block()
		if err != nil {
			return err
		}
		if g.bodies[c.at.At] = c.body; g.cut == 0 || b.First() < g.cut {
			g.cut = b.First()
		}
	case compactChange:
		meta, err := decodeMeta(nil, c.body)
		if err != nil {
			return err
		}
		g.prev = max(g.prev, meta.prev.Index)
	case destroyChange:
		g.alive = false
		g.ended = append(g.ended, c.gen)
		clear(g.bodies)
	}
	return nil
}

// move writes all of it, in order of the groups, and then that the journal is kept up to the segment's end.
func (m *mover) move(overlays map[raft.GroupID]*overlay) error {
	m.batch = m.table.newBatch()
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		if err := m.group(id, m.groups[id], overlays[id]); err != nil {
			return err
		}
	}
	if err := m.batch.set(keptKey(), encodeKept(m.through)); err != nil {
		return err
	}
	return m.batch.commit()
}

// room begins another batch when this one is full.
func (m *mover) room() error {
	if m.batch.size() < m.slice {
		return nil
	}
	if err := m.batch.commit(); err != nil {
		return err
	}
	m.batch = m.table.newBatch()
	return nil
}

func (m *mover) group(id raft.GroupID, g *moving, now *overlay) error {
	for _, gen := range g.ended {
		if err := m.batch.deleteRange(appendKey(nil, id, gen, 0), appendKey(nil, id, gen, math.MaxUint8)); err != nil {
			return err
		}
	}
	key := appendRecordKey(nil, id)
	if err := m.batch.set(key, record{gen: g.gen, alive: g.alive, number: g.number}.encode(key)); err != nil || !g.alive {
		return err
	}
	if err := m.end(id, g); err != nil || now.gen != g.gen || !now.alive {
		return err
	}
	if now.hardAt != 0 && now.hardAt < m.through {
		key := appendKey(nil, id, g.gen, hardPart)
		if err := m.batch.set(key, encodeHard(key, now.hard)); err != nil {
			return err
		}
	}
	if now.metaAt != 0 && now.metaAt < m.through {
		key := appendKey(nil, id, g.gen, metaPart)
		if err := m.batch.set(key, now.meta.encode(key)); err != nil {
			return err
		}
	}
	for _, l := range now.blocks {
		if l.at.At >= m.through {
			break
		}
		b, err := entry.Decode(g.bodies[l.at.At])
		if err != nil {
			return err
		}
		if l.last < b.Last() {
			b = b.Slice(l.first, l.last)
		}
		if err := m.batch.set(appendBlockKey(nil, id, g.gen, l.first), b.Bytes()); err != nil {
			return err
		}
		if err := m.room(); err != nil {
			return err
		}
	}
	return nil
}

// end deletes from the table what of a group's log the segment has ended. It looks at the table as it was before the
// batch, which has nothing of this group's log yet.
func (m *mover) end(id raft.GroupID, g *moving) error {
	first, last := appendBlockKey(nil, id, g.gen, 0), appendKey(nil, id, g.gen, blockPart+1)
	if g.void {
		return m.batch.deleteRange(first, last)
	}
	if g.prev > 0 {
		keep := appendBlockKey(nil, id, g.gen, g.prev+1)
		b, err := m.blockBelow(first, keep)
		if err != nil {
			return err
		}
		if b != nil && b.Last() > g.prev {
			keep = appendBlockKey(nil, id, g.gen, b.First())
		}
		if err := m.batch.deleteRange(first, keep); err != nil {
			return err
		}
	}
	if g.cut == 0 {
		return nil
	}
	from := appendBlockKey(nil, id, g.gen, g.cut)
	b, err := m.blockBelow(first, from)
	if err != nil {
		return err
	}
	if b != nil && b.Last() >= g.cut {
		key := appendBlockKey(nil, id, g.gen, b.First())
		if g.cut-1 <= g.prev { // what is left of it was compacted
			return m.batch.deleteRange(key, last)
		}
		if err := m.batch.set(key, b.Slice(b.First(), g.cut-1).Bytes()); err != nil {
			return err
		}
	}
	return m.batch.deleteRange(from, last)
}

// blockBelow is the last block of a range of keys; nil: there is none.
func (m *mover) blockBelow(low, high []byte) (*entry.Block, error) {
	_, value, ok, err := m.table.below(low, high)
	if err != nil || !ok {
		return nil, err
	}
	return entry.Decode(value)
}
