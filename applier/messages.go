package applier

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A Command is one entry for the state machine. Data is read-only; it may be kept, but pins the block it came in.
type Command struct {
	Index raft.Index
	Term  raft.Term
	Data  []byte
}

// A Machine is the user's state machine. All calls come from one actor, one at a time, in log order. The same commands
// must lead to the same state and the same results on every replica.
type Machine interface {
	// Apply executes a command and returns its result for the client. It must not wait for its own group, which waits for it: calls of the
	// group's facade from within are refused (actors.ErrWithinApply), and the answer to a message cannot come before Apply returns.
	Apply(c Command) []byte
	// Snapshot captures the state; it should be quick. The function it returns writes the captured state; it runs later, beside
	// further Applies.
	Snapshot() (func(w io.Writer) error, error)
	// Restore replaces the state by what such a function wrote; nil stands for the empty state.
	Restore(r io.Reader) error
}

// A Waiter is told an outcome. Resolve must not block, and must take being called more than once: the first counts.
type Waiter interface {
	Resolve(index raft.Index, result []byte, err error)
}

// Waiting is a waiter for the entry at Index.
type Waiting struct {
	Index  raft.Index
	Waiter Waiter
}

// OnDuty reports a start. The parent answers with Begin.
type OnDuty struct{}

// Begin starts the state machine from a snapshot; without Open, Meta.Index must be 0 and the state is empty. It
// may come again, when a leader's snapshot replaced the log, but never with an older one than what is applied. Every Committed that
// is not finished by then is given up: its waiters get ErrUnknown, and no Applied answers it. A file that is gone (os.ErrNotExist)
// is forgiven when a newer Begin has been posted by then; no Begun answers the older. A file that cannot be read is answered by Unreadable.
type Begin struct {
	Meta raft.SnapshotMeta
	Open func() (io.ReadCloser, error)
}

// Begun answers Begin: the state machine stands at Index, and the sessions' clock at Stamp, the log's time in ms.
type Begun struct {
	Index raft.Index
	Stamp int64
}

// Unreadable answers Begin when its file cannot be read. There is no state then: until another Begin, which may have the same index, every
// Committed and Barrier is dropped, and there is nothing to capture.
type Unreadable struct {
	Meta raft.SnapshotMeta
	Err  error
}

// Committed says that the log is committed through Through. Blocks hold what the sender has at hand, ascending and without gaps up
// to Through; what is missing before them is read from the disk. Waiters ascend. The applier owns the message.
type Committed struct {
	Through raft.EntryID
	Blocks  []*entry.Block
	Waiters []Waiting
}

// Dropped implements stage.Dropped: the outcome of what waits is unknown.
func (c *Committed) Dropped() {
	for _, w := range c.Waiters {
		w.Waiter.Resolve(0, nil, ErrUnknown)
	}
}

// Applied reports that all through Index has been applied and its waiters told. One for each Committed.
type Applied struct {
	Index   raft.Index
	Entries int   // that the Committed brought
	Bytes   int   // of their data
	Stamp   int64 // the sessions' clock, the log's time in ms
}

// Progress reports, amid a Committed that takes long, how far it has come.
type Progress struct{ Index raft.Index }

// Barrier resolves its waiter once Index is applied: the way of reads.
type Barrier struct {
	Index  raft.Index
	Waiter Waiter
}

// Dropped implements stage.Dropped.
func (b *Barrier) Dropped() { b.Waiter.Resolve(0, nil, ErrUnknown) }

// Capture asks for the state as of now. Answered by *Captured.
type Capture struct{ ReplyTo *actor.PID }

// Captured carries a captured state: what a snapshot at Meta.Index holds. Write may be called on any goroutine, once.
type Captured struct {
	Meta  raft.SnapshotMeta
	Write func(w io.Writer) error
	Err   error
}

// Broken reports that an invariant broke or that the disk's log cannot be read: the replica must stop. Nothing is applied
// from then on, and whoever waits gets ErrUnknown.
type Broken struct{ Err error }

// A UserPanic is what a panic in the user's state machine becomes. Error is one line, for clients see it; the stack is logged once.
type UserPanic struct {
	Call  string // Apply, Snapshot or Restore
	Index raft.Index
	Value any
	Stack []byte
}

func (p *UserPanic) Error() string {
	value := strings.Join(strings.FieldsFunc(fmt.Sprint(p.Value), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	return fmt.Sprintf("state machine panicked in %s at index %d: %s", p.Call, p.Index, value)
}

var (
	// ErrUnknown ends a wait whose outcome the applier cannot tell any more.
	ErrUnknown = errors.New("applier stopped: the outcome is unknown")
	// ErrSessionExpired refuses a command of a session that is not in the table: it was never opened, has expired, or was closed or evicted.
	// This entry did not happen; earlier ones with the same number may have.
	ErrSessionExpired = errors.New("session is unknown, has expired or was evicted: this attempt was not applied, an earlier one may have been")
	// ErrSessionOrder refuses a sequence number that leaves out others, or 0. Neither this entry nor one before it with the same number happened.
	ErrSessionOrder = errors.New("session sequence number is not the next: it was never applied")
	// ErrSessionForgotten answers a sequence number that was applied, so long ago that its result is not remembered any more.
	ErrSessionForgotten = errors.New("session sequence number was applied already, its result is forgotten")
)
