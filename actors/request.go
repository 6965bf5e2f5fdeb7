package actors

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

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
	held   atomic.Int64 // the credit it holds: 1 and the bytes of its data; 0: none
	ticket uint64       // its place among all that wait for credit; 0: it does not
	next   *request     // the one after it, while it waits in a line
	until  time.Time    // how long it does

	index      raft.Index
	result     []byte
	membership raft.Membership
	err        error
}

var signals = sync.Pool{New: func() any { return make(chan struct{}, 1) }}

// take claims the request for the group. False: the caller has gone, and it must not happen.
func (r *request) take() bool { return r.state.CompareAndSwap(queued, encoding) }

// over reports whether the request has its answer, or its caller left before the group took it.
func (r *request) over() bool { return r.state.Load() >= answered }

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
	if r.release() {
		defer r.handle.credit.look() // after the answer: whatever becomes of others, this one has its own
	}
	if r.done != nil {
		r.done <- struct{}{}
		return
	}
	if r.asker == nil { // told rather than asked: nobody waits
		return
	}
	// An asker that is gone misses nothing. A dead letter would run the event stream's subscribers, user code, on this turn.
	if _, waits := r.handle.system.ProcessRegistry.Get(r.asker); waits {
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
	case closeSessionRequest:
		return &SessionClosed{Session: r.session}
	case stepDownRequest, restartRequest:
		return r.handle.Status()
	default:
		return &Proposed{Index: r.index, Result: r.result}
	}
}

// takeCredit takes the credit that the request needs. False: there is none.
func (r *request) takeCredit() bool {
	if !r.handle.credit.take(len(r.data)) {
		return false
	}
	r.held.Store(1 + int64(len(r.data)))
	if r.over() { // its caller left meanwhile, and may have found nothing to give back
		r.giveBack()
	}
	return true
}

// giveBack gives the credit back that the request holds. Whoever calls it first does.
func (r *request) giveBack() {
	if r.release() {
		r.handle.credit.look()
	}
}

// release is giveBack without a word to those who wait for credit. True: there is some for them.
func (r *request) release() bool {
	held := r.held.Swap(0)
	if held > 0 {
		r.handle.credit.put(int(held - 1))
	}
	return held > 0
}

// abandon is the caller leaving. True: the request never reached the log and never will.
func (r *request) abandon() bool {
	for {
		switch r.state.Load() {
		case queued:
			if r.state.CompareAndSwap(queued, cancelled) {
				r.giveBack()
				return true
			}
		case encoding:
			runtime.Gosched() // the group is copying data that the caller may reuse when we return
		default:
			return false
		}
	}
}

// ask sends the request to the group, once there is credit for it, and waits for its end, the context's or the replica's.
func (g *Group) ask(ctx context.Context, r *request) error {
	if g.inside.Here() { // first: with whatever context it is called, the call is the mistake
		return ErrWithinApply
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.handle, r.done = g, signals.Get().(chan struct{})
	switch {
	case !r.kind.needsCredit() || !g.credit.wanted() && r.takeCredit():
		g.system.Root.Send(g.pid.Load(), r)
	case !g.line.join(r):
		signals.Put(r.done)
		return g.elsewhere(ErrBusy)
	}
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

// elsewhere sends those to the leader who found no room in a replica that does not lead: what fills it may be stuck there.
func (g *Group) elsewhere(err error) error {
	if s := g.Status(); errors.Is(err, ErrBusy) && s.Phase == Running && s.Role != raft.Leader {
		return &NotLeaderError{Leader: s.Leader, Term: s.Term}
	}
	return err
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
