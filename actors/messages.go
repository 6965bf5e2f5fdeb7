package actors

import (
	"github.com/troupe-raft/troupe/raft"
)

// Messages that a program's actors send to a RaftGroup with ctx.Request. Each is answered exactly once, unless the
// replica crashes with it; use the Group facade, whose calls always end. One that a stopped replica never took is answered by
// *actor.DeadLetterResponse: it did not and will not happen.
type (
	// Propose replicates Data. Answered by *Proposed or *Refused. With Session set it is applied once however often it
	// is sent; Seq counts 1, 2, 3… within the session.
	Propose struct {
		Data    []byte
		Session uint64
		Seq     uint64
	}
	// Proposed says that the entry was applied, with the state machine's answer.
	Proposed struct {
		Index  raft.Index
		Result []byte
	}
	// Refused says that a request failed. errors.Is(Err, ErrIndeterminate): it may still take effect; else it did not and will not.
	Refused struct{ Err error }
	// Read asks for a linearizable read point. Answered by *ReadPoint once the local state machine has reached it, or *Refused.
	Read struct{ Lease bool }
	// ReadPoint says that the local state machine reflects all that was acknowledged before the Read was sent.
	ReadPoint struct{ Index raft.Index }
	// GetStatus is answered by a Status.
	GetStatus struct{}
	// ChangeMembers is answered by *Changed once the final membership is committed, or *Refused.
	ChangeMembers struct{ Change Change }
	// Changed carries the committed membership.
	Changed struct{ Membership raft.Membership }
	// TransferLeadership is answered by *Transferred once another server leads, or *Refused.
	TransferLeadership struct{ To raft.NodeID }
	// Transferred says that leadership moved.
	Transferred struct{ To raft.NodeID }
	// TakeSnapshot is answered by *SnapshotReady or *Refused.
	TakeSnapshot struct{}
	// SnapshotReady says which index the newest snapshot covers.
	SnapshotReady struct{ Index raft.Index }
	// StepDown makes a leader a follower. Answered by a Status.
	StepDown struct{}
	// OpenSession is answered by *SessionOpened or *Refused.
	OpenSession struct{}
	// SessionOpened carries the id to put into Propose.
	SessionOpened struct{ Session uint64 }
)

// A Change says how to change the membership. Either Voters (with Learners) is set and names the whole new membership, or the other
// fields say what to add, promote and remove. Anything beyond one voter in or out goes through joint consensus.
type Change struct {
	Voters, Learners       []raft.Member
	AddVoters, AddLearners []raft.Member
	Promote, Remove        []raft.NodeID
}

// Events on the actor system's EventStream.
type (
	// RoleChanged: role, term or known leader of this replica changed.
	RoleChanged struct {
		Node   raft.NodeID
		Group  raft.GroupID
		Role   raft.Role
		Term   raft.Term
		Leader raft.NodeID
	}
	// MembershipChanged: another membership is effective (not yet necessarily committed) on this replica.
	MembershipChanged struct {
		Node       raft.NodeID
		Group      raft.GroupID
		Index      raft.Index
		Membership raft.Membership
	}
	// SnapshotTaken: a snapshot is durable here. Installed: it came from the leader.
	SnapshotTaken struct {
		Node      raft.NodeID
		Group     raft.GroupID
		Index     raft.Index
		Installed bool
	}
	// ReplicaRestarted: a panic crash-restarted this replica.
	ReplicaRestarted struct {
		Node   raft.NodeID
		Group  raft.GroupID
		Reason error
	}
	// ReplicaFailed: this replica is down for good, until it is spawned again.
	ReplicaFailed struct {
		Node   raft.NodeID
		Group  raft.GroupID
		Reason error
	}
)
