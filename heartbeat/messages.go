package heartbeat

import "github.com/troupe-raft/troupe/raft"

// All messages travel as pointers and are read-only once sent.

// OnDuty tells the parent that the actor runs, or runs again after a restart, and knows no
// group: every group that leads must send Lead.
type OnDuty struct{}

// Lead registers a group that this host leads, or replaces what was registered in an older or the same
// term. All Peers get a beat at once: a new leader makes itself known (§5.2).
type Lead struct {
	Group  raft.GroupID
	Term   raft.Term
	Peers  []raft.NodeID // all members but the leader itself, who is skipped if named
	Round  uint64        // the latest read round
	Commit raft.EntryID
}

// Advance says that the group's commit moved; the next beat carries it.
type Advance struct {
	Group  raft.GroupID
	Term   raft.Term
	Commit raft.EntryID
}

// BeatNow asks for a beat with this Round to all of the group's peers at once, in one
// message per peer with those of the other groups that asked at the same time (thesis §6.4).
type BeatNow struct {
	Group raft.GroupID
	Term  raft.Term
	Round uint64
}

// Rest says that the group leads no more. It is ignored when a newer term is registered.
type Rest struct {
	Group raft.GroupID
	Term  raft.Term
}
