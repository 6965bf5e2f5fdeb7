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
	swap        = []raft.Membership{voters(1, 3), voters(2, 3)} // of two for one: joint
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
			s.Name, s.About = "joint", "one of two is replaced through joint consensus, three elections"
			s.Terms, s.Targets = 3, swap
			s.Limit = Limit{Timeouts: 3, Changes: 1}
			s.Golden = Figures{States: 39637, Transitions: 191718, Depth: 31}
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
		with(two, func(s *Scope) {
			s.Name, s.About = "snapshots", "a log is compacted in the middle of a replacement"
			s.Terms, s.Targets = 2, swap
			s.Limit = Limit{Timeouts: 2, Changes: 1, Snapshots: 1}
			s.Golden = Figures{States: 31634, Transitions: 139914, Depth: 26}
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
			s.Golden = Figures{States: 406720, Transitions: 5609888, Depth: 23}
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
		with(two, func(s *Scope) {
			s.Name, s.About = "snapshots of changes, full", "a log is compacted in the middle of a replacement, and one crashes"
			s.Terms, s.Targets = 2, swap
			s.Limit = Limit{Timeouts: 2, Changes: 1, Snapshots: 1, Crashes: 1}
			s.Golden = Figures{States: 251807, Transitions: 1530309, Depth: 30}
		}),
	}
}
