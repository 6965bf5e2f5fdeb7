package model

import (
	"flag"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

var fullFlag = flag.Bool("model.full", false, "exhaust the full scopes too: a minute on one core")

var underRace bool

func TestScopes(t *testing.T) {
	scopes := Quick()
	if *fullFlag {
		scopes = append(scopes, Full()...)
	}
	for _, s := range scopes {
		t.Run(s.Name, func(t *testing.T) {
			if underRace && s.Golden.Transitions > 300_000 {
				t.Skip("a search has one goroutine, and ten times the time under the race detector: run it without")
			}
			t.Parallel()
			r, err := Run(s)
			if err != nil {
				t.Fatal(err)
			}
			if r.Violation != nil {
				t.Fatalf("%v\n%s", r.Violation, strings.Join(r.Violation.Trace, "\n"))
			}
			t.Logf("%v; %d states of servers, %d messages, %v", r.Figures, r.Servers, r.Messages, r.Took)
			if r.Figures != s.Golden {
				t.Errorf("%v, known are %v: the rules can do something else now. If that was meant:\ns.Golden = %#v", r.Figures, s.Golden, r.Figures)
			}
			checkReach(t, s, r)
		})
	}
}

// checkReach demands that a scope reaches what it is about: silence about what never happens proves nothing.
func checkReach(t *testing.T, s Scope, r Report) {
	t.Helper()
	want := []kind{hear, losePatience}
	for c, k := range map[cost]kind{
		proposals: propose, crashes: crash, changes: change, snapshots: snapshot, reads: read, ticks: tick, beats: beat, transfers: transfer, losses: lose,
	} {
		if s.Limit.of()[c] > 0 {
			want = append(want, k)
		}
	}
	if s.HoldSync {
		want = append(want, sync)
	}
	for _, k := range want {
		if r.Happened[k.String()] == 0 {
			t.Errorf("%q never changed anything: %v", k, r.Happened)
		}
	}
	if r.Led != s.Terms {
		t.Errorf("the last term with a leader is %d, there are %d", r.Led, s.Terms)
	}
	if entries := min(1+s.Limit.Proposals+s.Limit.Changes, 3); r.Committed < entries && s.Depth == 0 {
		t.Errorf("%d entries were committed at most", r.Committed)
	}
}

func TestScopeIsRefused(t *testing.T) {
	ok := with(three, func(s *Scope) { s.Name, s.Terms = "ok", 1 })
	for name, spoil := range map[string]func(*Scope){
		"nobody":       func(s *Scope) { s.Servers = 0 },
		"five":         func(s *Scope) { s.Servers = 5 },
		"no term":      func(s *Scope) { s.Terms = 0 },
		"many terms":   func(s *Scope) { s.Terms = maxTerms },
		"no entries":   func(s *Scope) { s.Batch = 0 },
		"two reads":    func(s *Scope) { s.Limit.Reads = 2 },
		"no target":    func(s *Scope) { s.Limit.Changes = 1 },
		"many crashes": func(s *Scope) { s.Limit.Crashes = 8 },
		"stranger":     func(s *Scope) { s.Voters = []raft.NodeID{1, 4} },
	} {
		if _, err := Run(with(ok, spoil)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Run(ok); err != nil {
		t.Error(err)
	}
}

// small are scopes in which the reductions can be compared with doing without.
func small() []Scope {
	return []Scope{
		with(three, func(s *Scope) { s.Name, s.Terms, s.Limit = "elections", 2, Limit{Timeouts: 2} }),
		with(three, func(s *Scope) {
			s.Name, s.Terms, s.HoldSync, s.Limit = "sync", 1, true, Limit{Timeouts: 2, Crashes: 1}
		}),
		with(three, func(s *Scope) {
			s.Name, s.Terms, s.Refusals, s.Quiet, s.Limit = "refusals", 2, true, true, Limit{Timeouts: 2}
		}),
		with(three, func(s *Scope) {
			s.Name, s.Terms, s.Targets, s.Limit = "remove", 2, twoOfThree, Limit{Timeouts: 2, Changes: 1}
		}),
		with(two, func(s *Scope) {
			s.Name, s.Terms, s.Targets, s.Limit = "joint", 2, swap, Limit{Timeouts: 2, Changes: 1, Crashes: 1}
		}),
		with(three, func(s *Scope) {
			s.Name, s.Terms, s.Clock, s.Quiet, s.Limit = "clock", 1, true, true, Limit{Timeouts: 2, Ticks: 1}
		}),
		with(three, func(s *Scope) {
			s.Name, s.Terms, s.Quiet, s.Limit = "handover", 2, true, Limit{Timeouts: 1, Transfers: 1}
		}),
		with(three, func(s *Scope) {
			s.Name, s.Terms, s.Quiet, s.Limit = "reads", 1, true, Limit{Timeouts: 1, Reads: 1, Beats: 1}
		}),
		with(two, func(s *Scope) {
			s.Name, s.Terms, s.Targets, s.Limit = "snapshots", 2, swap, Limit{Timeouts: 2, Changes: 1, Snapshots: 1}
		}),
		with(three, func(s *Scope) {
			s.Name, s.Terms, s.Quiet, s.Limit = "losses", 1, true, Limit{Timeouts: 2, Losses: 1}
		}),
	}
}

func exhaust(t *testing.T, s Scope) *checker {
	t.Helper()
	if underRace {
		s.Depth = 9
	}
	if err := s.validate(); err != nil {
		t.Fatal(err)
	}
	c := newChecker(s)
	if v, err := c.search(); err != nil || v != nil {
		t.Fatal(err, v)
	}
	return c
}

// TestRenaming: the renamed states stand for exactly the states that are left out, and a server's image does not depend on the
// way on which the server came about.
func TestRenaming(t *testing.T) {
	for _, s := range small() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			c := exhaust(t, s)
			if len(c.renamings) == 0 {
				t.Fatal("there is nothing to rename")
			}
			all := map[state]bool{}
			for _, st := range c.states {
				all[st] = true
				for _, r := range c.renamings {
					all[c.renamed(st, r)] = true
				}
			}
			s.plain = true
			if plain := exhaust(t, s); len(plain.states) != len(all) || plain.figures.Depth != c.figures.Depth {
				t.Errorf("%d states with their renamed ones, %d when none is left out; depth %d and %d",
					len(all), len(plain.states), c.figures.Depth, plain.figures.Depth)
			}
			checkImages(t, c)
		})
	}
}

func checkImages(t *testing.T, c *checker) {
	for number := range uint32(len(c.servers)) {
		for ev, out := range c.servers[number].outcomes {
			for _, r := range c.renamings {
				o := c.outcomes[out]
				mirrored := c.outcomes[c.happening(c.renamedServer(r, number), c.renamedEvent(r, ev))]
				if mirrored.after != c.renamedServer(r, o.after) {
					t.Fatalf("%s: renamed before and renamed after differ: %v, %v", c.describe(c.servers[number].id, ev),
						c.servers[mirrored.after], c.servers[c.renamedServer(r, o.after)])
				}
				for i, set := range o.to {
					if i < c.scope.Servers && mirrored.to[r.to[i]] != c.renamedSet(r, set) {
						t.Fatalf("%s: the renamed sends something else", c.describe(c.servers[number].id, ev))
					}
				}
			}
		}
	}
}

// TestDeadLetters: with every message kept, the same states come out once what is said to be dead is dropped from them.
func TestDeadLetters(t *testing.T) {
	for _, s := range small() {
		if s.Limit.Losses > 0 {
			continue // what is on a disk may be lost: nothing is dead
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			s.plain, s.Depth = true, 12 // what is dead makes the rest large
			short := exhaust(t, s)
			s.keepDead = true
			long := exhaust(t, s)
			dropped := 0
			long.scope.keepDead = false
			all := map[state]bool{}
			for _, st := range long.states {
				before := st
				for i := range s.Servers {
					at := long.sites[st.site[i]]
					st.site[i] = long.siteNumber(at.server, at.inbox)
				}
				if st != before {
					dropped++
				}
				all[st] = true
			}
			if dropped == 0 {
				t.Error("nothing was dropped")
			}
			if len(all) != len(short.states) {
				t.Errorf("%d states when the dead are dropped at the end, %d when they are dropped at once", len(all), len(short.states))
			}
		})
	}
}
