package history

import (
	"slices"
	"sync"
)

// A Recorder writes a history down while it happens. Its methods are safe for concurrent use.
type Recorder struct {
	now func() int64

	mu    sync.Mutex
	last  int64
	calls []*Call
	notes []Note
}

// A Note is something that a reader of a report wants to know: that a node was killed, say.
type Note struct {
	Time int64
	Text string
}

// NewRecorder returns an empty Recorder that asks now for the time. Times that do not grow are moved on, so that no two events share one.
func NewRecorder(now func() int64) *Recorder { return &Recorder{now: now} }

// A Call is an operation under way. Exactly one of Answer, Unknown and Failed ends it; until then its outcome is unknown.
type Call struct {
	r    *Recorder
	op   Op
	gone bool
}

// time is called with r.mu held.
func (r *Recorder) time() int64 {
	r.last = max(r.now(), r.last+1)
	return r.last
}

// Begin is to be called before the operation is sent anywhere. It sets the time of the call.
func (r *Recorder) Begin(op Op) *Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	op.Call, op.Return = r.time(), Never
	c := &Call{r: r, op: op}
	r.calls = append(r.calls, c)
	return c
}

// Answer is to be called once the answer is there. tell writes what it says, Saw, Done or Blind, into the operation; nil writes nothing.
func (c *Call) Answer(tell func(*Op)) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.op.Return = c.r.time()
	if tell != nil {
		tell(&c.op)
	}
}

// Failed drops an operation that did not and will not happen.
func (c *Call) Failed() {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.gone = true
}

// Unknown gives up on an operation that may or may not have taken effect, or may yet.
func (c *Call) Unknown() {}

// Note writes down what happened beside the operations, and returns the time.
func (r *Recorder) Note(text string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := Note{Time: r.time(), Text: text}
	r.notes = append(r.notes, n)
	return n.Time
}

// Notes returns all notes so far.
func (r *Recorder) Notes() []Note {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.notes)
}

// Ops returns the operations so far in the order of their calls, those under way as unknown ones.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := make([]Op, 0, len(r.calls))
	for _, c := range r.calls {
		if !c.gone {
			ops = append(ops, c.op)
		}
	}
	return ops
}
