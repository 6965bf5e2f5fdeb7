package actors

import (
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A Status is an immutable picture of a replica, published by its group actor after every batch.
type Status struct {
	Node     raft.NodeID
	Group    raft.GroupID
	Role     raft.Role
	Stopped  bool // Phase is not Running
	Term     raft.Term
	Leader   raft.NodeID // None while unknown
	Commit   raft.Index
	Applied  raft.Index
	First    raft.Index // first index in the log; Last+1 when it is empty
	Last     raft.Index
	Durable  raft.Index // last index that is on this node's disk
	Snapshot raft.Index
	Members  []MemberStatus
	// MembersIndex is where in the log Members was set; below the first entry that is left, it may be the snapshot's index instead.
	MembersIndex raft.Index
	Joint        bool // a joint membership is in force
	// Removed is where the membership was set by which the group goes on without this node, as others have told it: it rests until it is added again. Members
	// may still be what it knew before. 0: nobody has said so.
	Removed raft.Index
	Doubt   bool // this node has gone back: it has no vote until its leader trusts it again
	// Trouble is what keeps this replica from doing its part: an *IdentityError, what others say against this node, which is not who they know by its
	// name; or a *StateLostError. Nil: nothing.
	Trouble  error
	CaughtUp bool   // a leader is known and was heard lately, and this replica keeps up with it: Tuning.CaughtUpWithin
	Err      error  // why the replica crashed or failed; nil otherwise. Phase says whether that is its end
	Refused  uint64 // messages of peers that no correct node sends, since the actor was started: see MessageRefused
	Phase    Phase
	// StalledSince is when the state machine began what it has not come back from, for longer than GroupConfig.ApplyStall; zero otherwise.
	StalledSince time.Time
	NextTry      time.Time // of a replica that is Restarting, once it waits; zero otherwise

	caughtUpUntil time.Duration // by the host's clock, unless the leader is heard again; 0: without end
}

// A Phase is how far a replica is in its life.
type Phase uint8

const (
	Starting   Phase = iota // reads its disk
	Running                 // takes part
	Restarting              // it crashed, and starts again by itself at NextTry
	Failed                  // down, until Restart
	Left                    // its actor is stopped
)

// String is the phase in a word.
func (p Phase) String() string {
	if words := [...]string{"starting", "running", "restarting", "failed", "left"}; int(p) < len(words) {
		return words[p]
	}
	return "unknown"
}

// A MemberStatus is one member as a replica sees it. Match, Active and Progress are known to the leader only.
type MemberStatus struct {
	raft.Member
	Voter  bool
	Match  raft.Index
	Active bool // answered within the shortest election timeout
	// Progress is how the leader feeds the member, as it was Tuning.ProgressEvery ago or later; zero for the leader itself. What counts for
	// commits is Match.
	Progress raft.ProgressStatus
	// Trouble is what keeps the member and this replica from working together, as far as is known here: *NoAddressError, *NoGroupError,
	// *FoundersError, *IdentityError or nil.
	Trouble error
	Doubt   bool // it has gone back, its disk lacks what it held once: it has no vote and does not count; known to the leader and to itself
}

// RoleName is the role in words: leader, follower, candidate, precandidate, learner, removed or stopped.
func (s Status) RoleName() string {
	switch {
	case s.Stopped:
		return "stopped"
	case s.Removed > 0:
		return "removed"
	}
	switch s.Role {
	case raft.Leader:
		return "leader"
	case raft.Candidate:
		return "candidate"
	case raft.PreCandidate:
		return "precandidate"
	case raft.Learner:
		return "learner"
	default:
		return "follower"
	}
}
