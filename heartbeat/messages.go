package heartbeat

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
)

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
	Actor  *actor.PID // the group's, which answers Probe; nil: the group is never taken for stuck

	Founders uint32 // raft.Node.Founders
}

// Probe asks a group that leads for a sign of life: Alive, or anything else that it has to say in this term.
type Probe struct{ Term raft.Term }

// Alive says that the group's actor takes turns. One that leads and works says so from time to time, so that it need not be asked.
type Alive struct {
	Group raft.GroupID
	Term  raft.Term
}

// Stalled tells the parent that a group that leads has given no sign of life for Config.Stall although asked, and gets no beats until it does:
// its followers are to elect another. Whatever else of this leader reaches them has to end, too.
type Stalled struct {
	Group raft.GroupID
	Term  raft.Term
}

// Resumed tells the parent that a group that was stalled has given a sign of life, in the same term.
type Resumed struct {
	Group raft.GroupID
	Term  raft.Term
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
