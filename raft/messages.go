package raft

import "time"

// A Message is one of the RPCs of the paper or an answer to one. Messages may be lost, repeated,
// delayed and reordered; payload bytes travel beside them.
type Message interface {
	// MsgTerm is the sender's term, from which every receiver learns (§5.1). For a prevote
	// request it is the term that the candidate would have, which nobody adopts.
	MsgTerm() Term
}

// RequestVote asks for a vote (§5.2) or, with PreVote, whether one would be given (thesis §9.6).
type RequestVote struct {
	Term      Term // the term to be led; for a prevote the candidate's own term + 1
	Candidate NodeID
	Last      EntryID
	PreVote   bool
	Transfer  bool   // the leader asked for this election: recent contact with it is no reason to refuse (thesis §3.10)
	Founders  uint32 // Node.Founders of the sender
}

// RequestVoteReply answers RequestVote.
type RequestVoteReply struct {
	Term    Term // the voter's real term, also for a prevote
	Asked   Term // RequestVote.Term
	Granted bool
	PreVote bool
}

// AppendEntries replicates the runs that follow Prev (§5.3). Without runs it probes or carries Commit.
type AppendEntries struct {
	Term    Term
	Leader  NodeID
	Prev    EntryID
	Runs    []Run    // ascending, without gaps, from Prev.Index+1
	Changes []Change // the membership entries among Runs
	Commit  Index

	Founders uint32 // Node.Founders of the sender
}

// AppendEntriesReply answers AppendEntries once what it confirms is durable.
type AppendEntriesReply struct {
	Term    Term
	Success bool
	Match   Index // success: the log equals the leader's through here, on disk
	Prev    Index // AppendEntries.Prev.Index
	// Hint of a refusal: the follower's last entry at or before Prev whose term is at most Prev's term, so
	// that the leader skips a whole term a round trip (§5.3, end). Never below the follower's commit index.
	Hint  EntryID
	Doubt uint64 // the follower's Config.Life while it is in doubt, else 0
}

// Heartbeat keeps followers patient and carries the commit index. Entry Commit must be in the
// follower's log before it believes it (Log Matching makes the prefix equal then).
type Heartbeat struct {
	Term   Term
	Leader NodeID
	Round  uint64        // the latest read round the leader has asked for
	Sent   time.Duration // leader's clock when sent; comes back in the reply
	Commit EntryID

	Founders uint32 // Node.Founders of the sender
}

// HeartbeatReply answers Heartbeat. It promises nothing about the log.
type HeartbeatReply struct {
	Term    Term
	Round   uint64
	Sent    time.Duration
	Last    Index  // the last entry of the follower's log, durable or not, equal to the leader's or not
	Doubt   uint64 // as in AppendEntriesReply
	Applied Index  // how far the follower's state machine has come since its start; 0 also when that is not known
	// Promise is for how long from the heartbeat on the follower votes for nobody else, by its own clock, whatever restarts come between. Zero: it
	// promises nothing; releases before this field do not.
	Promise time.Duration
	// Wants is the index from which on a snapshot would do that the follower cannot go on without (Node: StateLost). Zero: it needs none.
	Wants Index
}

// InstallSnapshot reaches the rules when the snapshot's bytes are complete and verified on disk (§7).
type InstallSnapshot struct {
	Term     Term
	Leader   NodeID
	Snapshot SnapshotMeta
}

// InstallSnapshotReply says that the receiver's log covers Match on disk.
type InstallSnapshotReply struct {
	Term  Term
	Match Index
	Doubt uint64 // as in AppendEntriesReply
}

// TimeoutNow asks a caught-up follower to start an election at once (thesis §3.10).
type TimeoutNow struct {
	Term   Term
	Leader NodeID
}

// Recall reminds a follower of what it acknowledged to this leader in this term. One that lacks it has gone back.
type Recall struct {
	Term   Term
	Leader NodeID
	Sent   time.Duration // comes back in the answer, as Heartbeat.Sent does
	Entry  EntryID       // its Term is 0 when the leader has compacted it
}

// Trust ends the doubt of a follower that has gone back: it holds Entry, which the leader made after it knew of the doubt, and
// which is committed without the follower.
type Trust struct {
	Term   Term
	Leader NodeID
	Life   uint64  // the follower's: it is for no other start
	Entry  EntryID // of Term
	// Unaided: the leader was elected without the follower's vote.
	Unaided bool
}

// Removed tells a server that it is no member: a membership without it is committed. It is of no term.
type Removed struct {
	Index Index // at which that membership was set, or a snapshot that has it
}

func (m *RequestVote) MsgTerm() Term          { return m.Term }
func (m *RequestVoteReply) MsgTerm() Term     { return m.Term }
func (m *AppendEntries) MsgTerm() Term        { return m.Term }
func (m *AppendEntriesReply) MsgTerm() Term   { return m.Term }
func (m *Heartbeat) MsgTerm() Term            { return m.Term }
func (m *HeartbeatReply) MsgTerm() Term       { return m.Term }
func (m *InstallSnapshot) MsgTerm() Term      { return m.Term }
func (m *InstallSnapshotReply) MsgTerm() Term { return m.Term }
func (m *TimeoutNow) MsgTerm() Term           { return m.Term }
func (m *Recall) MsgTerm() Term               { return m.Term }
func (m *Trust) MsgTerm() Term                { return m.Term }
func (m *Removed) MsgTerm() Term              { return 0 }
