package model

import (
	"fmt"

	"github.com/troupe-raft/troupe/raft"
)

// maxServers bounds Scope.Servers.
const maxServers = 4

// A Scope is a cluster, what may happen to it, and how often at most. Within it Run tries everything.
type Scope struct {
	Name  string
	About string

	Servers int           // 1..maxServers; their IDs are 1..Servers
	Voters  []raft.NodeID // by the founding membership; the other servers wait to be added
	Terms   raft.Term     // nobody begins an election that would lead to a later term
	Batch   raft.Index    // most entries of one AppendEntries; every stretch up to that length is sent
	Log     raft.Index    // a leader with that many entries is asked for no more; 0: no such bound

	// HoldSync makes each sync an event of its own; otherwise writes are durable at once.
	HoldSync bool
	// Quiet keeps the commit index out of AppendEntries, as a syncer does that has not heard of it yet: only leaders commit.
	Quiet bool
	// Refusals lets answers travel that say no; otherwise they are all lost. What they tell is the answerer's term.
	Refusals bool
	// Clock lets time matter: promises not to vote, leases, heartbeats that are too old, and prevotes with them. Without it
	// every promise has run out by the time it is looked at, and whoever loses patience has a quorum's prevotes.
	Clock bool

	// Wiped makes every loss one of everything; otherwise it may be the vote or the last entry alone.
	Wiped bool

	Limit   Limit
	Targets []raft.Membership // what a leader is asked to change to
	Depth   int               // go no farther than so many events from the start; 0: to the end

	Golden Figures

	// Tests only.
	faults   faults          // what breaks
	blind    map[string]bool // properties not looked at, so that what follows from breaking them shows
	plain    bool            // no renaming
	keepDead bool            // of letters
}

// A Limit says how often, over all servers, something may happen: at most 7 times each.
type Limit struct {
	Timeouts  int // elections begun
	Proposals int
	Crashes   int
	Changes   int // of the membership, to one of Targets
	Snapshots int // taken by a server of its own accord, and the log compacted
	Reads     int // linearizable ones; at most 1
	Ticks     int // of the clock that all servers share; an ElectionMin is two
	Beats     int // rounds of heartbeats, beyond those that the rules ask for
	Transfers int
	Losses    int // restarts from a disk that has lost something, and knows it
}

// Figures are what exhausting a scope comes to.
type Figures struct {
	States      int
	Transitions int // including those to states known already, excluding those that change nothing
	Depth       int // of the state that is farthest from the start
}

func (f Figures) String() string {
	return fmt.Sprintf("%d states, %d transitions, depth %d", f.States, f.Transitions, f.Depth)
}

// A cost is what an event uses up.
type cost uint8

const (
	free cost = iota
	timeouts
	proposals
	crashes
	changes
	snapshots
	reads
	ticks
	beats
	transfers
	losses
	costs // how many
)

func (l Limit) of() [costs]uint32 {
	return [costs]uint32{
		timeouts: uint32(l.Timeouts), proposals: uint32(l.Proposals), crashes: uint32(l.Crashes), changes: uint32(l.Changes),
		snapshots: uint32(l.Snapshots), reads: uint32(l.Reads), ticks: uint32(l.Ticks), beats: uint32(l.Beats), transfers: uint32(l.Transfers),
		losses: uint32(l.Losses),
	}
}

// spent is how much of each cost was used, three bits each.
type spent uint32

func (s spent) of(c cost) uint32   { return uint32(s) >> (3 * (c - 1)) & 7 }
func (s spent) plus(c cost) spent  { return s + 1<<(3*(c-1)) }
func (s Scope) ids() []raft.NodeID { return serverIDs[:s.Servers] }

var serverIDs = [maxServers]raft.NodeID{1, 2, 3, 4}

func (s Scope) validate() error {
	switch {
	case s.Servers < 1 || s.Servers > maxServers:
		return fmt.Errorf("model: %s has %d servers, not 1 to %d", s.Name, s.Servers, maxServers)
	case s.Terms < 1 || s.Terms >= maxTerms:
		return fmt.Errorf("model: %s has terms to %d, not 1 to %d", s.Name, s.Terms, maxTerms-1)
	case s.Batch < 1:
		return fmt.Errorf("model: %s sends no entries", s.Name)
	case len(s.Voters) == 0 || s.Voters[len(s.Voters)-1] > serverIDs[s.Servers-1]:
		return fmt.Errorf("model: %s has voters %v of %d servers", s.Name, s.Voters, s.Servers)
	case s.Limit.Reads > 1:
		return fmt.Errorf("model: %s has more than one read", s.Name)
	case s.Limit.Changes > 0 && len(s.Targets) == 0:
		return fmt.Errorf("model: %s has no target of a change", s.Name)
	}
	for c, n := range s.Limit.of() {
		if n > 7 {
			return fmt.Errorf("model: %s allows %d of cost %d, not at most 7", s.Name, n, c)
		}
	}
	return nil
}

// faults break what surrounds the rules. A checker that stays silent then is worth nothing.
type faults struct {
	forgetVotes bool        // a crash loses the synced vote
	forgetTail  bool        // a crash loses the last synced entry
	speakEarly  bool        // nothing waits for a sync
	lie         bool        // a sync is reported before the write; the crash finds out
	forgeGrants bool        // refused votes arrive as given
	forgeMatch  bool        // acknowledgements arrive one entry too high
	forgeCommit bool        // appends arrive with a commit index one too high
	fastClock   raft.NodeID // this server's clock runs at double speed
	oldRounds   bool        // heartbeats are answered as if they were the latest
	confident   bool        // a disk that has lost something does not know it
}
