package actors

import "github.com/troupe-raft/troupe/raft"

// An inheritance is what a leadership has found in the log and cannot know to be committed before an entry of its own is (§5.4.2): proposals of
// leaderships that this replica lost, in this run or before a restart, and of other leaders. Nobody waits for them here, yet they stay
// in the log until they are committed or replaced. So they count against the limits of what a leader takes; otherwise leaderships that come and go
// without a quorum would let the log grow without bound.
type inheritance struct {
	through        raft.Index // in doubt until this is committed
	entries, bytes int64
}

// A found is the part of the log that was on disk when this run of the replica began. Its blocks are in no tail.
type found struct {
	last  raft.Index
	bytes int // no less than it has: what is replaced or committed is not taken off
}

// replaced notes that entries from first on have been.
func (f *found) replaced(first raft.Index) { f.last = min(f.last, first-1) }

// inherit takes stock when a leadership begins: its only entry is the last, a no-op. Commits begin with that one, so that the stock stays
// as it is until it is all committed.
func (r *replica) inherit() {
	last := r.node.LastIndex() - 1
	r.inherited = inheritance{}
	if last <= r.commit.Index {
		return
	}
	h := inheritance{through: last, entries: int64(last - r.commit.Index)}
	from := r.commit.Index + 1
	if r.found.last > r.commit.Index {
		h.bytes, from = int64(r.found.bytes), r.found.last+1
	}
	blocks := r.tail.between(from-1, last)
	for _, b := range blocks {
		h.bytes += int64(b.Size())
	}
	if from <= last && (len(blocks) == 0 || blocks[0].First() > from) { // the tail has let go of some, which it does when it has more bytes than may be in flight
		h.bytes = max(h.bytes, r.handle.credit.maxBytes)
	}
	r.inherited = h
}

// leaveRoom says whether one more proposal fits, which has taken its credit already: beside what was inherited, and beside what waits for this
// server's own disk. Others may have committed that without it, so that no credit is out for it, but all of it is in memory. One entry more than
// the limit is room for the no-op that the leadership began with.
func (r *replica) leaveRoom() bool {
	if lag := r.node.LastIndex() - r.node.Durable(); lag > 0 && (int(lag)+len(r.batch) > r.cfg.MaxInflightEntries || r.tail.bytes > r.cfg.MaxInflightBytes) {
		return false
	}
	h, c := &r.inherited, r.handle.credit
	if h.through <= r.commit.Index {
		return true
	}
	entries, bytes := c.inUse()
	return h.entries+entries <= c.maxEntries && h.bytes+bytes <= c.maxBytes
}
