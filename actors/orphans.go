package actors

import (
	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/raft"
)

// orphans are proposals of leaderships that this replica lost. Their clients were told that the outcome is unknown and have their
// credit back, but the entries stay in the log until they are committed or replaced. They count against the limits of a
// leadership that follows; otherwise one that comes and goes without a quorum would let the log grow without bound.
type orphans struct {
	list  []orphan // ascending
	bytes int
}

type orphan struct {
	index raft.Index
	bytes int
}

// add notes a proposal that stays in the log although its client has been answered.
func (o *orphans) add(w applier.Waiting) {
	cost := 0
	if q, ok := w.Waiter.(*request); ok {
		cost = max(q.cost, 0)
	}
	o.list = append(o.list, orphan{index: w.Index, bytes: cost})
	o.bytes += cost
}

// committed forgets those that are committed.
func (o *orphans) committed(through raft.Index) {
	n := 0
	for n < len(o.list) && o.list[n].index <= through {
		o.bytes -= o.list[n].bytes
		n++
	}
	if o.list = o.list[n:]; len(o.list) == 0 {
		o.list = nil
	}
}

// replaced forgets those that a newer leader's entries have taken the place of.
func (o *orphans) replaced(first raft.Index) {
	n := len(o.list)
	for n > 0 && o.list[n-1].index >= first {
		n--
		o.bytes -= o.list[n].bytes
	}
	o.list = o.list[:n]
}

// leaveRoom says whether one more proposal fits beside them. The proposal has taken its credit already.
func (o *orphans) leaveRoom(c *credit) bool {
	if len(o.list) == 0 {
		return true
	}
	return int64(len(o.list))+c.entries.Load() <= c.maxEntries && int64(o.bytes)+c.bytes.Load() <= c.maxBytes
}
