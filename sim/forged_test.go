package sim

import (
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// TestForgedStates: each is refused, whatever it is made of, and what is not forged would be found to be taken.
func TestForgedStates(t *testing.T) {
	members := raft.Membership{Voters: []raft.NodeID{1, 2, 3}}
	for name, st := range map[string]raft.State{
		"nothing":    {},
		"founded":    {Snapshot: raft.SnapshotMeta{Membership: members}},
		"a log":      {Hard: raft.HardState{Term: 3, Vote: 1}, Snapshot: raft.SnapshotMeta{Membership: members}, Runs: []raft.Run{{First: 1, Last: 4, Term: 2}}},
		"a snapshot": {Hard: raft.HardState{Term: 3}, Snapshot: raft.SnapshotMeta{Index: 9, Term: 2, Membership: members}, Prev: raft.EntryID{Index: 9, Term: 2}},
	} {
		s := New(Config{Seed: 1, Quiet: true})
		if s.check.refusesForgeries(1, st); s.check.first != nil {
			t.Errorf("%s: %v", name, s.check.first)
		}
	}
	all := forgedStates
	defer func() { forgedStates = all }()
	forgedStates = []forgedState{{"nothing of it", func(*raft.State) {}}}
	s := New(Config{Seed: 1, Quiet: true, Clients: -1})
	if s.check.first == nil {
		t.Error("a state that is taken is not found")
	}
}
