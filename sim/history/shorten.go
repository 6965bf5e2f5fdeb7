package history

import (
	"cmp"
	"math"
	"slices"
	"sort"

	"github.com/anishathalye/porcupine"
)

const (
	shortenTries = 5_000_000 // to look for the shortest part of a history
	lookTries    = 500_000   // for each look at a part
)

// A shortener looks for a small part of an illegal history of one key that is illegal by itself. What it cuts off makes
// fewer demands, so that the part proves the fault of the whole. A part too hard to judge counts as explained.
type shortener struct {
	left int  // tries
	free bool // the part is illegal whatever the key held before it
}

// illegal reports whether nothing explains some operations of one key.
func (s *shortener) illegal(ops []Op) bool {
	look := min(s.left, lookTries)
	s.left -= look
	result := check(model(s.free), ops, &look)
	s.left += look
	return result == porcupine.Illegal
}

// shortest returns such a part. Its last return is the one that made the history illegal.
func (s *shortener) shortest(ops []Op) []Op {
	// The start of a linearizable history is linearizable: look for the first return that is too much.
	var returns []int64
	for _, o := range ops {
		if !o.Unknown() {
			returns = append(returns, o.Return)
		}
	}
	slices.Sort(returns)
	at := sort.Search(len(returns), func(i int) bool { return s.illegal(until(ops, returns[i])) })
	if at < len(returns) {
		ops = until(ops, returns[at])
	}
	// Where nothing was under way history may be cut: what came before only chose the value there was.
	cuts := quiet(ops)
	s.free = true
	at = sort.Search(len(cuts), func(i int) bool { return s.illegal(after(ops, cuts[i])) })
	if s.free = at < len(cuts); s.free {
		ops = after(ops, cuts[at])
	}
	return s.withoutReads(ops)
}

// quiet returns the times, latest first, at which an operation was called and none with an outcome was under way.
func quiet(ops []Op) (times []int64) {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	busy := int64(math.MinInt64)
	for _, o := range ops {
		if o.Unknown() {
			continue
		}
		if o.Call > busy {
			times = append(times, o.Call)
		}
		busy = max(busy, o.Return)
	}
	slices.Reverse(times)
	return times
}

// withoutReads leaves out the reads that the contradiction does not need.
func (s *shortener) withoutReads(ops []Op) []Op {
	for i := len(ops) - 1; i >= 0; i-- {
		if ops[i].Kind != Get {
			continue
		}
		if fewer := slices.Delete(slices.Clone(ops), i, i+1); s.illegal(fewer) {
			ops = fewer
		}
	}
	return ops
}
