package raft

import "time"

// An Event is something that happened to a Node. Step takes one at a time.
type Event interface{ event() }

// The events.
type (
	// Received is a message from a peer. *AppendEntriesReply may come as Matched instead.
	Received struct {
		From    NodeID
		Message Message
	}
	// Elapsed says that the patience that Effects.Patience asked for ran out: a follower
	// campaigns, a leader checks that it still has its quorum.
	Elapsed struct{}
	// Campaign starts an election now, prevote first, whatever the patience.
	Campaign struct{}
	// Propose asks the leader to append Count entries of the caller's.
	Propose struct{ Count int }
	// ChangeMembership asks the leader to move the cluster to Target's Voters and Learners. Steps through joint
	// consensus unless at most one voter is added or removed (§6, thesis §4.1-4.3). Outgoing must be empty.
	//
	// It is refused with *UnsafeChangeError unless a majority of the new voters (in joint consensus of the old ones too) has answered this
	// leader within ElectionMax, and each server that gets a vote is a learner that has caught up: it has on its disk all that the leader's log
	// held ElectionMax ago, or holds now (thesis §4.2.1). A voter that has answered within ElectionMax stays where it is, unless Located names it.
	ChangeMembership struct {
		Target  Membership
		Located []NodeID // servers that say themselves that they are where Target looks for them
		Force   bool     // take it although it is unsafe
		// BasedOn, when not 0, is an index at which the caller looked at the membership: one that was changed later refuses with *MovedOnError.
		BasedOn Index
	}
	// Persisted feeds Effects.Ack back once everything up to it is on stable storage.
	Persisted struct {
		Term Term // the node's term when the write was issued: a late one confirms nothing newer
		Last Index
		Hard HardState
	}
	// Matched is a successful AppendEntriesReply or InstallSnapshotReply, digested by the log syncer.
	Matched struct {
		From  NodeID
		Term  Term // the reply's term
		Index Index
		Doubt uint64 // the reply's
	}
	// Read asks for a linearizable read point (thesis §6.4). ID is the caller's, never reused.
	Read struct{ ID uint64 }
	// LeaseRead asks for a read point under the leader's lease (thesis §6.4.1); falls back to Read when there is no lease.
	LeaseRead struct{ ID uint64 }
	// Calendar is what the machine's calendar showed at the moment of this step, since any fixed origin. Monotonic clocks may stand still while a
	// machine is suspended, and leases must not: callers whose machines can be suspended step it before every LeaseRead, and when they begin to lead.
	// Without it a lease goes by the monotonic clock alone.
	Calendar struct{ Wall time.Duration }
	// Transfer asks the leader to hand leadership to To (thesis §3.10). The caller bounds it with AbortTransfer.
	Transfer struct{ To NodeID }
	// AbortTransfer gives up a running transfer: proposals are taken again.
	AbortTransfer struct{}
	// StepDown makes a leader a follower of nobody, in the same term.
	StepDown struct{}
	// Applied says how far the caller's state machine has come. Followers tell it to their leader (Node.Successor).
	Applied struct{ Index Index }
	// GoneBack says that this server is known to have gone back, or to be another than it is taken for: others remember a start or a folder of
	// its that this one does not follow. It is in doubt from then on, durably, and leads no more (docs/decisions/0013).
	GoneBack struct{}
	// StateLost says that the caller's state machine has no state: the snapshot that it was to begin from cannot be read. Until StateRestored this
	// server leads no more, whoever asks it to; its votes and acknowledgements stand. Wants is the index from which on a snapshot of the leader's
	// would do, which followers tell it; zero while one is being restored.
	StateLost struct{ Wants Index }
	// StateRestored ends StateLost.
	StateRestored struct{}
	// Compacted says that the caller's snapshot Meta is durable and that log entries up to Through may go.
	// Through is at most Meta.Index; less keeps trailing entries for slow followers.
	Compacted struct {
		Meta    SnapshotMeta
		Through Index
	}
)

func (Received) event()         {}
func (Elapsed) event()          {}
func (Campaign) event()         {}
func (Propose) event()          {}
func (ChangeMembership) event() {}
func (Persisted) event()        {}
func (Matched) event()          {}
func (Read) event()             {}
func (LeaseRead) event()        {}
func (Calendar) event()         {}
func (Transfer) event()         {}
func (AbortTransfer) event()    {}
func (StepDown) event()         {}
func (GoneBack) event()         {}
func (Compacted) event()        {}
func (Applied) event()          {}
func (StateLost) event()        {}
func (StateRestored) event()    {}

// Effects are what a Step wants done, in the order of the fields. Storing (Hard, Reset, Append) is one atomic
// write; messages marked AfterSync leave only when that write and all earlier ones are durable.
type Effects struct {
	Hard   *HardState    // term or vote changed: store
	Reset  *SnapshotMeta // the whole log is replaced by this snapshot (its bytes are already durable): store
	Append []Appended    // store these; whatever the stored log holds at or after the first of them goes
	Ack    *Persisted    // feed back when the write above is durable; nil when there is nothing to store
	Send   []Outgoing

	Proposed   *Run       // Propose or ChangeMembership was appended here
	Refused    error      // or why not, also for Transfer and Compacted: see errors.go
	Commit     EntryID    // when Index is not zero: entries through Index are committed
	Role       *RoleState // role, term or leader changed
	Membership *Change    // the effective membership changed (appended, rolled back or installed)

	Patience Patience   // what the election timer shall do
	Beat     uint64     // when not zero: heartbeats carrying this round are wanted now
	Reads    []ReadDone // read points found, or lost
	Transfer *TransferDone
	Doubts   []DoubtChange
	Cast     *Cast // what a candidate was told, and why

	// Suspended: the clocks of this leader have parted (Calendar), and its lease is over.
	Suspended bool

	// Impossible says why the message was dropped: no correct server sends it. It is an *ImpossibleMessageError. End the connection it came on.
	// The other effects count all the same: one with a term that is too high may have raised this server's.
	Impossible error

	// Stranger sent the message, which was dropped: it was founded with other servers than this one.
	Stranger NodeID
}

// A Cast is a vote, or a prevote, that this server gave or refused.
type Cast struct {
	Candidate NodeID
	Term      Term // that the candidate stands for, or would
	PreVote   bool
	Why       CastReason
	Last, Own EntryID // with which the candidate's log ends, and this server's
}

// A CastReason says why a vote was given or refused.
type CastReason uint8

// The reasons. Granted is the only one for a vote given.
const (
	Granted    CastReason = iota
	StaleTerm             // this server has a newer term, or for a prevote the same one
	HasLeader             // a leader was heard less than ElectionMin ago
	HasDoubt              // this server has gone back, and has no vote
	HasVoted              // for another one, in this term
	LogIsOlder            // the candidate's, than this server's (§5.4.1)
)

func (c CastReason) String() string {
	return [...]string{
		"granted", "the term is not newer", "a leader was heard", "in doubt", "voted for another", "the candidate's log is older",
	}[min(c, LogIsOlder)]
}

// A DoubtChange says that a server is known to have gone back, or is trusted again: one of the leader's members, or this server itself.
type DoubtChange struct {
	Server  NodeID
	InDoubt bool
}

// An Appended is a run that joined the log. The caller holds the payload of Command runs (what it proposed, or what came
// with the message); entries that the node makes itself are single ones of kind NoOp or Reconfigure (Membership set).
type Appended struct {
	Run
	Kind       Kind
	Membership *Membership
}

// An Outgoing is a message to send. AfterSync: not before the writes up to here are durable.
type Outgoing struct {
	To        NodeID
	Message   Message
	AfterSync bool
}

// A RoleState is who leads, as this server sees it.
type RoleState struct {
	Role   Role
	Term   Term
	Leader NodeID // None while unknown
}

// Patience tells the election timer what to do.
type Patience uint8

// The orders to the election timer.
const (
	KeepWaiting Patience = iota // no change
	WaitAfresh                  // draw a new timeout and wait it from now
	StopWaiting                 // this server may not campaign (not a voter)
)

// A ReadDone answers Read or LeaseRead: once Index is applied, the state answers the read. Err not nil: leadership was lost; *NotLeaderError.
type ReadDone struct {
	ID    uint64
	Index Index
	Err   error
}

// A TransferDone ends a Transfer. Err nil: another server leads (or the target took a newer term).
type TransferDone struct {
	To  NodeID
	Err error
}

// A Status is an immutable picture of a Node.
type Status struct {
	ID         NodeID
	Role       Role
	Term       Term
	Vote       NodeID
	Leader     NodeID
	Commit     Index
	First      Index // first index in the log; Last+1 when it is empty
	Last       Index
	Durable    Index
	Snapshot   Index
	Membership Membership
	Match      map[NodeID]Index         // leader only
	Heard      map[NodeID]time.Duration // leader only: when each member last answered, on the caller's clock
	TransferTo NodeID
	Doubt      bool     // this server has gone back: it has no vote
	Stateless  bool     // this server's state machine has no state: it does not lead
	InDoubt    []NodeID // leader only: the members that have gone back and do not count
}
