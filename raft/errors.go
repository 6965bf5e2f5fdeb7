package raft

import (
	"errors"
	"fmt"
	"time"
)

// The reasons for which a Node refuses a request. None of them changes anything.
var (
	// ErrNotLeader is what *NotLeaderError unwraps to.
	ErrNotLeader = errors.New("raft: not the leader")
	// ErrTransferring refuses proposals, changes and transfers while a leadership transfer runs (thesis §3.10).
	ErrTransferring = errors.New("raft: leadership is being transferred")
	// ErrChangeInProgress refuses a membership change until the previous one, joint consensus included, is committed (§6).
	ErrChangeInProgress = errors.New("raft: a membership change is in progress")
	// ErrTermNotCommitted refuses a membership change until the leader has committed an entry of its own
	// term: without that, single-server changes are unsafe across terms (Ongaro, raft-dev, 10 July 2015).
	ErrTermNotCommitted = errors.New("raft: the leader has not committed in its term yet")
	// ErrNothingProposed refuses a Propose whose Count is not positive.
	ErrNothingProposed = errors.New("raft: nothing proposed")
	// ErrMembershipUnknown refuses a snapshot at an index whose membership this server cannot know: it joined
	// later, and was not told the founding one. A snapshot at a later index will do.
	ErrMembershipUnknown = errors.New("raft: the membership at the snapshot is not known")
	// ErrTransferAborted ends a transfer that AbortTransfer gave up.
	ErrTransferAborted = errors.New("raft: the leadership transfer was aborted")
)

// A NotLeaderError refuses what only a leader can do and says where to take it. It unwraps to ErrNotLeader.
type NotLeaderError struct {
	Leader NodeID // None while unknown: retry after one election timeout
	Term   Term
}

func (e *NotLeaderError) Error() string {
	if e.Leader == None {
		return fmt.Sprintf("raft: not the leader; no leader is known in term %d", e.Term)
	}
	return fmt.Sprintf("raft: not the leader; server %d leads term %d", e.Leader, e.Term)
}

// Unwrap returns ErrNotLeader.
func (e *NotLeaderError) Unwrap() error { return ErrNotLeader }

// An InvalidChangeError refuses a membership that can never be taken from here.
type InvalidChangeError struct{ Reason string }

func (e *InvalidChangeError) Error() string { return "raft: invalid membership: " + e.Reason }

// An InvalidTransferError refuses a transfer to a server that may not lead.
type InvalidTransferError struct {
	To     NodeID
	Reason string
}

func (e *InvalidTransferError) Error() string {
	return fmt.Sprintf("raft: cannot transfer leadership to server %d: %s", e.To, e.Reason)
}

// A SilentTargetError refuses a transfer to a voter from which the leader has not heard for Config.ElectionMin or longer: while it was waited for,
// writes would wait too. Once it answers, the same transfer is taken.
type SilentTargetError struct {
	To      NodeID
	Silence time.Duration // since its last answer in this term, or since it became a peer of this leader
}

func (e *SilentTargetError) Error() string {
	return fmt.Sprintf("raft: cannot transfer leadership to server %d: it has not answered for %v", e.To, e.Silence.Round(time.Millisecond))
}

// An InvalidStateError says why New refuses what was found on disk.
type InvalidStateError struct{ Reason string }

func (e *InvalidStateError) Error() string { return "raft: invalid state: " + e.Reason }

// An InvalidConfigError says why New refuses a Config.
type InvalidConfigError struct{ Reason string }

func (e *InvalidConfigError) Error() string { return "raft: invalid config: " + e.Reason }

// A BrokenInvariant is what Step panics with when a property that Raft proves does not hold: a fault of
// this program or of a disk. The node must not be stepped again; its state is on disk.
type BrokenInvariant struct {
	Name   string // the property: a name of Figure 3 where it has one
	Node   NodeID
	Term   Term
	Detail string
}

func (b *BrokenInvariant) Error() string {
	return fmt.Sprintf("raft: broken invariant %s at server %d in term %d: %s", b.Name, b.Node, b.Term, b.Detail)
}
