package persister

import (
	"fmt"
	"slices"

	"github.com/troupe-raft/troupe/persister/journal"
	"github.com/troupe-raft/troupe/raft"
)

// An overlay is what the journal has of one group beyond what is at home, which is the journal folded up to its oldest
// segment. Together they are the group. It follows changes that have landed, in order, and lets go of those of a
// segment that was moved home.
//
// Of the log the low indices are at home and the rest is in the journal: where the journal has blocks, home counts
// below the first of them only, whatever it has beyond.
type overlay struct {
	before uint64 // the number of the last change that is not in the journal
	number uint64 // of the last one that is
	gen    generation
	alive  bool

	recordAt journal.Position // of the last change that made gen and alive what they are; 0: home has it
	hard     raft.HardState
	hardAt   journal.Position // 0: home has it
	meta     meta
	metaAt   journal.Position // likewise
	voidAt   journal.Position // before what is here is moved, nothing that home has of the log counts; 0: what it has counts
	blocks   []located        // in order of their indices, and of their places
}

// A located block counts from first to last, which may be less than what it holds.
type located struct {
	first, last raft.Index
	at          journal.Span
}

// apply follows the next change. Changes of the journal's oldest segments may be applied that home has already.
func (o *overlay) apply(c *change) error {
	known, before := o.number != 0, o.before
	switch {
	case !known:
		before = c.number - 1
	case c.number != o.number+1:
		return fmt.Errorf("change %d of group %d comes after %d", c.number, c.group, o.number)
	case c.kind != foundChange && c.gen != o.gen:
		return fmt.Errorf("change %d of group %d is of generation %d, not %d", c.number, c.group, c.gen, o.gen)
	}
	switch c.kind {
	case foundChange:
		m, err := decodeMeta(nil, c.body)
		if err != nil {
			return err
		}
		*o = overlay{gen: c.gen, alive: true, recordAt: c.pos, meta: m, metaAt: c.pos, voidAt: c.pos}
	case hardChange:
		h, err := decodeHard(nil, c.body)
		if err != nil {
			return err
		}
		o.hard, o.hardAt = h, c.pos
	case resetChange:
		m, err := decodeMeta(nil, c.body)
		if err != nil {
			return err
		}
		o.meta, o.metaAt, o.voidAt, o.blocks = m, c.pos, c.pos, nil
	case blockChange:
		b, err := c.block()
		if err != nil {
			return err
		}
		o.cut(b.First())
		o.blocks = append(o.blocks, located{b.First(), b.Last(), c.at})
	case compactChange:
		m, err := decodeMeta(nil, c.body)
		if err != nil {
			return err
		}
		o.compact(m, c.pos)
	case destroyChange:
		*o = overlay{gen: c.gen, recordAt: c.pos, voidAt: c.pos}
	}
	if o.before, o.number, o.gen = before, c.number, c.gen; o.recordAt == 0 {
		o.alive = true // nothing but the end of a group is stored of one that has ended
	}
	return nil
}

// cut ends what counts of the journal's blocks before an index.
func (o *overlay) cut(first raft.Index) {
	for n := len(o.blocks); n > 0 && o.blocks[n-1].last >= first; n-- {
		if o.blocks[n-1].first < first {
			o.blocks[n-1].last = first - 1
			return
		}
		o.blocks = o.blocks[:n-1]
	}
}

// compact lets go of blocks that lie wholly at or below the entry before the log.
func (o *overlay) compact(m meta, at journal.Position) {
	o.meta, o.metaAt = m, at
	n := 0
	for n < len(o.blocks) && o.blocks[n].last <= m.prev.Index {
		n++
	}
	if n > 0 { // home counts below the first of them at most, and that is gone as well, until they themselves are moved
		o.voidAt = max(o.voidAt, o.blocks[n-1].at.At)
		o.blocks = slices.Delete(o.blocks, 0, n)
	}
}

// atHome is the highest index up to which what home has of the log counts.
func (o *overlay) atHome() raft.Index {
	switch {
	case o.voidAt != 0:
		return 0
	case len(o.blocks) > 0:
		return o.blocks[0].first - 1
	}
	return 1<<64 - 1
}

// moved forgets what is at home once the journal is kept there up to a position, number of the group's changes. It
// reports whether anything is left.
func (o *overlay) moved(through journal.Position, number uint64) bool {
	o.before = number
	o.recordAt, o.hardAt, o.metaAt, o.voidAt = beyond(o.recordAt, through), beyond(o.hardAt, through), beyond(o.metaAt, through), beyond(o.voidAt, through)
	n := 0
	for n < len(o.blocks) && o.blocks[n].at.At < through {
		n++
	}
	o.blocks = slices.Delete(o.blocks, 0, n)
	return o.number > o.before
}

func beyond(at, through journal.Position) journal.Position {
	if at < through {
		return 0
	}
	return at
}
