package actors

import (
	"errors"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/raft"
)

// A NotLeaderError refuses a request and says where to take it. It unwraps to ErrNotLeader.
type NotLeaderError = raft.NotLeaderError

// Outcomes of a request. Every proposal ends in exactly one of:
//   - a Result: it was applied;
//   - a refusal, ErrNotLeader, ErrBusy, ErrTooLarge, ErrStopped, ErrTransferring, ErrSessionOrder or ErrSessionExpired: this attempt did not
//     and will not happen;
//   - ErrIndeterminate: this attempt may or may not take effect;
//   - ErrSessionForgotten: an earlier attempt was applied.
//
// A refusal says nothing of earlier attempts at the same write that ended in ErrIndeterminate. Only a session tells what became of those:
// until it answers with a Result or ErrSessionForgotten, the outcome of the write as a whole stays unknown.
var (
	// ErrNotLeader is what *NotLeaderError unwraps to.
	ErrNotLeader = raft.ErrNotLeader
	// ErrBusy refuses because the group's entries or bytes in flight were at their limit for all of GroupConfig.BusyWait: retry with backoff.
	ErrBusy = errors.New("group is busy: too much in flight, retry later")
	// ErrTooLarge refuses data above GroupConfig.MaxEntryBytes.
	ErrTooLarge = errors.New("entry is larger than GroupConfig.MaxEntryBytes")
	// ErrStopped refuses because the replica is stopped or failed; Status tells why.
	ErrStopped = errors.New("replica is stopped")
	// ErrIndeterminate says that the proposal entered the log but leadership was lost, the replica ended or the context
	// ended before its outcome was known: it may or may not take effect. Retry under a session.
	ErrIndeterminate = errors.New("outcome unknown: the proposal may or may not take effect")
	// ErrTransferring refuses while leadership is being handed over.
	ErrTransferring = raft.ErrTransferring
	// ErrChangeInProgress refuses a membership change while another one runs.
	ErrChangeInProgress = raft.ErrChangeInProgress
	// ErrTransferFailed ends a transfer whose target did not take over in time, or after which another server leads; proposals are taken again. It is
	// final: nothing goes on trying, though a target that was told to may still win its election.
	ErrTransferFailed = errors.New("leadership transfer failed")
	// ErrUnknownMessage refuses a message that a RaftGroup does not know; the words name its type.
	ErrUnknownMessage = errors.New("a RaftGroup does not know this message")
	// ErrWithinApply refuses what would wait for itself: a call of a group's facade from within its own state machine's Apply, Snapshot or
	// Restore. Hand it to another goroutine, and do not wait for that.
	ErrWithinApply = errors.New("called from within the group's own state machine, which it would have to wait for: call from another goroutine")
	// ErrNoSuchGroup is returned for a group that this host does not run.
	ErrNoSuchGroup = errors.New("no such group on this host")
	// ErrSessionExpired refuses a write of a session that the log does not know any more: unused for its TTL, evicted for others, closed, or
	// never opened. This attempt did not happen. Of earlier ones nobody knows any more: whoever had no answer to one must find out by other means.
	ErrSessionExpired = applier.ErrSessionExpired
	// ErrSessionOrder refuses a sequence number beyond the next one, or 0: a write before it is missing. No attempt with that number that the
	// log held so far was applied.
	ErrSessionOrder = applier.ErrSessionOrder
	// ErrSessionForgotten says that the write was applied, once, and that its answer is not remembered any more: later writes of the session have
	// taken its place, see GroupConfig.SessionWindow. Do not send it again under another number.
	ErrSessionForgotten = applier.ErrSessionForgotten
)
