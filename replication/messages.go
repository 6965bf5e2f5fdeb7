package replication

import (
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// All messages travel as pointers and are read-only once sent. Orders of a term other than that of the
// last Lead are dropped: they were overtaken.

// OnDuty tells the parent that the syncer runs, or runs again after a restart, and feeds nobody. A parent
// that leads answers with Lead.
type OnDuty struct{}

// Lead starts feeding in this term, or starts it afresh: every peer is probed from the end of Shape on.
//
// A new leader sends the Shape from before its first entry and, right behind, Extend with that entry, which makes the
// probe (§8). Until then nothing is sent, unless Shape ends in this term already, as it does after a
// restart. What is in Shape must be readable by Config.Reader, or be repeated in Extend.
type Lead struct {
	Term   raft.Term
	Leader raft.NodeID
	Shape  raft.Shape
	Peers  []raft.NodeID // all members but the leader itself, who is skipped if named
	Commit raft.Index

	Founders uint32 // raft.Node.Founders
}

// Extend says that the leader has appended these consecutive blocks of its term. They follow what is known of
// the log; blocks that are known already are taken as a copy in memory.
type Extend struct {
	Term   raft.Term
	Blocks []*entry.Block
}

// Peers replaces the peers. New ones are probed from the end of the log on, others keep their
// pace, those not named are forgotten.
type Peers struct {
	Term     raft.Term
	Peers    []raft.NodeID
	Founders uint32 // raft.Node.Founders
}

// Advance says that entries through Commit are committed. The next message to each follower
// carries it; none is sent for its sake, since heartbeats do.
type Advance struct {
	Term   raft.Term
	Commit raft.Index
}

// Trim says that the log now begins at First, right after Prev.
type Trim struct {
	Term  raft.Term
	First raft.Index
	Prev  raft.EntryID
}

// Rest says that this server leads no more in Term, or is not to be heard of in it for now: everything is dropped. It is ignored when a newer
// term is led. Lead begins afresh, in the same term too.
type Rest struct{ Term raft.Term }

// Reply is a follower's answer, straight from the transport.
type Reply struct {
	From    raft.NodeID
	Message *raft.AppendEntriesReply
}

// Heard says that a follower that lacks something answered a heartbeat of this term: it is not silent any more, and is not made
// to wait for the end of a patience that had grown.
type Heard struct {
	Term raft.Term
	Peer raft.NodeID
}

// SnapshotDone answers NeedSnapshot: the peer has on disk what a snapshot through Index
// replaces, or, with Err, does not. Then NeedSnapshot comes again after a pause, if still needed. Every NeedSnapshot
// wants an answer; when whoever sends snapshots has crashed, one with Peer None and Err answers for all.
type SnapshotDone struct {
	Peer  raft.NodeID // None: all that wait
	Index raft.Index
	Err   error
}

// Matched tells the parent what followers have confirmed, at most one entry per follower: its highest.
type Matched struct {
	Term raft.Term
	Acks []raft.Matched
}

// Feeding tells the parent how its followers are fed, all of them, as it was a moment ago: see Config.TellEvery.
type Feeding struct {
	Term      raft.Term
	Followers []Fed
}

// A Fed is how one follower is fed.
type Fed struct {
	Peer raft.NodeID
	raft.ProgressStatus
}

// Refusal passes on a reply that the rules must see: of a newer term than the one being led, which ends it (§5.1), one that
// refuses what the follower has acknowledged, or one that no correct follower sends.
type Refusal struct {
	From    raft.NodeID
	Message raft.Message
}

// NeedSnapshot says that the log no longer holds what Peer lacks. It comes once until SnapshotDone.
type NeedSnapshot struct {
	Peer raft.NodeID
	Term raft.Term
}

// Halted says that the log read back is not the one that this term's leader wrote; nobody is fed any more in
// Term. A parent that does not lead in Term any more has the reason and drops it: a newer leader has
// overwritten the log. For one that does lead, its log and its disk disagree, a broken invariant. When Err is a
// *persister.CorruptError the disk has lost what it was given, whoever leads.
type Halted struct {
	Term raft.Term
	Err  error
}
