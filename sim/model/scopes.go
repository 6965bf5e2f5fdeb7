package model

import (
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

func voters(ids ...raft.NodeID) raft.Membership { return raft.Membership{Voters: ids} }

var (
	three = Scope{Servers: 3, Voters: []raft.NodeID{1, 2, 3}, Batch: 1}
	two   = Scope{Servers: 3, Voters: []raft.NodeID{1, 2}, Batch: 1} // and one that waits
	four  = Scope{Servers: 4, Voters: []raft.NodeID{1, 2, 3, 4}, Batch: 1}

	twoOfThree  = []raft.Membership{voters(1, 2), voters(1, 3), voters(2, 3)}
	oneOfThree  = []raft.Membership{voters(1), voters(2), voters(3)}
	threeOfFour = []raft.Membership{voters(1, 2, 3), voters(1, 2, 4), voters(1, 3, 4), voters(2, 3, 4)}
	third       = []raft.Membership{voters(1, 2, 3), {Voters: []raft.NodeID{1, 2}, Learners: []raft.NodeID{3}}}
	swap        = []raft.Membership{voters(1, 3), voters(2, 3)} // one of two for another: joint
	otherTwo    = []raft.Membership{voters(3, 4)}
)

// with makes a scope of a cluster.
func with(cluster Scope, change func(*Scope)) Scope {
	change(&cluster)
	return cluster
}

// Quick returns the scopes that every test run exhausts, in a few seconds.
func Quick() []Scope { return slices.Clone(quick) }

// Full returns the scopes that a change must pass before it is merged: about a minute on one core.
func Full() []Scope { return slices.Clone(full) }
