package model

import "slices"

var full = []Scope{
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
		s.Golden = Figures{States: 962044, Transitions: 8128539, Depth: 30}
	}),
	with(three, func(s *Scope) {
		s.Name, s.About = "remove, full", "one of three is removed, three elections"
		s.Terms, s.Targets = 3, twoOfThree
		s.Limit = Limit{Timeouts: 3, Changes: 1}
		s.Golden = Figures{States: 186466, Transitions: 1303667, Depth: 26}
	}),
	with(two, func(s *Scope) {
		s.Name, s.About = "joint, full", "one of two is replaced through joint consensus while the disk lags behind, and one crashes"
		s.Terms, s.Targets, s.HoldSync = 2, swap, true
		s.Limit = Limit{Timeouts: 2, Changes: 1, Crashes: 1}
		s.Golden = Figures{States: 1605352, Transitions: 10663162, Depth: 52}
	}),
	with(three, func(s *Scope) {
		s.Name, s.About = "collapse, full", "two of three are removed at once, through joint consensus, and one crashes"
		s.Terms, s.Targets = 2, oneOfThree
		s.Limit = Limit{Timeouts: 2, Changes: 1, Crashes: 1}
		s.Golden = Figures{States: 94332, Transitions: 731013, Depth: 23}
	}),
	with(four, func(s *Scope) {
		s.Name, s.About = "two changes, full", "four voters, changes by two of three leaders"
		s.Terms, s.Targets, s.Log, s.Quiet = 3, threeOfFour, 2, true
		s.Limit = Limit{Timeouts: 3, Changes: 2}
		s.Golden = Figures{States: 3869292, Transitions: 35333264, Depth: 38}
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
		s.Golden = Figures{States: 250262, Transitions: 2379422, Depth: 25}
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
		s.Golden = Figures{States: 985182, Transitions: 5574955, Depth: 28}
	}),
	with(three, func(s *Scope) {
		s.Name, s.About = "gone back, full", "a server loses its vote, an entry or everything, and is trusted again"
		s.Terms, s.Quiet = 2, true
		s.Limit = Limit{Timeouts: 2, Losses: 1}
		s.Golden = Figures{States: 1427477, Transitions: 7589704, Depth: 33}
	}),
	with(two, func(s *Scope) {
		s.Name, s.About = "snapshots of changes, full", "a log is compacted in the middle of a replacement, and one crashes"
		s.Terms, s.Targets = 2, swap
		s.Limit = Limit{Timeouts: 2, Changes: 1, Snapshots: 1, Crashes: 1}
		s.Golden = Figures{States: 259485, Transitions: 1610809, Depth: 30}
	}),
}
