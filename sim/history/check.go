package history

import (
	"maps"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// Check judges a history, key by key. Ok: it is linearizable. Illegal: it is not, and the report says why. Unknown: it could not be told
// within the timeout, and the report names the key. The report is nil with Ok. A timeout of 0 sets no limit; reports take a
// few seconds more. The first key, in their order, that is not linearizable ends the search.
func Check(ops []Op, timeout time.Duration) (porcupine.CheckResult, *Report) {
	start := time.Now()
	keys := ByKey(ops)
	var tooHard *Report
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		left := time.Duration(0)
		if timeout > 0 {
			left = max(timeout-time.Since(start), 1)
		}
		switch porcupine.CheckOperationsTimeout(Model(), Operations(keys[key]), left) {
		case porcupine.Illegal:
			return porcupine.Illegal, newReport(key, keys[key])
		case porcupine.Unknown:
			if tooHard == nil {
				tooHard = &Report{Key: key, Total: len(keys[key]), Undecided: true}
			}
		}
	}
	if tooHard != nil {
		return porcupine.Unknown, tooHard
	}
	return porcupine.Ok, nil
}

// until is what was known of a history at a time: the operations called by then, the outcomes of those that had not returned unknown.
func until(ops []Op, time int64) (known []Op) {
	for _, o := range ops {
		if o.Call > time {
			continue
		}
		if o.Return > time {
			if o.Kind == Get {
				continue
			}
			o.Return = Never
		}
		known = append(known, o)
	}
	return known
}

// after is what returned at a time or later, or never.
func after(ops []Op, time int64) (left []Op) {
	for _, o := range ops {
		if o.Return >= time {
			left = append(left, o)
		}
	}
	return left
}
