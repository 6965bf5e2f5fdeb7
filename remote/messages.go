package remote

import (
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A Lane is one of the connections between two nodes. Each lane keeps its own order and has its own queue, so that
// snapshots never hold up heartbeats.
type Lane uint8

// The lanes.
const (
	Main Lane = iota // votes, appends, heartbeats and all replies
	Bulk             // snapshot chunks
	lanes
)

// String names the lane for logs.
func (l Lane) String() string {
	switch l {
	case Main:
		return "main"
	case Bulk:
		return "bulk"
	}
	return "unknown"
}

// An Envelope is a message with the group that it is for. Message is one of *raft.RequestVote,
// *raft.RequestVoteReply, *AppendBlocks, *raft.AppendEntriesReply, *raft.HeartbeatReply,
// *raft.InstallSnapshotReply, *raft.TimeoutNow, *Pulse (Group 0), *SnapshotChunk and *SnapshotChunkReply.
// Once posted, neither the message nor anything it points to may change.
type Envelope struct {
	Group   raft.GroupID
	Message any
}

// A Post asks a sender actor to send one envelope. There is no answer: it is dropped, and counted in
// Stats, when the peer cannot be reached or the lane's queue is full.
type Post struct {
	Lane     Lane
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
