package history

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// Check judges a history, key by key. Ok: it is linearizable. Illegal: it is not, and the report says why. Unknown: it could not be told
// within so many tries a key, and the report names the key; 0 sets no limit. A try places one operation behind those that were placed
// before: the verdict is the same on every machine, and a million take a second or two. The report is nil with Ok. The first key, in
// their order, that is not linearizable ends the search.
func Check(ops []Op, tries int) (porcupine.CheckResult, *Report) {
	if tries <= 0 {
		tries = math.MaxInt
	}
	keys := ByKey(ops)
	var tooHard *Report
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		left := tries
		switch check(Model(), keys[key], &left) {
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

// check judges operations of one key, and takes the tries that it needs from those that are left. It begins without the writes of
// unknown outcome that no answer speaks of: what some order of the others explains, the same order explains with those behind it, or
// never done. They are what makes a history hard, since each may stand anywhere.
func check(m porcupine.Model, ops []Op, left *int) porcupine.CheckResult {
	if likely := withoutUnseen(ops); len(likely) < len(ops) {
		few := *left / 2
		*left -= few
		result := place(m, likely, &few)
		*left += few
		if result == porcupine.Ok {
			return porcupine.Ok
		}
	}
	return place(m, ops, left)
}

// withoutUnseen leaves out the writes of unknown outcome whose value is in no answer.
func withoutUnseen(ops []Op) (likely []Op) {
	for _, o := range ops {
		if !o.Unknown() || slices.ContainsFunc(ops, func(other Op) bool { return other.answered() && strings.Contains(other.Saw.Text, o.Arg) }) {
			likely = append(likely, o)
		}
	}
	return likely
}

// place has porcupine look for an order. Where no try is left, no operation fits any more, so that it comes back soon.
func place(m porcupine.Model, ops []Op, left *int) porcupine.CheckResult {
	step, spent := m.Step, false
	m.Step = func(state, in, out any) (bool, any) {
		if *left == 0 {
			spent = true
			return false, state
		}
		*left--
		return step(state, in, out)
	}
	switch {
	case porcupine.CheckOperations(m, Operations(ops)):
		return porcupine.Ok
	case spent:
		return porcupine.Unknown
	}
	return porcupine.Illegal
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
