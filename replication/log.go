package replication

import (
	"fmt"
	"slices"
	"sort"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// view is the log as the leader of one term knows it: its whole shape, and the newest blocks of it.
type view struct {
	shape raft.Shape     // owned
	cache []*entry.Block // consecutive; usually the end of the log
	base  []*entry.Block // empty, at the start of cache's array, for use when cache is empty
	bytes int            // in cache
}

// An idle group does not keep the memory of a long cache.
const keptCapacity = 256

func newView(s raft.Shape) view {
	return view{shape: raft.Shape{Prev: s.Prev, Runs: slices.Clone(s.Runs)}}
}

// extend takes a block of the leader's log. It panics when the block does not fit: the parent broke the
// contract, and a restart brings the log afresh.
func (v *view) extend(b *entry.Block, term raft.Term) {
	run, last := b.Run(), v.shape.LastID()
	switch {
	case run.First == last.Index+1 && run.Term >= last.Term && run.Term <= term:
		v.append(run)
	case v.shape.Contains(run):
	default:
		panic(fmt.Sprintf("replication: block %v of term %d does not follow %v", b, term, last))
	}
	if n := len(v.cache); n > 0 {
		if run.First >= v.cache[0].First() && run.Last <= v.cache[n-1].Last() {
			return // told twice
		}
		if v.cache[n-1].Last()+1 != run.First {
			v.drop(n)
		}
	}
	cache := append(v.cache, b)
	if cap(cache) != cap(v.cache) {
		v.base = cache[:0]
	}
	v.cache = cache
	v.bytes += b.Size()
}

func (v *view) append(r raft.Run) {
	if n := len(v.shape.Runs); n > 0 && v.shape.Runs[n-1].Term == r.Term {
		v.shape.Runs[n-1].Last = r.Last
		return
	}
	v.shape.Runs = append(v.shape.Runs, r)
}

// trim forgets what lies before first, which follows prev.
func (v *view) trim(first raft.Index, prev raft.EntryID) {
	if first <= v.shape.First() || first != prev.Index+1 {
		return
	}
	runs := v.shape.Runs
	k := 0
	for k < len(runs) && runs[k].Last < first {
		k++
	}
	runs = slices.Delete(runs, 0, k)
	if len(runs) > 0 {
		runs[0].First = max(runs[0].First, first)
	}
	v.shape = raft.Shape{Prev: prev, Runs: runs}
	v.release(first - 1)
}

// from returns the position in the cache of the block with entry i, or -1.
func (v *view) from(i raft.Index) int {
	n := len(v.cache)
	if n == 0 || i < v.cache[0].First() || i > v.cache[n-1].Last() {
		return -1
	}
	if v.cache[n-1].First() <= i { // a follower that keeps up asks for the newest
		return n - 1
	}
	return sort.Search(n, func(k int) bool { return v.cache[k].Last() >= i })
}

// release drops the blocks that end at or before through.
func (v *view) release(through raft.Index) {
	k := 0
	for k < len(v.cache) && v.cache[k].Last() <= through {
		k++
	}
	v.drop(k)
}

// shrink drops the oldest blocks until they fit.
func (v *view) shrink(bytes int) {
	k, rest := 0, v.bytes
	for k < len(v.cache) && rest > bytes {
		rest -= v.cache[k].Size()
		k++
	}
	v.drop(k)
}

func (v *view) drop(n int) {
	if n == 0 {
		return
	}
	for _, b := range v.cache[:n] {
		v.bytes -= b.Size()
	}
	clear(v.cache[:n])
	if v.cache = v.cache[n:]; len(v.cache) > 0 {
		return
	}
	if cap(v.base) > keptCapacity {
		v.base = nil
	}
	v.cache = v.base
}

// check verifies blocks that were read back: consecutive, the first with entry from in it, and each of
// the very term that the leader's log has. What lies beyond the log as known is cut off.
func (v *view) check(blocks []*entry.Block, from raft.Index) ([]*entry.Block, error) {
	last := v.shape.Last()
	for k, b := range blocks {
		run := b.Run()
		if k == 0 && (run.First > from || run.Last < from) || k > 0 && run.First != blocks[k-1].Last()+1 {
			return nil, fmt.Errorf("replication: read %v while entry %d was wanted", b, from)
		}
		if run.First > last {
			return blocks[:k], nil
		}
		// Entries before the first are compacted in the view but may still be stored.
		known := raft.Run{First: max(run.First, from), Last: min(run.Last, last), Term: run.Term}
		if !v.shape.Contains(known) {
			return nil, fmt.Errorf("replication: read %v: %w", b, errOverwritten)
		}
		if run.Last > last {
			blocks = append(slices.Clone(blocks[:k]), b.Slice(run.First, last))
			return blocks, nil
		}
		from = run.Last + 1
	}
	return blocks, nil
}
