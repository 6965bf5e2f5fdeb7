package sim

import (
	"errors"
	"slices"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A forgedState makes of what a disk holds what no server could have written, or leaves it alone when there is nothing to forge.
type forgedState struct {
	name string
	make func(*raft.State)
}

// forgedStates are what a store could hand out by a fault of its own. The rules must take none of it for theirs.
var forgedStates = []forgedState{
	{"a log of a newer term than the server's", func(st *raft.State) { st.Runs = after(st, 1, 0) }},
	{"a gap in the log", func(st *raft.State) { st.Runs = after(st, 0, 1) }},
	{"terms that fall", func(st *raft.State) {
		st.Hard.Term += 2
		last := after(st, -1, 0)
		st.Runs = append(last, raft.Run{First: last[len(last)-1].Last + 1, Last: last[len(last)-1].Last + 1, Term: st.Hard.Term - 2})
	}},
	{"a log that follows half an entry", func(st *raft.State) { st.Prev.Index, st.Prev.Term = st.Prev.Index+1, 0 }},
	{"a vote in no term", func(st *raft.State) {
		*st = raft.State{Hard: raft.HardState{Vote: 1}, Snapshot: raft.SnapshotMeta{Membership: st.Snapshot.Membership}}
	}},
	{"a snapshot of no term", func(st *raft.State) { st.Snapshot.Index, st.Snapshot.Term = st.Snapshot.Index+1, 0 }},
	{"a log that begins after the snapshot", func(st *raft.State) {
		st.Hard.Term, st.Runs, st.Changes = st.Hard.Term+1, nil, nil
		st.Prev = raft.EntryID{Index: st.Snapshot.Index + 1, Term: st.Hard.Term}
	}},
	{"a log that follows another snapshot", func(st *raft.State) {
		st.Hard.Term, st.Runs, st.Changes = st.Hard.Term+2, nil, nil
		st.Snapshot.Index, st.Snapshot.Term = st.Snapshot.Index+1, st.Hard.Term
		st.Prev = raft.EntryID{Index: st.Snapshot.Index, Term: st.Hard.Term - 1}
	}},
	{"a snapshot without members", func(st *raft.State) {
		st.Hard.Term++
		st.Snapshot = raft.SnapshotMeta{Index: st.Snapshot.Index + 1, Term: st.Hard.Term}
	}},
	{"a snapshot whose members repeat", func(st *raft.State) {
		st.Hard.Term++
		st.Snapshot = raft.SnapshotMeta{Index: st.Snapshot.Index + 1, Term: st.Hard.Term, Membership: raft.Membership{Voters: []raft.NodeID{2, 2}}}
	}},
	{"a term that has no next", func(st *raft.State) { st.Hard.Term = 1<<64 - 1 }},
	{"a snapshot's term that has no next", func(st *raft.State) { st.Snapshot.Index, st.Snapshot.Term = st.Snapshot.Index+1, 1<<64-1 }},
	{"a promise that nobody gives", func(st *raft.State) { st.Hard.Promise = -1 }},
	{"an index that has no next", func(st *raft.State) {
		st.Hard.Term++
		st.Runs = append(slices.Clone(st.Runs), raft.Run{First: lastOf(st) + 1, Last: 1<<64 - 1, Term: st.Hard.Term})
	}},
	{"founders that repeat", func(st *raft.State) {
		*st = raft.State{Snapshot: raft.SnapshotMeta{Membership: raft.Membership{Voters: []raft.NodeID{2, 1}}}}
	}},
	{"a voter that is a learner", func(st *raft.State) {
		*st = raft.State{Snapshot: raft.SnapshotMeta{Membership: raft.Membership{Voters: []raft.NodeID{1}, Learners: []raft.NodeID{1}}}}
	}},
	{"an address of nobody", func(st *raft.State) {
		*st = raft.State{Snapshot: raft.SnapshotMeta{Membership: raft.Membership{Voters: []raft.NodeID{1}, Members: []raft.Member{{ID: 9, Addr: "x"}}}}}
	}},
	{"two addresses of one", func(st *raft.State) {
		*st = raft.State{Snapshot: raft.SnapshotMeta{Membership: raft.Membership{Voters: []raft.NodeID{1}, Members: []raft.Member{{ID: 1, Addr: "x"}, {ID: 1, Addr: "y"}}}}}
	}},
	{"a membership beyond the log", func(st *raft.State) {
		st.Changes = append(slices.Clone(st.Changes), raft.Change{Index: lastOf(st) + 1, Membership: raft.Membership{Voters: []raft.NodeID{1}}})
	}},
	{"a membership of nobody", func(st *raft.State) {
		st.Hard.Term++
		st.Runs = after(st, 0, 0)
		st.Changes = append(slices.Clone(st.Changes), raft.Change{Index: lastOf(st), Membership: raft.Membership{Learners: []raft.NodeID{1}}})
	}},
	{"a snapshot that contradicts the log's membership", func(st *raft.State) {
		st.Hard.Term++
		st.Runs = after(st, 0, 0)
		last := lastOf(st)
		st.Changes = append(slices.Clone(st.Changes), raft.Change{Index: last, Membership: raft.Membership{Voters: []raft.NodeID{1}}})
		st.Snapshot = raft.SnapshotMeta{Index: last, Term: st.Hard.Term, Membership: raft.Membership{Voters: []raft.NodeID{2}}}
	}},
}

// after is a state's log with one entry more, of the server's term or a later one, after a gap of so many entries.
func after(st *raft.State, later int, gap raft.Index) []raft.Run {
	first := lastOf(st) + 1 + gap
	term := raft.Term(int(st.Hard.Term) + later)
	return append(slices.Clone(st.Runs), raft.Run{First: first, Last: first, Term: max(term, 1)})
}

func lastOf(st *raft.State) raft.Index {
	if n := len(st.Runs); n > 0 {
		return st.Runs[n-1].Last
	}
	return st.Prev.Index
}

// impossible are configurations of the rules that make no sense.
var impossible = []raft.Config{
	{ElectionMin: electionMin}, {ID: 1}, {ID: 1, ElectionMin: electionMax, ElectionMax: electionMin},
	{ID: 1, ElectionMin: electionMin, LeaseDrift: -1}, {ID: 1, ElectionMin: 1_000_000 * time.Hour},
}

// refusesForgeries: what no server could have written, or no operator can have meant, does not begin a replica.
func (c *checker) refusesForgeries(node raft.NodeID, st raft.State) {
	cfg := raft.Config{ID: node, ElectionMin: electionMin}
	for _, f := range forgedStates {
		forged := st
		f.make(&forged)
		_, err := raft.New(cfg, forged, 0)
		if invalid := (*raft.InvalidStateError)(nil); !errors.As(err, &invalid) {
			c.fail("states that no server wrote are refused", "node %d begins from %s: %v", node, f.name, err)
			return
		}
		c.sim.trace.note("refused: %v", err)
	}
	for _, cfg := range impossible {
		_, err := raft.New(cfg, st, 0)
		if invalid := (*raft.InvalidConfigError)(nil); !errors.As(err, &invalid) {
			c.fail("impossible configurations are refused", "%+v: %v", cfg, err)
			return
		}
		c.sim.trace.note("refused: %v", err)
	}
}
