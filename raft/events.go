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
	ChangeMembership struct{ Target Membership }
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
	}
	// Read asks for a linearizable read point (thesis §6.4). ID is the caller's, never reused.
	Read struct{ ID uint64 }
	// LeaseRead asks for a read point under the leader's lease (thesis §6.4.1); falls back to Read when there is no lease.
	LeaseRead struct{ ID uint64 }
	// Transfer asks the leader to hand leadership to To (thesis §3.10). The caller bounds it with AbortTransfer.
	Transfer struct{ To NodeID }
	// AbortTransfer gives up a running transfer: proposals are taken again.
	AbortTransfer struct{}
	// StepDown makes a leader a follower of nobody, in the same term.
	StepDown struct{}
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
func (Transfer) event()         {}
func (AbortTransfer) event()    {}
func (StepDown) event()         {}
func (Compacted) event()        {}

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
}
