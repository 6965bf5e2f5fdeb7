package remote

import (
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A Lane is one of the connections between two nodes. Each lane keeps its own order and has its own queue, connection and
// reading goroutine, so that what carries a node's payload never holds up what tells that the node lives. The kind of a
// message decides its lane.
type Lane uint8

// The lanes.
const (
	Control   Lane = iota // heartbeats, votes, replies: all that is small and urgent
	Log                   // appends
	Snapshots             // snapshot chunks
	lanes
)

// String names the lane for logs.
func (l Lane) String() string {
	switch l {
	case Control:
		return "control"
	case Log:
		return "log"
	case Snapshots:
		return "snapshots"
	}
	return "unknown"
}

// An Envelope is a message with the group that it is for. Message is one of *raft.RequestVote,
// *raft.RequestVoteReply, *AppendBlocks, *raft.AppendEntriesReply, *raft.HeartbeatReply,
// *raft.InstallSnapshotReply, *raft.TimeoutNow, *raft.Recall, *raft.Trust, *raft.Removed, *Pulse (Group 0), *SnapshotChunk, *SnapshotChunkReply, *Mismatch and *Location.
// Once posted, neither the message nor anything it points to may change.
type Envelope struct {
	Group   raft.GroupID
	Message any
}

// A Post asks a sender actor to send one envelope. There is no answer: it is dropped, and counted in
// Stats, when the peer cannot be reached or the lane's queue is full.
type Post struct {
	Envelope Envelope
}

// AppendBlocks is AppendEntries with its entries (§5.3). Only Term, Leader, Prev, Commit and Blocks travel: the
// receiver finds Runs and Changes in the blocks, where adjacent runs of one term have become one.
// A received AppendBlocks is well formed: the blocks follow Prev without gaps, in terms that never
// fall and never exceed Term.
type AppendBlocks struct {
	raft.AppendEntries
	Blocks []*entry.Block
}

// A Beat is one group's heartbeat.
type Beat struct {
	Group raft.GroupID
	raft.Heartbeat
}

// A Pulse carries the heartbeats of many groups to one node: one message per peer node and interval,
// however many groups the two nodes share.
type Pulse struct {
	Beats []Beat
}

// A SnapshotChunk is a piece of a snapshot file (§7).
type SnapshotChunk struct {
	Term   raft.Term
	Leader raft.NodeID
	Meta   raft.SnapshotMeta
	Size   int64  // bytes of the whole file
	Sum    uint32 // CRC-32C of the whole file
	Offset int64  // bytes: where in the file Data belongs
	Data   []byte // intact when received; owned by the receiver
	Last   bool
}

// A SnapshotChunkReply answers SnapshotChunk.
type SnapshotChunkReply struct {
	Term    raft.Term
	Index   raft.Index // SnapshotMeta.Index
	Offset  int64      // bytes: the next wanted
	Done    bool       // the file is complete and verified
	Refused string     // why the transfer ended, when not empty
}

// A Mismatch tells the sender of messages of a group why they are of no use here. Nothing answers it.
type Mismatch struct {
	Kind     MismatchKind
	Founders []raft.NodeID // OtherFounders: those that the sender of this knows
}

// A MismatchKind is what does not fit.
type MismatchKind uint8

// The kinds. Others are of later versions.
const (
	NoGroup       MismatchKind = iota + 1 // the group does not run on this node
	OtherFounders                         // it runs, but was founded with other members
)

// A Location tells the leader of a group that the membership has a member wrong. Nothing answers it.
type Location struct {
	Node raft.NodeID // the leader, or the sender
	Addr string      // of the leader: where the sender is connected to it; empty if that is not what is wrong
	Tag  string      // of the sender: its Member.Tag, as its program has it; empty likewise
}
