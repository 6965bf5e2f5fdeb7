package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Token is a word for AppendOnly: client and n make it unique, and a space ends it.
func Token(client, n int) string { return fmt.Sprintf("%d:%d ", client, n) }

// AppendOnly judges the keys of a history that were only read and appended to, in time that hardly grows faster than the history. Every
// append's Arg must be unique within its key and end in a byte that is nowhere else in it, the same one for all. Then every value that anyone saw says which appends came
// before it, in their order, and it demands that all agree: no word twice, none that nobody appended, each value the beginning of the
// longest one, later answers never shorter, and every acknowledged word in the longest value. Hence somebody must
// read each key after its last append whose answer did not tell the value. The error names the key, the first in their order.
func AppendOnly(ops []Op) error {
	keys := ByKey(ops)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if err := appendOnly(keys[key]); err != nil {
			return fmt.Errorf("history: key %q: %w", key, err)
		}
	}
	return nil
}

func appendOnly(ops []Op) error {
	words, end, err := wordsOf(ops)
	if err != nil {
		return err
	}
	longest := &Op{}
	for i := range ops {
		if o := &ops[i]; o.answered() && len(o.Saw.Text) > len(longest.Saw.Text) {
			longest = o
		}
	}
	for i := range ops {
		if o := &ops[i]; o.answered() && !strings.HasPrefix(longest.Saw.Text, o.Saw.Text) {
			return fmt.Errorf("values that do not continue each other:\n%v\n%v", describe(o, longest), describe(longest, o))
		}
	}
	ends, err := places(longest, words, end)
	if err != nil {
		return err
	}
	points, err := pointsOf(ops, ends)
	if err != nil {
		return err
	}
	return inTime(ops, points)
}

// wordsOf returns who appended which word, and the byte that ends them all.
func wordsOf(ops []Op) (words map[string]*Op, end byte, err error) {
	words = map[string]*Op{}
	for i := range ops {
		o := &ops[i]
		switch o.Kind {
		case Get:
			continue
		case Append:
		default:
			return nil, 0, fmt.Errorf("it was not only appended to: %v", o)
		}
		n := len(o.Arg)
		if n > 0 && len(words) == 0 {
			end = o.Arg[n-1]
		}
		if n == 0 || strings.IndexByte(o.Arg, end) != n-1 {
			return nil, 0, fmt.Errorf("%q is no word: it does not end in the only %q in it", o.Arg, end)
		}
		if other := words[o.Arg]; other != nil {
			return nil, 0, fmt.Errorf("%q is appended twice, by clients %d and %d", o.Arg, other.Client, o.Client)
		}
		words[o.Arg] = o
	}
	return words, end, nil
}

// places returns, for every word of the longest value, how many bytes the value has up to and with it.
func places(longest *Op, words map[string]*Op, end byte) (ends map[string]int, err error) {
	ends = map[string]int{}
	text := longest.Saw.Text
	for at := 0; at < len(text); {
		word := text[at : at+1+strings.IndexByte(text[at:], end)]
		switch {
		case words[word] == nil:
			return nil, fmt.Errorf("at byte %d stands what nobody appended: %s\nin %v", at, abbreviate(text[at:], ""), describe(longest, nil))
		case ends[word] != 0:
			return nil, fmt.Errorf("%q stands twice, the second time at byte %d\nin %v", word, at, describe(longest, nil))
		}
		at += len(word)
		ends[word] = at
	}
	return ends, nil
}

// pointsOf returns for every operation the length of the value when it had taken effect; -1 for one that nobody saw the effect of.
func pointsOf(ops []Op, ends map[string]int) ([]int, error) {
	points := make([]int, len(ops))
	cuts := map[int]bool{0: true} // lengths at which a word ends
	for _, end := range ends {
		cuts[end] = true
	}
	for i := range ops {
		o := &ops[i]
		if o.answered() && (!cuts[len(o.Saw.Text)] || o.Saw.Exists != (o.Saw.Text != "")) {
			return nil, fmt.Errorf("a value that ends within a word, or is there and empty: %v", describe(o, nil))
		}
		if o.Kind == Get {
			points[i] = len(o.Saw.Text)
			continue
		}
		end, seen := ends[o.Arg]
		switch {
		case !seen && o.Unknown():
			end = -1
		case !seen:
			return nil, fmt.Errorf("acknowledged, and in no value that anyone saw: %v", describe(o, nil))
		case o.answered() && end != len(o.Saw.Text):
			return nil, fmt.Errorf("its word is not the last of the value that it answered: %v", describe(o, nil))
		}
		points[i] = end
	}
	return points, nil
}

// inTime demands that an operation takes effect after all that returned before it was called. An append, which makes a length of
// its own, needs a length above theirs; a read not less.
func inTime(ops []Op, points []int) error {
	byReturn := make([]int, len(ops))
	for i := range ops {
		byReturn[i] = i
	}
	slices.SortFunc(byReturn, func(a, b int) int { return cmp.Compare(ops[a].Return, ops[b].Return) })
	latest, next := -1, 0 // the highest point among those that returned
	for i := range ops {  // in the order of their calls
		for ; next < len(ops) && ops[byReturn[next]].Return < ops[i].Call; next++ {
			if latest < 0 || points[byReturn[next]] > points[latest] {
				latest = byReturn[next]
			}
		}
		if latest < 0 || points[i] < 0 {
			continue
		}
		if points[i] < points[latest] || points[i] == points[latest] && ops[i].Kind == Append {
			return fmt.Errorf("the second was called after the first had returned, and took effect before it:\n%v\n%v",
				describe(&ops[latest], &ops[i]), describe(&ops[i], &ops[latest]))
		}
	}
	return nil
}

// describe is an operation in one line. With other, what both saw at the start is left out.
func describe(o, other *Op) string {
	common := ""
	if other != nil {
		common = commonStart([]Op{*o, *other})
	}
	return fmt.Sprintf("[%d, %d] client %d %s: %s", o.Call, o.Return, o.Client, o.Via, o.words(func(v string) string { return abbreviate(v, common) }))
}
