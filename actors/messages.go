package actors

import (
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// Messages that a program's actors send to a RaftGroup with ctx.Request, as pointers or values. Any other message is answered by *Refused with
// ErrUnknownMessage. Each is answered exactly once, unless the
// replica crashes with it; use the Group facade, whose calls always end. One that a stopped replica never took is answered by
// *actor.DeadLetterResponse: it did not and will not happen.
type (
	// Propose replicates Data. Answered by *Proposed or *Refused. With Session set it is applied once however often it
	// is sent; Seq counts 1, 2, 3… within the session. Data belongs to the group until the answer: whoever changes it before may change
	// what is replicated. With the answer it is free again.
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
	// Refused says that a request has no answer. errors.Is(Err, ErrIndeterminate): it may still take effect; ErrSessionForgotten: an earlier
	// attempt did; else this attempt did not and will not.
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
	// CloseSession ends a session. Answered by *SessionClosed or *Refused.
	CloseSession struct{ Session uint64 }
	// SessionClosed says that the session is over.
	SessionClosed struct{ Session uint64 }
	// OpenSession is answered by *SessionOpened or *Refused.
	OpenSession struct{}
	// SessionOpened carries the id to put into Propose.
	SessionOpened struct{ Session uint64 }
)

// A Change says how to change the membership. Either Voters (with Learners) is set and names the whole new membership, or the other
// fields say what to add, promote and remove. Anything beyond one voter in or out goes through joint consensus.
//
// A member is added as a learner, and promoted once it has caught up: a change is refused with *raft.UnsafeChangeError unless a majority of the
// new voters has answered the leader within ElectionTimeout.Max, and each new voter has caught up as a learner.
type Change struct {
	Voters, Learners       []raft.Member
	AddVoters, AddLearners []raft.Member
	Promote, Remove        []raft.NodeID
	// Readmit lets members back in that run on another folder than the cluster knows them by (*IdentityError), as learners that have to catch
	// up; a *ReadmitError says why not. Each must have called the leader. What ran in its name before will not count any more. A node that led alone in the meantime, as the
	// only founder of a cluster of its own, must not be let in.
	Readmit []raft.NodeID
	// Addresses says anew where members listen, and what their tags are; what it leaves blank stays. A voter that answers stays where it is:
	// only those that do not, or are known to be there already, can be looked for elsewhere without Force.
	Addresses []raft.Member
	// Force has the change taken although it is unsafe. If the new voters turn out to have no majority that is alive and can be reached, the
	// group is at a standstill that no later change can end: a change back needs that majority too.
	Force bool
	// BasedOn, when not 0, is an index of the log at which the caller looked at the membership, such as Status.Commit or
	// Status.MembersIndex: if it was changed since, the change is refused with *raft.MovedOnError.
	BasedOn raft.Index
}

// Events on the actor system's EventStream, in the order in which they happened on their host. They come from an actor of the host's own: a
// subscriber may block, or ask a group and wait for its answer. What comes meanwhile waits, for all subscribers, and past
// HostTuning.EventQueue the oldest is dropped. Events of protoactor's own, as *actor.DeadLetterEvent, are published on the turn of whoever sent
// the message: subscribers that may block leave those alone at once.
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
	// SnapshotUnusable: the file of the newest snapshot here cannot be read. A replica that has a state takes another one at once, and until then
	// can feed no follower that needs a snapshot; one that was to begin from it asks its leader for another (StateLostError).
	// SnapshotTaken says when that is there.
	SnapshotUnusable struct {
		Node  raft.NodeID
		Group raft.GroupID
		Index raft.Index
		Err   error
	}
	// LeaderStalled: this replica leads and takes no turn (HostTuning.LeaderStall). Its heartbeats are withheld until it does, so that
	// another is elected; until then its Status says what it last knew.
	LeaderStalled struct {
		Node  raft.NodeID
		Group raft.GroupID
		Term  raft.Term
	}
	// ApplyStalled: the state machine of this replica has applied nothing for longer than GroupConfig.ApplyStall, although entries after Index
	// are committed. What waits for it has no answer until it comes back, if ever; a replica that leads hands over to one that has
	// applied more. It comes once, and again when it is over and then back.
	ApplyStalled struct {
		Node  raft.NodeID
		Group raft.GroupID
		Index raft.Index // the last that is applied
		Since time.Time
	}
	// PeerTrouble: this replica and another node cannot work together until somebody does what Err says, which is a *NoAddressError,
	// *NoGroupError, *FoundersError or *IdentityError; the last may also be about this node itself. It comes once, and again when it is over
	// and then back.
	PeerTrouble struct {
		Node  raft.NodeID
		Group raft.GroupID
		Peer  raft.NodeID
		Err   error
	}
	// MessageRefused: Peer sent what no correct node sends, as Err says, a *raft.ImpossibleMessageError. The message was dropped, and its
	// connection ended; a term that is too high to be believed may have raised this replica's own. It comes once for each node and reason; Status.Refused counts.
	MessageRefused struct {
		Node  raft.NodeID
		Group raft.GroupID
		Peer  raft.NodeID
		Err   error
	}
	// EventsDropped: Count events are missing here, because a subscriber was slow or blocked.
	EventsDropped struct {
		Node  raft.NodeID
		Count uint64
	}
	// DoubtChanged: Member is known to have gone back, its disk lacks what it held once, so that it has no vote and does not count
	// (InDoubt), or is trusted again. Its leader says so, and the member itself.
	DoubtChanged struct {
		Node    raft.NodeID
		Group   raft.GroupID
		Member  raft.NodeID
		InDoubt bool
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
