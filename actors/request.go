package actors

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/raft"
)

type requestKind uint8

const (
	proposeRequest requestKind = iota
	openSessionRequest
	closeSessionRequest
	readRequest
	leaseReadRequest
	changeRequest
	transferRequest
	snapshotRequest
	stepDownRequest
	restartRequest
)

// The life of a request. Only the group moves it to encoding and logged; whoever answers first moves it to answered.
const (
	queued    int32 = iota // in the group's mailbox or held during a transfer
	encoding               // its data is being copied into a block
	logged                 // it has a place in the log, or the group is working on it
	answered               // the outcome is in the fields
	cancelled              // the caller left before the group took it: it never happens
)

// A request is one question to the group, with room for its one answer. It implements applier.Waiter.
type request struct {
	kind    requestKind
	data    []byte
	session uint64
	seq     uint64
	to      raft.NodeID
	change  Change

	state  atomic.Int32
	done   chan struct{} // one token when answered; nil when the asker is an actor
	asker  *actor.PID
	handle *Group
	cost   int // bytes of credit taken; -1: no credit taken

	index      raft.Index
	result     []byte
	membership raft.Membership
	err        error
}

var signals = sync.Pool{New: func() any { return make(chan struct{}, 1) }}

// take claims the request for the group. False: the caller has gone, and it must not happen.
func (r *request) take() bool { return r.state.CompareAndSwap(queued, encoding) }

// enter marks that the data is copied and that the request is the log's now.
func (r *request) enter() { r.state.Store(logged) }

// Resolve answers the request, once: later calls do nothing. It does not block and is safe on any goroutine.
func (r *request) Resolve(index raft.Index, result []byte, err error) {
	if !r.claim() {
		return
	}
	r.index, r.result, r.err = index, result, err
	if errors.Is(err, applier.ErrUnknown) {
		r.err = r.lost()
	}
	r.deliver()
}

// lost is the outcome when the replica ended while it worked on the request.
func (r *request) lost() error {
	if r.kind.changesNothing() {
		return ErrStopped
	}
	return ErrIndeterminate
}

// changesNothing: asking again is safe whatever became of the first.
func (k requestKind) changesNothing() bool {
	return k == readRequest || k == leaseReadRequest || k == snapshotRequest
}

// Dropped answers a request that its mailbox threw away unread.
func (r *request) Dropped() { r.refuse(ErrStopped) }

func (r *request) refuse(err error) { r.Resolve(0, nil, err) }

func (r *request) claim() bool {
	for {
		s := r.state.Load()
		if s >= answered {
			return false
		}
		if r.state.CompareAndSwap(s, answered) {
			return true
		}
	}
}

func (r *request) deliver() {
	r.handle.credit.give(r.cost)
	if r.done != nil {
		r.done <- struct{}{}
		return
	}
	if r.asker != nil { // told rather than asked: nobody waits
		r.handle.system.Root.Send(r.asker, r.answer())
	}
}

// answer is the message for an asking actor.
func (r *request) answer() any {
	if r.err != nil {
		return &Refused{Err: r.err}
	}
	switch r.kind {
	case readRequest, leaseReadRequest:
		return &ReadPoint{Index: r.index}
	case changeRequest:
		return &Changed{Membership: r.membership}
	case transferRequest:
		return &Transferred{To: r.to}
	case snapshotRequest:
		return &SnapshotReady{Index: r.index}
	case openSessionRequest:
		return &SessionOpened{Session: sessionID(r.result)}
	case stepDownRequest, restartRequest:
		return r.handle.Status()
	default:
		return &Proposed{Index: r.index, Result: r.result}
	}
}

// abandon is the caller leaving. True: the request never reached the log and never will.
func (r *request) abandon() bool {
	for {
		switch r.state.Load() {
		case queued:
			if r.state.CompareAndSwap(queued, cancelled) {
				r.handle.credit.give(r.cost)
				return true
			}
		case encoding:
			runtime.Gosched() // the group is copying data that the caller may reuse when we return
		default:
			return false
		}
	}
}

// A credit bounds what a group has in flight: entries and bytes, taken before a request is sent and given back when it is answered.
type credit struct {
	entries, bytes       atomic.Int64
	maxEntries, maxBytes int64
}

func (c *credit) take(bytes int) bool {
	if c.entries.Add(1) > c.maxEntries {
		c.entries.Add(-1)
		return false
	}
	// One request may always go, however large the limit finds it.
	if total := c.bytes.Add(int64(bytes)); total > c.maxBytes && total != int64(bytes) {
		c.bytes.Add(-int64(bytes))
		c.entries.Add(-1)
		return false
	}
	return true
}

func (c *credit) give(bytes int) {
	if bytes < 0 {
		return
	}
	c.entries.Add(-1)
	c.bytes.Add(-int64(bytes))
}

// admit takes the request's credit. What operators ask for needs none: it must get through when the group is busy.
func (g *Group) admit(r *request) bool {
	r.handle, r.cost = g, -1
	if r.kind > leaseReadRequest {
		return true
	}
	if !g.credit.take(len(r.data)) {
		return false
	}
	r.cost = len(r.data)
	return true
}

// ask sends the request to the group and waits for its end, the context's or the replica's.
func (g *Group) ask(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !g.admit(r) {
		return ErrBusy
	}
	r.done = signals.Get().(chan struct{})
	g.system.Root.Send(g.pid.Load(), r)
	select {
	case <-r.done:
		signals.Put(r.done)
		return r.err
	case <-ctx.Done():
		return g.leave(r, ctx.Err())
	case <-g.ended:
		return g.leave(r, ErrStopped)
	}
}

// leave gives up waiting. A request that never reached the log is refused for the cause; one that did has an unknown outcome.
func (g *Group) leave(r *request, cause error) error {
	if r.abandon() {
		return cause
	}
	select {
	case <-r.done:
		signals.Put(r.done)
		return r.err
	default:
	}
	if r.kind.changesNothing() {
		return cause
	}
	return &indeterminateError{cause: cause}
}

// An indeterminateError is ErrIndeterminate with what ended the wait.
type indeterminateError struct{ cause error }

func (e *indeterminateError) Error() string   { return ErrIndeterminate.Error() + ": " + e.cause.Error() }
func (e *indeterminateError) Unwrap() []error { return []error{ErrIndeterminate, e.cause} }
