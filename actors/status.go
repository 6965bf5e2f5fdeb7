package actors

import (
	"github.com/troupe-raft/troupe/raft"
)

// A Status is an immutable picture of a replica, published by its group actor after every batch.
type Status struct {
	Node     raft.NodeID
	Group    raft.GroupID
	Role     raft.Role
	Stopped  bool // not running: stopped, failed or still starting; Err says why when it failed
	Term     raft.Term
	Leader   raft.NodeID // None while unknown
	Commit   raft.Index
	Applied  raft.Index
	First    raft.Index // first index in the log; Last+1 when it is empty
	Last     raft.Index
	Durable  raft.Index // last index that is on this node's disk
	Snapshot raft.Index
	Members  []MemberStatus
	Joint    bool  // a joint membership is in force
	CaughtUp bool  // a leader is known and all that it had committed when this replica first heard from it is applied
	Err      error // why the replica failed; nil otherwise
}

// A MemberStatus is one member as a replica sees it. Match and Active are known to the leader only.
type MemberStatus struct {
	raft.Member
	Voter  bool
	Match  raft.Index
	Active bool // answered within the shortest election timeout
}

// RoleName is the role in words: leader, follower, candidate, learner or stopped.
func (s Status) RoleName() string {
	if s.Stopped {
		return "stopped"
	}
	switch s.Role {
	case raft.Leader:
		return "leader"
	case raft.Candidate, raft.PreCandidate:
		return "candidate"
	case raft.Learner:
		return "learner"
	default:
		return "follower"
	}
}
