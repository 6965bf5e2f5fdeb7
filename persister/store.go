package persister

import (
	"errors"
	"fmt"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// Why Reader.Blocks has nothing.
var (
	ErrCompacted = errors.New("persister: entry was compacted")
	ErrMissing   = errors.New("persister: entry is not stored")
)

// A Reader reads the logs of loaded groups. It is safe for concurrent use.
type Reader interface {
	// Blocks returns consecutive, verified blocks that cover the stored entries from index from on, not
	// beyond to: one block however large it is, and more as long as they are maxBytes together. The first
	// may begin before from and the last may end after to: callers slice. A write is seen some time after it was
	// sent and surely once it was acknowledged; until then what it replaces is seen, so that a caller that
	// knows of newer entries must check terms. Errors: ErrCompacted, ErrMissing, *CorruptError, or what reading failed with.
	Blocks(g raft.GroupID, from, to raft.Index, maxBytes int) ([]*entry.Block, error)
}

// A Storage is what the persister writes to. *Store is the one on disk; a simulator may bring its own.
// One caller at a time uses Load and Commit.
type Storage interface {
	Reader
	// Load reads and verifies group g and makes it known to Commit and Blocks. A group that is not stored yet
	// becomes known and Fresh without being stored: commit an Op with Found. done is called once, on any
	// goroutine, possibly before Load returns. Everything committed earlier is seen, durable or not.
	Load(g raft.GroupID, done func(raft.State, bool, error))
	// Commit applies ops in order, each of them atomically, and calls done once they and all earlier ones are
	// durable, on any goroutine, possibly before Commit returns, but never before the done of an earlier Commit.
	// After the first error every done gets one. An op that breaks an invariant, or that meets damage in what is stored of its group, is left
	// out and says so in Err, which is set before done is called, and its group becomes unknown; the others go on. An op of an unknown
	// group breaks one, even if it changes nothing, unless it destroys. ops is the storage's until done is called.
	Commit(ops []Op, done func(error))
	// Forget makes g unknown to Commit and Blocks.
	Forget(g raft.GroupID)
	// OnFailure has notify called once, on any goroutine, at the first failure (or now, if that has been): nothing
	// is durable from then on that was not before, and dones may come late or never.
	OnFailure(notify func(error))
}

// An Op is one atomic change of one group. Fields that are nil change nothing; they apply in their order. One
// without any asks whether everything that the group wrote before was accepted.
type Op struct {
	Group   raft.GroupID
	Found   *raft.Membership // store a fresh group, with this membership
	Hard    *raft.HardState
	Reset   *raft.SnapshotMeta
	Blocks  []*entry.Block
	Compact *raft.SnapshotMeta // with Through; not together with Found, Reset or Blocks
	Through raft.Index
	Destroy bool
	Err     error // set by Commit: the invariant that the op breaks, or the *CorruptError that it met
}

// A CorruptError says where stored data is damaged and how. Nothing is ever assumed in its place.
type CorruptError struct {
	Dir    string // the store's folder
	Group  raft.GroupID
	Index  raft.Index // of the log; 0: not in the log
	Reason string
	Err    error // what found it; may be nil

	unread bool // reading failed: that is the store's failure, whatever the group
}

func (e *CorruptError) Error() string {
	where := fmt.Sprintf("persister: %s: group %d", e.Dir, e.Group)
	if e.Index > 0 {
		where += fmt.Sprintf(", index %d", e.Index)
	}
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", where, e.Reason, e.Err)
	}
	return where + ": " + e.Reason
}

func (e *CorruptError) Unwrap() error { return e.Err }
