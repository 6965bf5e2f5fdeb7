package raft

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// The founding members may be given in any order. What is wrong with them is said of them, not of a snapshot.
func TestFoundingMembership(t *testing.T) {
	start := func(m Membership) (*Replica, error) {
		return NewReplica(ReplicaConfig{ID: 1, Membership: m, ElectionMin: testElection, Rand: func(int64) int64 { return 0 }})
	}
	m := Membership{Voters: []NodeID{3, 1, 2}, Learners: []NodeID{5, 4}, Members: []Member{{ID: 2, Addr: "two"}, {ID: 1, Addr: "one"}}}
	r, err := start(m)
	if err != nil {
		t.Fatal(err)
	}
	want := Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4, 5}, Members: []Member{{ID: 1, Addr: "one"}, {ID: 2, Addr: "two"}}}
	if got := r.Status().Membership; !got.Equal(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if !slices.Equal(m.Voters, []NodeID{3, 1, 2}) {
		t.Error("the caller's own slice was sorted")
	}
	for name, m := range map[string]Membership{
		"twice": voters(1, 2, 2), "nobody": voters(0, 1), "ten": voters(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), "no voter": {Learners: []NodeID{1}},
		"joint": {Voters: []NodeID{1}, Outgoing: []NodeID{2}},
	} {
		_, err := start(m)
		var invalid *InvalidConfigError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), "founding") || strings.Contains(err.Error(), "snapshot") {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = New(Config{ID: 1, ElectionMin: testElection}, State{Snapshot: SnapshotMeta{Membership: voters(2, 1)}}, 0)
	if err == nil || !strings.Contains(err.Error(), "founding") || strings.Contains(err.Error(), "snapshot") {
		t.Errorf("New: %v", err)
	}
}
