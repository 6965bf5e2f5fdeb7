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
	Transfer  bool // the leader asked for this election: recent contact with it is no reason to refuse (thesis §3.10)
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
}

// AppendEntriesReply answers AppendEntries once what it confirms is durable.
type AppendEntriesReply struct {
	Term    Term
	Success bool
	Match   Index // success: the log equals the leader's through here, on disk
	Prev    Index // AppendEntries.Prev.Index
	// Hint of a refusal: the follower's last entry at or before Prev whose term is at most Prev's term, so
	// that the leader skips a whole term a round trip (§5.3, end). Never below the follower's commit index.
	Hint EntryID
}

// Heartbeat keeps followers patient and carries the commit index. Entry Commit must be in the
// follower's log before it believes it (Log Matching makes the prefix equal then).
type Heartbeat struct {
	Term   Term
	Leader NodeID
	Round  uint64        // the latest read round the leader has asked for
	Sent   time.Duration // leader's clock when sent; comes back in the reply
	Commit EntryID
}

// HeartbeatReply answers Heartbeat. It promises nothing about the log.
type HeartbeatReply struct {
	Term  Term
	Round uint64
	Sent  time.Duration
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
}

// TimeoutNow asks a caught-up follower to start an election at once (thesis §3.10).
type TimeoutNow struct {
	Term   Term
	Leader NodeID
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
