package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Kind says what an operation does.
type Kind uint8

// The kinds.
const (
	Get    Kind = iota + 1
	Put         // sets the key
	Append      // adds to what the key holds; a missing key holds nothing
	CAS         // sets the key if it holds Expect
	Delete      // removes the key
)

func (k Kind) String() string {
	names := [...]string{Get: "get", Put: "put", Append: "append", CAS: "cas", Delete: "delete"}
	if k < Get || k > Delete {
		return fmt.Sprintf("kind %d", k)
	}
	return names[k]
}

// A Value is what a key holds. The zero Value is that of a missing key.
type Value struct {
	Text   string
	Exists bool
}

// Some is the Value of a key that holds text.
func Some(text string) Value { return Value{Text: text, Exists: true} }

// Missing is the Value of a key that is not there.
var Missing Value

// Never is the Return of an operation whose outcome is unknown.
const Never = int64(math.MaxInt64)

// An Op is one operation of a client and what it was told. Times are of the caller's choice, as long as one clock gives them
// all; an operation that returned before another one was called took effect before it, and equal times order nothing.
type Op struct {
	Client int
	Via    string // which node was asked and how, for reports only
	Kind   Kind
	Key    string
	Arg    string // Put, CAS: the new value; Append: what is added
	Expect Value  // CAS only
	Call   int64
	Return int64 // Never: the outcome is unknown, and Saw and Done mean nothing
	Blind  bool  // the answer said that it was applied and no more: Saw and Done mean nothing
	Saw    Value // Get: the value; Append, CAS: the value afterwards
	Done   bool  // CAS: it set the key; Delete: there was a key
}

// Unknown reports whether nobody knows if the operation took effect.
func (o *Op) Unknown() bool { return o.Return == Never }

// answered reports whether the answer says what the operation found.
func (o *Op) answered() bool { return !o.Unknown() && !o.Blind && o.Kind != Put }

// String is the operation in words, with its values at full length.
func (o *Op) String() string { return o.words(func(v string) string { return fmt.Sprintf("%q", v) }) }

func (o *Op) words(show func(string) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", o.Kind, o.Key)
	value := func(v Value) string {
		if !v.Exists {
			return "missing"
		}
		return show(v.Text)
	}
	if o.Kind == CAS {
		fmt.Fprintf(&b, " from %s to", value(o.Expect))
	}
	if o.Kind != Get && o.Kind != Delete {
		fmt.Fprintf(&b, " %s", show(o.Arg))
	}
	switch {
	case o.Unknown():
		b.WriteString(" → unknown")
	case !o.answered():
		b.WriteString(" → done")
	case o.Kind == Delete:
		fmt.Fprintf(&b, " → deleted=%t", o.Done)
	case o.Kind == CAS:
		fmt.Fprintf(&b, " → swapped=%t, %s", o.Done, value(o.Saw))
	default:
		fmt.Fprintf(&b, " → %s", value(o.Saw))
	}
	return b.String()
}

// ByKey sorts operations by their keys. Reads without an answer are left out.
func ByKey(ops []Op) map[string][]Op {
	keys := map[string][]Op{}
	for _, o := range ops {
		if o.Kind == Get && (o.Unknown() || o.Blind) {
			continue
		}
		keys[o.Key] = append(keys[o.Key], o)
	}
	for _, of := range keys {
		slices.SortStableFunc(of, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	}
	return keys
}
