package model

import "github.com/troupe-raft/troupe/raft"

var quick = []Scope{
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
		s.Golden = Figures{States: 8357, Transitions: 47001, Depth: 20}
	}),
	with(two, func(s *Scope) {
		s.Name, s.About = "joint", "one of two is replaced through joint consensus, with an entry before or behind"
		s.Terms, s.Targets = 2, swap
		s.Limit = Limit{Timeouts: 2, Changes: 1, Proposals: 1}
		s.Golden = Figures{States: 46042, Transitions: 237555, Depth: 29}
	}),
	with(four, func(s *Scope) {
		s.Name, s.About = "replace", "both of two are replaced: two disjoint majorities"
		s.Voters, s.Terms, s.Targets = []raft.NodeID{1, 2}, 2, otherTwo
		s.Limit = Limit{Timeouts: 2, Changes: 1}
		s.Golden = Figures{States: 14915, Transitions: 98164, Depth: 31}
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
		s.Golden = Figures{States: 85720, Transitions: 384952, Depth: 18}
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
		s.Golden = Figures{States: 3872, Transitions: 21293, Depth: 17}
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
		s.Golden = Figures{States: 41582, Transitions: 180465, Depth: 22}
	}),
	with(three, func(s *Scope) {
		s.Name, s.About = "gone back", "a server loses everything that it had, and is trusted again, as far as a vote that it forgot goes"
		s.Terms, s.Quiet, s.Wiped, s.Depth = 2, true, true, 16
		s.Limit = Limit{Timeouts: 3, Losses: 1}
		s.Golden = Figures{States: 424291, Transitions: 1685951, Depth: 16}
	}),
	with(two, func(s *Scope) {
		s.Name, s.About = "one of two gone back", "one of two voters loses its vote, an entry or everything"
		s.Servers, s.Terms, s.Quiet = 2, 2, true
		s.Limit = Limit{Timeouts: 2, Losses: 1, Proposals: 1}
		s.Golden = Figures{States: 23442, Transitions: 91420, Depth: 23}
	}),
}
