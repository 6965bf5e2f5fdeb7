package raft

import "time"

// A NodeID names one member of the cluster. Zero is None.
type NodeID uint64

// None is the NodeID of nobody: no vote cast, no leader known.
const None NodeID = 0

// A Term is Raft's logical clock (§5.1).
type Term uint64

// An Index is a position in the log. The first entry has index 1.
type Index uint64

// A Kind tells what an entry is for. The rules look at NoOp and Membership only;
// the other kinds are for the layers above and pass through untouched.
type Kind uint8

// The kinds of entries.
const (
	Command      Kind = iota // the user's data
	NoOp                     // a new leader's first entry (§8)
	Reconfigure              // a Membership (§6)
	OpenSession              // registers a client session (thesis §6.3)
	CloseSession             // ends a client session
)

// A Run is a stretch of consecutive entries of one term, both ends included.
// It is empty when Last < First.
type Run struct {
	First, Last Index
	Term        Term
}

// An EntryID names one entry for ever: no two entries of one log lineage share it (§5.3, Log Matching).
type EntryID struct {
	Index Index
	Term  Term
}

// HardState is what a server must have on stable storage before it answers an RPC (Figure 2).
type HardState struct {
	Term Term
	Vote NodeID
	// Doubt: this server has gone back, its disk has lost log or votes that it had held. It has no vote and does not count
	// until a leader trusts it again (docs/decisions/0013).
	Doubt bool
	// Promise is the longest Config.ElectionMin that this server may have promised to leaders and not kept yet: a restart with a shorter one
	// keeps the promise. Zero: none was ever stored.
	Promise time.Duration
}

// A Member is one server of a Membership. Addr and Tag are opaque to the rules: the
// transport's address and whatever the program wants to keep beside it.
type Member struct {
	ID   NodeID
	Addr string
	Tag  string
	// Store is the folder that the server was let back in with (Incarnation.Store), in place of the one that it had before; 0: it never was.
	Store uint64
}

// A Membership is an immutable configuration (§6): treat every slice in it as read-only.
// While Outgoing is not empty the cluster is in joint consensus, C(old,new): every decision needs a
// majority of Voters (C-new) and a majority of Outgoing (C-old). Slices are sorted and without duplicates.
type Membership struct {
	Voters   []NodeID
	Outgoing []NodeID
	Learners []NodeID // receive the log, have no vote (thesis §4.2.1)
	Members  []Member // what is known of the servers named above
}

// A Change is a Membership entry in the log. It is effective as soon as it is appended (§6).
type Change struct {
	Index      Index
	Membership Membership
}

// A SnapshotMeta says which prefix of the log a snapshot replaces (§7), with the
// membership that was effective at Index (never an uncommitted later one).
type SnapshotMeta struct {
	Index      Index
	Term       Term
	Membership Membership
}

// A State is what a server finds on its disk when it starts, and what New builds a Node from.
type State struct {
	Hard     HardState
	Snapshot SnapshotMeta // Index 0: none; its Membership is then the founding one (empty: waits to be added)
	Prev     EntryID      // the entry just before the first one still in the log; zero when nothing was compacted
	Runs     []Run        // the log after Prev, ascending and without gaps
	Changes  []Change     // the membership entries in Runs
	Bytes    int          // of the log's blocks, for the limits of the caller
	Stamp    int64        // the latest time that entries in Runs carry, for the clock of the caller
}

// A Role is what a server currently is (§5.1).
type Role uint8

// The roles.
const (
	Follower Role = iota
	PreCandidate
	Candidate
	Leader
	Learner // a follower without a vote
)

// Config fixes a Node's constants.
type Config struct {
	ID NodeID
	// ElectionMin is the shortest patience a follower may have. A voter that heard a leader less than this
	// ago refuses to vote (thesis §4.2.3), and promises so to the leader, whose lease rests on it (thesis §6.4.1); a
	// leader that has not heard a quorum for this long steps down (thesis §6.2). Servers may differ in it.
	ElectionMin time.Duration
	// ElectionMax is the longest patience. A member that has not answered for longer does not count as alive when the membership is to
	// change. Default twice ElectionMin.
	ElectionMax time.Duration
	// LeaseDrift is how much more than any follower's this leader's clock may miss within ElectionMin, be it for its rate or because the machine
	// was suspended. A lease is shorter by as much, and ends when the calendar and the clock part by more (see Calendar). At ElectionMin and
	// above there are no leases.
	LeaseDrift time.Duration
	// Life is a number that no other start of this server has had, drawn at random by the caller: an answer to an
	// earlier start that comes late must not be taken for one to this start. Zero means 1, for servers that never go back.
	Life uint64
}

// A GroupID names one replicated log among the many that share a host. The rules never look at it.
type GroupID uint64
