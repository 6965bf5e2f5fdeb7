package history

import (
	"hash/maphash"
	"strings"

	"github.com/anishathalye/porcupine"
)

// A state is what one key may hold. A free one is not known yet: the first answer that tells decides. Freedom explains more
// histories, never fewer, so that what it cannot explain is a fault.
type state struct {
	Value
	free bool
}

// Model is the key-value store to porcupine, one key a partition. Inputs of its operations are *Op; outputs are not looked at.
func Model() porcupine.Model { return model(false) }

var hashSeed = maphash.MakeSeed() // buckets only: no verdict depends on it

func model(free bool) porcupine.Model {
	return porcupine.Model{
		Partition: partition,
		Init:      func() any { return state{free: free} },
		Step: func(s, in, _ any) (bool, any) {
			ok, next := step(s.(state), in.(*Op))
			return ok, next
		},
		Equal: func(a, b any) bool { return a.(state) == b.(state) },
		Hash:  func(s any) uint64 { return maphash.String(hashSeed, s.(state).Text) },
		DescribeOperation: func(in, _ any) string {
			return in.(*Op).words(func(v string) string { return abbreviate(v, "") })
		},
		DescribeState: func(s any) string { return s.(state).String() },
		DescribeOperationMetadata: func(m any) string {
			via, _ := m.(string)
			return via
		},
	}
}

func (s state) String() string {
	switch {
	case s.free:
		return "anything"
	case !s.Exists:
		return "missing"
	default:
		return abbreviate(s.Text, "")
	}
}

// step executes an operation and reports whether its answer fits.
func step(s state, o *Op) (bool, state) {
	if s.free {
		return stepFree(o)
	}
	next := s
	switch o.Kind {
	case Get:
		return !o.answered() || o.Saw == s.Value, s
	case Put:
		next.Value = Some(o.Arg)
	case Append:
		if o.answered() {
			whole := o.Saw.Text
			fits := o.Saw.Exists && len(whole) == len(s.Text)+len(o.Arg) && strings.HasPrefix(whole, s.Text) && strings.HasSuffix(whole, o.Arg)
			return fits, state{Value: o.Saw}
		}
		next.Value = Some(s.Text + o.Arg)
	case CAS:
		done := s.Value == o.Expect
		if done {
			next.Value = Some(o.Arg)
		}
		return !o.answered() || o.Done == done && o.Saw == next.Value, next
	case Delete:
		next.Value = Missing
		return !o.answered() || o.Done == s.Exists, next
	default:
		return false, s
	}
	return true, next
}

// stepFree is step from a state that is not known.
func stepFree(o *Op) (bool, state) {
	switch {
	case o.Kind == Put:
		return true, state{Value: Some(o.Arg)}
	case o.Kind == Delete:
		return true, state{}
	case !o.answered():
		return true, state{free: true}
	case o.Kind == Append:
		return o.Saw.Exists && strings.HasSuffix(o.Saw.Text, o.Arg), state{Value: o.Saw}
	case o.Kind == CAS && o.Done:
		return o.Saw == Some(o.Arg), state{Value: o.Saw}
	case o.Kind == CAS:
		return o.Saw != o.Expect, state{Value: o.Saw}
	default:
		return true, state{Value: o.Saw}
	}
}

func partition(history []porcupine.Operation) (parts [][]porcupine.Operation) {
	at := map[string]int{}
	for _, p := range history {
		key := p.Input.(*Op).Key
		i, ok := at[key]
		if !ok {
			i = len(parts)
			at[key], parts = i, append(parts, nil)
		}
		parts[i] = append(parts[i], p)
	}
	return parts
}

// Operations is a history as porcupine takes it.
func Operations(ops []Op) []porcupine.Operation {
	out := make([]porcupine.Operation, len(ops))
	for i := range ops {
		o := ops[i]
		out[i] = porcupine.Operation{ClientId: max(o.Client, 0), Input: &o, Call: o.Call, Return: o.Return, Metadata: o.Via}
	}
	return out
}
