package snapshotter

import (
	"io"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A Waiter is told an outcome, as the applier's is.
type Waiter interface {
	Resolve(index raft.Index, result []byte, err error)
}

// OnDuty reports a start or restart. The parent answers with Orders.
type OnDuty struct{}

// Orders say where the replica stands.
type Orders struct {
	Term     raft.Term
	Snapshot raft.SnapshotMeta // the one that the replica would restart from
}

// Applied says how far the state machine is.
type Applied struct{ Index raft.Index }

// Take wants a snapshot now. It joins one that is being taken; when nothing was applied since the last, that one answers.
type Take struct{ Waiter Waiter }

// Dropped implements stage.Dropped.
func (t *Take) Dropped() { t.Waiter.Resolve(0, nil, ErrStopped) }

// WantCapture asks the parent for the state machine's state. Answered by Captured.
type WantCapture struct{}

// Captured carries the state to be written. Write is called at most once, off the group's turn; its io.Writer fails once
// the snapshotter stops, which waits for Write to return.
type Captured struct {
	Meta  raft.SnapshotMeta
	Write func(w io.Writer) error
	Err   error
}

// Taken says that a snapshot is durable under its name, or why there is none. A capture that is no newer than the newest
// snapshot makes neither file nor Taken, unless that one is unusable.
type Taken struct {
	Meta raft.SnapshotMeta
	Size int64
	Err  error
}

// Kept says that the replica restarts from Meta from now on: older files may go.
type Kept struct{ Meta raft.SnapshotMeta }

// Want says that the snapshot at Index cannot be read, and that the replica has nothing else to begin from: one of its index or later is taken
// from a leader, as if there were none. Of what Received names from then on only what is not Here is another one.
type Want struct{ Index raft.Index }

// Send wants the newest snapshot streamed to Peer. Answered by Sent.
type Send struct {
	Peer    raft.NodeID
	Term    raft.Term
	Leader  raft.NodeID
	AtLeast raft.Index // an older one would be of no use: then another one is taken, and Sent says ErrNoSnapshot
}

// Unusable says that the file of the newest snapshot cannot be read, so that nobody can be fed from it nor start from it. Another one, at the
// same index if need be, is being taken.
type Unusable struct {
	Meta raft.SnapshotMeta
	Err  error
}

// Abort ends the transfers of Term and of earlier ones: this node leads no more. Each is answered by Sent.
type Abort struct{ Term raft.Term }

// Sent ends a Send: the peer has all of the snapshot at Index on its disk, or why not.
type Sent struct {
	Peer  raft.NodeID
	Index raft.Index
	Err   error
}

// Chunk is a piece of a snapshot from a leader. It is answered over the network.
type Chunk struct {
	From    raft.NodeID
	Message *remote.SnapshotChunk
}

// ChunkReply is a follower's answer to a chunk of ours.
type ChunkReply struct {
	From    raft.NodeID
	Message *remote.SnapshotChunkReply
}

// Received says that a leader's snapshot is complete, verified and durable under its name, or that one as new was there
// before. It may come more than once: the parent installs what is news to it, and tells the leader in any case.
type Received struct {
	From   raft.NodeID
	Term   raft.Term
	Leader raft.NodeID
	Meta   raft.SnapshotMeta
	Here   bool // it is what the replica has had
}
