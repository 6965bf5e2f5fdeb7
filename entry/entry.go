package entry

import (
	"fmt"

	"github.com/troupe-raft/troupe/raft"
)

// Limits of the format and what programs are advised to keep well below them.
const (
	MaxEntry = 8 << 20 // bytes of Data that a program should allow by default
	MaxBlock = 1 << 30 // bytes of an encoded Block: Decode refuses more, Builder panics
	maxKind  = 31      // a kind is one msgpack byte and one bit of a Block's header
)

// An Entry is one position of the log (§5.3).
type Entry struct {
	Index   raft.Index
	Term    raft.Term
	Kind    raft.Kind
	Session uint64 // the client session the entry belongs to (thesis §6.3); 0: none
	Seq     uint64 // the request's number within its session
	Stamp   int64  // the log's time when the leader appended the entry, in milliseconds, if it is Timed
	Data    []byte // read-only when it comes out of a Block
}

// A CorruptError says why bytes are no Block, or no Membership.
type CorruptError struct{ Reason string }

func (e *CorruptError) Error() string { return "entry: corrupt: " + e.Reason }

func corrupt(format string, args ...any) error {
	return &CorruptError{Reason: fmt.Sprintf(format, args...)}
}
