package persister

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A Delivery is a message that waits for durability, and for whom.
type Delivery struct {
	To      *actor.PID
	Message any
}

// Write stores, as one atomic change, whatever of Hard, Reset and Blocks is set. Group → persister, which owns
// the message from then on. One that sets none of these, nor Ack, holds back answers to peers: while the disk is slow the oldest of many are
// dropped, as the network might.
type Write struct {
	Group raft.GroupID
	Hard  *raft.HardState
	Reset *raft.SnapshotMeta // drop the whole log and let this snapshot stand for it (§7); before Blocks
	// Blocks are consecutive and replace everything stored at or after Blocks[0].First().
	Blocks  []*entry.Block
	Ack     *raft.Persisted // comes back to ReplyTo as *Persisted when durable; may be nil
	Then    []Delivery      // sent, in order and before Ack, once this and every earlier write of the store is durable
	ReplyTo *actor.PID
}

// Persisted says that the Write that carried Ack is durable, and all before it.
type Persisted struct {
	Group raft.GroupID
	Ack   raft.Persisted
}

// Compact stores the metadata of a snapshot whose bytes are durable, and drops the log through Through, which is
// at most Meta.Index. Answered by *Compacted when durable.
type Compact struct {
	Group   raft.GroupID
	Meta    raft.SnapshotMeta
	Through raft.Index
	ReplyTo *actor.PID
}

// Compacted answers Compact.
type Compacted struct {
	Group raft.GroupID
	Meta  raft.SnapshotMeta
}

// Load reads a group and registers ReplyTo for StoreFailed. Answered by *Loaded. Write, Compact and Blocks
// are for loaded groups only.
type Load struct {
	Group    raft.GroupID
	Founding raft.Membership // what a group that is new here starts with; empty: it waits to be added
	ReplyTo  *actor.PID
}

// Loaded answers Load. All of State is durable and verified.
type Loaded struct {
	Group raft.GroupID
	State raft.State
	Fresh bool  // the group was new here; its founding membership has been stored
	Err   error // why there is no State: *CorruptError or what reading failed with
}

// Release says that the group wants no more answers and is not loaded any more.
type Release struct{ Group raft.GroupID }

// Destroy removes everything of a group, snapshot files included. What remains is its generation, so that a later
// group of the same id reads nothing of it. Answered by *Destroyed.
type Destroy struct {
	Group   raft.GroupID
	ReplyTo *actor.PID
}

// Destroyed answers Destroy. The group's data is gone for good unless Err is set: then the store failed, and
// nobody knows, or nothing was done since what says of which generation the group is is damaged (*CorruptError). Files that could not be
// removed are removed when the store is opened next.
type Destroyed struct {
	Group raft.GroupID
	Err   error
}

// StoreFailed says that the store acknowledges nothing any more. It is told once to every loaded group at the
// first failed write or sync, and answers every message that comes later. A group that
// broke an invariant, say with a gap in its log, or whose stored log turned out to be damaged (*CorruptError), is told so alone, in answer to
// that message and to every later Write and Compact until it is loaded again.
type StoreFailed struct{ Err error }
