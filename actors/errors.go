package actors

import (
	"errors"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/raft"
)

// A NotLeaderError refuses a request and says where to take it. It unwraps to ErrNotLeader.
type NotLeaderError = raft.NotLeaderError

// Outcomes of a request. Every proposal ends in exactly one of: a Result; a refusal (ErrNotLeader, ErrBusy, ErrTooLarge,
// ErrStopped, ErrTransferring, a session error: it did not and will not happen); ErrIndeterminate.
var (
	// ErrNotLeader is what *NotLeaderError unwraps to.
	ErrNotLeader = raft.ErrNotLeader
	// ErrBusy refuses because the group's entries or bytes in flight are at their limit: retry with backoff.
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
	// ErrTransferFailed ends a transfer whose target did not take over in time; proposals are taken again.
	ErrTransferFailed = errors.New("leadership transfer failed")
	// ErrNoSuchGroup is returned for a group that this host does not run.
	ErrNoSuchGroup = errors.New("no such group on this host")
	// ErrSessionExpired refuses a write of a session that the log has expired or never opened.
	ErrSessionExpired = applier.ErrSessionExpired
	// ErrSessionOrder refuses a sequence number that is neither the next one nor a remembered one.
	ErrSessionOrder = applier.ErrSessionOrder
)
