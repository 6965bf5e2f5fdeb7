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
func Quick() []Scope {
	return []Scope{
		with(three, func(s *Scope) {
			s.Name, s.About = "elections", "four elections in four terms as far as Figure 8 goes"
			s.Terms, s.Depth = 4, 16
			s.Limit = Limit{Timeouts: 4}
			s.Golden = Figures{States: 114305, Transitions: 522826, Depth: 16}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "log", "two leaders, an entry, a crash, messages of any length"
			s.Terms, s.Batch = 2, 9
			s.Limit = Limit{Timeouts: 2, Proposals: 1, Crashes: 1}
			s.Golden = Figures{States: 164335, Transitions: 2240099, Depth: 21}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "sync", "two elections and a crash while the disk lags behind"
			s.Terms, s.HoldSync, s.Quiet = 2, true, true
			s.Limit = Limit{Timeouts: 2, Crashes: 1}
			s.Golden = Figures{States: 239676, Transitions: 1184446, Depth: 29}
		}),
		with(two, func(s *Scope) {
			s.Name, s.About = "add", "a third server is added, as a voter or a learner, and one crashes"
			s.Terms, s.Targets = 2, third
			s.Limit = Limit{Timeouts: 2, Changes: 1, Crashes: 1}
			s.Golden = Figures{States: 69942, Transitions: 465199, Depth: 23}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "remove", "one of three is removed, perhaps the leader"
			s.Terms, s.Targets = 2, twoOfThree
			s.Limit = Limit{Timeouts: 2, Changes: 1}
			s.Golden = Figures{States: 7868, Transitions: 43220, Depth: 20}
		}),
		with(two, func(s *Scope) {
			s.Name, s.About = "joint", "one of two is replaced through joint consensus, with an entry before or behind"
			s.Terms, s.Targets = 2, swap
			s.Limit = Limit{Timeouts: 2, Changes: 1, Proposals: 1}
			s.Golden = Figures{States: 45043, Transitions: 226924, Depth: 29}
		}),
		with(four, func(s *Scope) {
			s.Name, s.About = "replace", "both of two are replaced: two disjoint majorities"
			s.Voters, s.Terms, s.Targets = []raft.NodeID{1, 2}, 2, otherTwo
			s.Limit = Limit{Timeouts: 2, Changes: 1}
			s.Golden = Figures{States: 14801, Transitions: 97224, Depth: 30}
		}),
		with(two, func(s *Scope) {
			s.Name, s.About = "alone", "one voter becomes two while the disk lags behind, and one crashes"
			s.Servers, s.Voters, s.Terms, s.HoldSync, s.Targets = 2, []raft.NodeID{1}, 2, true, []raft.Membership{voters(1, 2)}
			s.Limit = Limit{Timeouts: 3, Changes: 1, Crashes: 1, Proposals: 1}
			s.Golden = Figures{States: 72887, Transitions: 281242, Depth: 31}
		}),
		with(four, func(s *Scope) {
			s.Name, s.About = "two changes", "four voters, changes by two leaders, as far as Ongaro's bug of 2015 goes"
			s.Terms, s.Targets, s.Log, s.Quiet, s.Depth = 3, threeOfFour, 2, true, 18
			s.Limit = Limit{Timeouts: 3, Changes: 2}
			s.Golden = Figures{States: 82221, Transitions: 369870, Depth: 18}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "clock", "prevotes, promises and leases over a whole ElectionMin"
			s.Terms, s.Clock, s.Quiet = 2, true, true
			s.Limit = Limit{Timeouts: 2, Ticks: 2}
			s.Golden = Figures{States: 262466, Transitions: 1867116, Depth: 26}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "promises", "leases, and a crash that must not forget what was promised"
			s.Terms, s.Clock, s.Quiet = 2, true, true
			s.Limit = Limit{Timeouts: 2, Ticks: 1, Crashes: 1}
			s.Golden = Figures{States: 147013, Transitions: 1028329, Depth: 22}
		}),
		with(two, func(s *Scope) {
			s.Name, s.About = "last voter", "one of two is removed, and a crash: who is alone has promised nobody"
			s.Servers, s.Terms, s.Clock, s.Targets = 2, 2, true, []raft.Membership{voters(1), voters(2)}
			s.Limit = Limit{Timeouts: 2, Ticks: 1, Changes: 1, Crashes: 1}
			s.Golden = Figures{States: 3582, Transitions: 19231, Depth: 17}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "handover", "leadership is handed over while a lease lasts"
			s.Terms, s.Clock, s.Quiet = 2, true, true
			s.Limit = Limit{Timeouts: 1, Ticks: 1, Transfers: 1}
			s.Golden = Figures{States: 43279, Transitions: 346251, Depth: 24}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "reads", "a linearizable read while another server is elected"
			s.Terms, s.Quiet = 2, true
			s.Limit = Limit{Timeouts: 2, Reads: 1}
			s.Golden = Figures{States: 86171, Transitions: 565966, Depth: 22}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "snapshots", "a log is compacted while one of three is being removed"
			s.Terms, s.Quiet, s.Targets = 2, true, twoOfThree
			s.Limit = Limit{Timeouts: 2, Changes: 1, Snapshots: 1}
			s.Golden = Figures{States: 38897, Transitions: 166065, Depth: 22}
		}),
	}
}

// Full returns the scopes that a change must pass before it is merged: a minute on one core.
func Full() []Scope {
	return []Scope{
		with(three, func(s *Scope) {
			s.Name, s.About = "elections, full", "four elections in four terms"
			s.Terms = 4
			s.Limit = Limit{Timeouts: 4}
			s.Golden = Figures{States: 824983, Transitions: 6717886, Depth: 30}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "log, full", "two leaders, two entries, a crash"
			s.Terms = 2
			s.Limit = Limit{Timeouts: 2, Proposals: 2, Crashes: 1}
			s.Golden = Figures{States: 1451513, Transitions: 15866857, Depth: 26}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "refusals, full", "two leaders, an entry, a crash, and nothing that says no gets lost"
			s.Terms, s.Refusals = 2, true
			s.Limit = Limit{Timeouts: 2, Proposals: 1, Crashes: 1}
			s.Golden = Figures{States: 406210, Transitions: 5603881, Depth: 23}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "sync, full", "two elections and a crash while the disk lags behind, and everybody hears of commits"
			s.Terms, s.HoldSync = 2, true
			s.Limit = Limit{Timeouts: 2, Crashes: 1}
			s.Golden = Figures{States: 475076, Transitions: 2469074, Depth: 31}
		}),
		with(two, func(s *Scope) {
			s.Name, s.About = "add, full", "a third server is added, as a voter or a learner, and promoted, demoted or removed"
			s.Terms, s.Targets = 2, append(slices.Clone(third), voters(1, 2))
			s.Limit = Limit{Timeouts: 2, Changes: 2, Crashes: 1}
			s.Golden = Figures{States: 942315, Transitions: 7909546, Depth: 30}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "remove, full", "one of three is removed, three elections"
			s.Terms, s.Targets = 3, twoOfThree
			s.Limit = Limit{Timeouts: 3, Changes: 1}
			s.Golden = Figures{States: 178095, Transitions: 1227110, Depth: 26}
		}),
		with(two, func(s *Scope) {
			s.Name, s.About = "joint, full", "one of two is replaced through joint consensus while the disk lags behind, and one crashes"
			s.Terms, s.Targets, s.HoldSync = 2, swap, true
			s.Limit = Limit{Timeouts: 2, Changes: 1, Crashes: 1}
			s.Golden = Figures{States: 1604206, Transitions: 10651852, Depth: 52}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "collapse, full", "two of three are removed at once, through joint consensus, and one crashes"
			s.Terms, s.Targets = 2, oneOfThree
			s.Limit = Limit{Timeouts: 2, Changes: 1, Crashes: 1}
			s.Golden = Figures{States: 86067, Transitions: 630122, Depth: 22}
		}),
		with(four, func(s *Scope) {
			s.Name, s.About = "two changes, full", "four voters, changes by two of three leaders"
			s.Terms, s.Targets, s.Log, s.Quiet = 3, threeOfFour, 2, true
			s.Limit = Limit{Timeouts: 3, Changes: 2}
			s.Golden = Figures{States: 3479167, Transitions: 31304770, Depth: 38}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "clock, full", "prevotes, promises and leases over one and a half ElectionMin"
			s.Terms, s.Clock, s.Quiet = 2, true, true
			s.Limit = Limit{Timeouts: 2, Ticks: 3}
			s.Golden = Figures{States: 827220, Transitions: 6429772, Depth: 28}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "beats, full", "a lease is renewed by a second round of heartbeats"
			s.Terms, s.Clock, s.Quiet = 2, true, true
			s.Limit = Limit{Timeouts: 2, Ticks: 2, Beats: 1}
			s.Golden = Figures{States: 2913858, Transitions: 24496460, Depth: 28}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "promises, full", "leases over a whole ElectionMin, and a crash"
			s.Terms, s.Clock, s.Quiet = 2, true, true
			s.Limit = Limit{Timeouts: 2, Ticks: 2, Crashes: 1}
			s.Golden = Figures{States: 1000444, Transitions: 8196727, Depth: 27}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "handover, full", "leadership is handed over while a lease lasts, and runs out"
			s.Terms, s.Clock, s.Quiet = 2, true, true
			s.Limit = Limit{Timeouts: 1, Ticks: 2, Transfers: 1}
			s.Golden = Figures{States: 250262, Transitions: 2384322, Depth: 25}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "reads, full", "a linearizable read while another server is elected and one crashes"
			s.Terms = 2
			s.Limit = Limit{Timeouts: 2, Reads: 1, Crashes: 1}
			s.Golden = Figures{States: 878935, Transitions: 8055444, Depth: 25}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "snapshots, full", "a log is compacted, three elections"
			s.Terms = 3
			s.Limit = Limit{Timeouts: 3, Snapshots: 1}
			s.Golden = Figures{States: 693980, Transitions: 4875913, Depth: 27}
		}),
		with(three, func(s *Scope) {
			s.Name, s.About = "snapshots of removals, full", "a log is compacted while one of three is being removed, three elections"
			s.Terms, s.Quiet, s.Targets = 3, true, twoOfThree
			s.Limit = Limit{Timeouts: 3, Changes: 1, Snapshots: 1}
			s.Golden = Figures{States: 942639, Transitions: 5302256, Depth: 28}
		}),
		with(two, func(s *Scope) {
			s.Name, s.About = "snapshots of changes, full", "a log is compacted in the middle of a replacement, and one crashes"
			s.Terms, s.Targets = 2, swap
			s.Limit = Limit{Timeouts: 2, Changes: 1, Snapshots: 1, Crashes: 1}
			s.Golden = Figures{States: 251807, Transitions: 1530309, Depth: 30}
		}),
	}
}
