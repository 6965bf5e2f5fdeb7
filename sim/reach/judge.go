package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// A verdict is what was found of one package.
type verdict struct {
	demand
	all, reached, listed int // statements
	missing              []*block
	rare                 []*block
}

func (v *verdict) percent() float64 {
	if v.all == 0 {
		return 100
	}
	return 100 * float64(v.reached) / float64(v.all)
}

// judge prints what was reached and reports whether all demands are met.
func judge(out io.Writer, l *list, blocks []*block, only []string, rare int) bool {
	fine := true
	complain := func(format string, args ...any) {
		fine = false
		fmt.Fprintf(out, format+"\n", args...)
	}
	chosen := func(pkg string) bool { return len(only) == 0 || slices.Contains(only, pkg) }
	verdicts := sum(l, blocks, rare)
	for _, v := range verdicts {
		if !chosen(v.pkg) {
			continue
		}
		fmt.Fprintf(out, "%-12s %5.1f %% of %d statements, %d listed; demanded are %.1f %%\n", v.pkg, v.percent(), v.all, v.listed, v.demand.percent)
		printBlocks(out, blocks, v.missing)
		if len(v.rare) > 0 {
			fmt.Fprintf(out, "  executed at most %d times:\n", rare)
			printBlocks(out, blocks, v.rare)
		}
	}
	for _, v := range verdicts {
		if !chosen(v.pkg) {
			continue
		}
		if v.percent() < v.demand.percent {
			complain("%s: %.2f %% are below the demand of %.1f %%: have the simulator do what leads to the statements above", v.pkg, v.percent(), v.demand.percent)
		}
		if v.demand.percent >= full && len(v.missing) > 0 {
			complain("%s: %d places above are neither reached nor listed in sim/reach/reach.txt with a reason", v.pkg, len(v.missing))
		}
	}
	for _, it := range slices.Concat(l.live, l.never) {
		held := slices.DeleteFunc(slices.Clone(blocks), func(b *block) bool { return !it.holds(b) })
		if len(held) == 0 {
			complain("reach.txt:%d: there is no %v: bring the list up to date with the code", it.number, it.place)
		}
	}
	for _, it := range l.never {
		for _, b := range blocks {
			if it.holds(b) && b.count > 0 {
				complain("reach.txt:%d: %v is listed and was reached %d times, at line %d: take it off the list", it.number, it.place, b.count, b.first)
			}
		}
	}
	return fine
}

// sum counts the statements of each package.
func sum(l *list, blocks []*block, rare int) (all []*verdict) {
	of := map[string]*verdict{}
	for _, d := range l.demands {
		of[d.pkg] = &verdict{demand: d}
		all = append(all, of[d.pkg])
	}
	for _, b := range blocks {
		v := of[b.pkg()]
		if v == nil || holdsAny(l.live, b) {
			continue
		}
		v.all += b.statements
		switch {
		case b.count > 0:
			v.reached += b.statements
			if b.count <= rare {
				v.rare = append(v.rare, b)
			}
		case holdsAny(l.never, b):
			v.listed += b.statements
		default:
			v.missing = append(v.missing, b)
		}
	}
	return all
}

func holdsAny(items []item, b *block) bool {
	return slices.ContainsFunc(items, func(it item) bool { return it.holds(b) })
}

// printBlocks prints blocks with what the list would call them.
func printBlocks(out io.Writer, all, blocks []*block) {
	slices.SortStableFunc(blocks, func(a, b *block) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line)) })
	for _, b := range blocks {
		fmt.Fprintf(out, "  line %-4d %v: %s\n", b.first, name(all, b), code(b.source[b.first-1]))
	}
}

// name is the shortest name that only this block has.
func name(all []*block, b *block) place {
	p := place{file: b.file, fn: b.fn, then: b.then}
	for before := range 6 {
		p.line = b.quoted(before)
		same := 0
		for _, other := range all {
			if p.holds(other) {
				same++
			}
		}
		if same <= 1 {
			break
		}
	}
	return p
}
