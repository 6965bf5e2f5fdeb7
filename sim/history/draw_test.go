package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"
)

// draw makes a history of one key: every operation takes effect at a drawn moment between its call and its return, those
// without a return perhaps not at all. It ends with a read.
func draw(t *rapid.T, kinds ...Kind) []Op {
	type effect struct {
		at int64
		op int
	}
	ops, effects := []Op{}, []effect{}
	for client := range rapid.IntRange(1, 4).Draw(t, "clients") {
		now := int64(0)
		for n := range rapid.IntRange(0, 6).Draw(t, "operations") {
			o := Op{Client: client, Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Key: "k", Call: now + rapid.Int64Range(1, 9).Draw(t, "pause")}
			switch o.Kind {
			case Append:
				o.Arg = Token(client, n)
			case Put, CAS:
				o.Arg = fmt.Sprint(rapid.IntRange(1, 3).Draw(t, "value"))
				if expect := rapid.IntRange(0, 3).Draw(t, "expected"); expect > 0 && o.Kind == CAS {
					o.Expect = Some(fmt.Sprint(expect))
				}
			}
			moment := o.Call + rapid.Int64Range(0, 9).Draw(t, "to effect")
			o.Return = moment + rapid.Int64Range(0, 9).Draw(t, "to return")
			now = o.Return
			happens := true
			switch rapid.IntRange(0, 5).Draw(t, "outcome") {
			case 0:
				o.Return, happens = Never, rapid.Bool().Draw(t, "happens")
			case 1:
				o.Blind = o.Kind != Get
			}
			if happens {
				effects = append(effects, effect{moment, len(ops)})
			}
			ops = append(ops, o)
		}
	}
	slices.SortStableFunc(effects, func(a, b effect) int { return cmp.Compare(a.at, b.at) })
	value := Value{}
	for _, e := range effects {
		value = execute(&ops[e.op], value)
	}
	return append(ops, get("k", value).at(10_000, 10_001))
}

// execute is the store, told in other words than the model's.
func execute(o *Op, now Value) Value {
	before := now
	o.Done = o.Kind == Delete && now.Exists
	switch {
	case o.Kind == Put:
		now = Some(o.Arg)
	case o.Kind == Append:
		now = Some(now.Text + o.Arg)
	case o.Kind == Delete:
		now = Missing
	case o.Kind == CAS && before.Exists == o.Expect.Exists && before.Text == o.Expect.Text:
		o.Done, now = true, Some(o.Arg)
	}
	if o.answered() && o.Kind != Delete {
		o.Saw = now
	}
	if !o.answered() {
		o.Done = false
	}
	return now
}

// TestCutsProve draws good histories of all kinds and cuts them in all the ways that reports do: no part may look like a fault.
func TestCutsProve(t *testing.T) {
	parts := 0
	rapid.Check(t, func(t *rapid.T) {
		ops := draw(t, Get, Put, Append, CAS, Delete)
		known := ByKey(ops)["k"]
		explained := func(what string, free bool, part []Op) {
			parts++
			if !porcupine.CheckOperations(model(free), Operations(part)) {
				t.Fatalf("%s: nothing explains\n%v\nof\n%v", what, &Report{Key: "k", Part: part, Free: free}, &Report{Key: "k", Part: known})
			}
		}
		explained("all", false, known)
		times := []int64{math.MinInt64}
		for _, o := range known {
			times = append(times, o.Call, o.Return)
		}
		for _, end := range times {
			start := until(known, end)
			explained("the start", false, start)
			for _, cut := range quiet(start) {
				explained("a cut", true, after(start, cut))
			}
		}
	})
	if parts < 1000 {
		t.Errorf("only %d parts", parts)
	}
}
