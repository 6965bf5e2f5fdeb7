package model

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// TestFaults breaks what surrounds the rules, one thing at a time, and demands that it is found, first as such and then, with that
// property not looked at, by what follows from it.
func TestFaults(t *testing.T) {
	late := with(three, func(s *Scope) { s.Terms, s.HoldSync, s.Limit = 2, true, Limit{Timeouts: 2, Crashes: 1} })
	prompt := with(three, func(s *Scope) { s.Terms, s.Limit = 2, Limit{Timeouts: 2, Crashes: 1} })
	for name, c := range map[string]struct {
		scope    Scope
		faults   faults
		property string
		blind    []string
		events   int // of the shortest way
	}{
		"a vote is forgotten":            {prompt, faults{forgetVotes: true}, "Vote Once", nil, 4},
		"two leaders":                    {prompt, faults{forgetVotes: true}, "Election Safety", []string{"Vote Once"}, 7},
		"a copy is forgotten":            {prompt, faults{forgetTail: true}, "Durable Quorum", nil, 6},
		"a committed entry is forgotten": {prompt, faults{forgetTail: true}, "Leader Completeness", []string{"Durable Quorum"}, 9},
		"nothing waits for a sync":       {late, faults{speakEarly: true}, "Sync Before Speaking", nil, 1},
		"copies that are not on disk":    {late, faults{speakEarly: true}, "Durable Quorum", []string{"Sync Before Speaking"}, 7},
		"a vote is given before a crash": {late, faults{speakEarly: true}, "Election Safety", []string{"Sync Before Speaking", "Durable Quorum"}, 9},
		"the disk lies":                  {late, faults{lie: true}, "Sync Before Speaking", nil, 2},
		"refusals become votes":          {with(prompt, func(s *Scope) { s.Refusals = true }), faults{forgeGrants: true}, "Election Safety", nil, 6},
		"acknowledgements become more":   {prompt, faults{forgeMatch: true}, "Durable Quorum", nil, 9},
		"commit indices become more":     {prompt, faults{forgeCommit: true}, "State Machine Safety", nil, 4},
		"a clock runs fast": {
			with(three, func(s *Scope) { s.Terms, s.Clock, s.Quiet, s.Limit = 2, true, true, Limit{Timeouts: 2, Ticks: 1} }),
			faults{fastClock: 2}, "Lease", nil, 18,
		},
		"a loss goes unnoticed": {
			with(three, func(s *Scope) { s.Terms, s.Quiet, s.Limit = 2, true, Limit{Timeouts: 2, Losses: 1} }),
			faults{confident: true}, "Election Safety", nil, 6,
		},
		"old answers pass for new": {
			with(three, func(s *Scope) { s.Terms, s.Quiet, s.Limit = 2, true, Limit{Timeouts: 2, Reads: 1} }),
			faults{oldRounds: true}, "Linearizable Read", nil, 14,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.scope
			if r, err := Run(with(s, func(s *Scope) { s.Depth = 6 })); err != nil || r.Violation != nil {
				t.Fatal("without the fault: ", err, r.Violation)
			}
			s.Name, s.faults, s.blind = name, c.faults, map[string]bool{}
			for _, p := range c.blind {
				s.blind[p] = true
			}
			r, err := Run(s)
			if err != nil {
				t.Fatal(err)
			}
			if r.Violation == nil {
				t.Fatalf("not found: %v", r.Figures)
			}
			t.Logf("%v: %v\n%s", r.Figures, r.Violation, strings.Join(r.Violation.Trace, "\n"))
			if r.Violation.Property != c.property {
				t.Errorf("found was %q, not %q", r.Violation.Property, c.property)
			}
			if n := len(r.Violation.Trace); n != c.events || n != r.Depth+1 {
				t.Errorf("%d events at depth %d, the shortest way has %d", n, r.Depth, c.events)
			}
		})
	}
}

// A fixture is a server that the rules have brought somewhere.
func fixture(t *testing.T, id raft.NodeID, st raft.State) *server {
	t.Helper()
	n, err := raft.New(raft.Config{ID: id, ElectionMin: electionMin}, st, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{id: id, node: n}
	s.derive(false)
	return s
}

// An unruly is a state or a step that breaks a property.
type unruly struct {
	property string
	judge    func() error
}

func logOf(terms ...raft.Term) []raft.Run {
	d := disk{terms: terms}
	return d.state().Runs
}

// oneTwo is a server in term 2 with entries of terms 1 and 2.
func oneTwo() raft.State {
	return raft.State{Hard: raft.HardState{Term: 2}, Snapshot: raft.SnapshotMeta{Membership: voters(1, 2, 3)}, Runs: logOf(1, 2)}
}

// TestRulesBreak: the properties that no fault outside the rules can break are looked at all the same.
func TestRulesBreak(t *testing.T) {
	c, one := newChecker(three), oneTwo()
	breaks := map[string]unruly{
		"other entry before the same one": {"Log Matching", func() error {
			other := one
			other.Runs = logOf(1, 1, 2)
			longer := one
			longer.Runs = logOf(1, 2, 2)
			return c.matchLogs(fixture(t, 1, longer), fixture(t, 2, other))
		}},
		"other membership in the same entry": {"Log Matching", func() error {
			a, b := one, one
			a.Changes = []raft.Change{{Index: 2, Membership: voters(1, 2)}}
			b.Changes = []raft.Change{{Index: 2, Membership: voters(1, 3)}}
			return c.matchLogs(fixture(t, 1, a), fixture(t, 2, b))
		}},
		"snapshot with a later membership": {"Snapshot Membership", func() error {
			a := raft.State{Hard: one.Hard, Snapshot: raft.SnapshotMeta{Index: 1, Term: 1, Membership: voters(1, 2)}, Prev: raft.EntryID{Index: 1, Term: 1}}
			b := a
			b.Snapshot.Membership = voters(1, 2, 3)
			return c.matchLogs(fixture(t, 1, a), fixture(t, 2, b))
		}},
		"two open changes": {"One Change At A Time", func() error {
			a := one
			a.Changes = []raft.Change{{Index: 1, Membership: voters(1, 2)}, {Index: 2, Membership: voters(1, 2, 3)}}
			return c.judgePending(fixture(t, 1, a), &ghost{})
		}},
	}
	maps.Copy(breaks, unrulySteps(t, c))
	for name, b := range breaks {
		var v *Violation
		if err := b.judge(); !errors.As(err, &v) || v.Property != b.property {
			t.Errorf("%s: %v, not %s", name, err, b.property)
		}
	}
	if err := c.matchLogs(fixture(t, 1, one), fixture(t, 2, one)); err != nil {
		t.Error(err)
	}
}

func unrulySteps(t *testing.T, c *checker) map[string]unruly {
	one := oneTwo()
	return map[string]unruly{
		"two voters at once": {"Quorum Overlap", func() error {
			a := one
			a.Changes = []raft.Change{{Index: 2, Membership: voters(1)}}
			st := &step{c: c, s: fixture(t, 1, a)}
			st.judgeChanges()
			return st.fault
		}},
		"a term forgotten": {"Terms Monotonic", func() error {
			less := one
			less.Hard.Term, less.Runs = 1, logOf(1)
			st := &step{c: c, s: fixture(t, 1, less), before: fixture(t, 1, one)}
			st.judge(event{kind: hear})
			return st.fault
		}},
		"a commit taken back": {"Commit Monotonic", func() error {
			more := one
			more.Snapshot = raft.SnapshotMeta{Index: 1, Term: 1, Membership: voters(1, 2, 3)}
			st := &step{c: c, s: fixture(t, 1, one), before: fixture(t, 1, more)}
			st.judge(event{kind: hear})
			return st.fault
		}},
		"a leader that replaces": {"Leader Append-Only", func() error {
			leads := func(terms ...raft.Term) *server {
				st := raft.State{Hard: raft.HardState{Term: 2}, Snapshot: raft.SnapshotMeta{Membership: voters(1)}, Runs: logOf(terms...)}
				s := fixture(t, 1, st)
				at := s.node.Step(10*electionMin, raft.Elapsed{})
				s.node.Step(10*electionMin, *at.Ack)
				s.log, s.first = nil, 0
				s.derive(false)
				return s
			}
			st := &step{c: c, s: leads(1, 1), before: leads(1, 2)}
			st.judge(event{kind: hear})
			return st.fault
		}},
	}
}

func TestQuorums(t *testing.T) {
	joint := raft.Membership{Voters: []raft.NodeID{1, 2, 3}, Outgoing: []raft.NodeID{3, 4}}
	for _, c := range []struct {
		m    raft.Membership
		set  int
		want bool
	}{
		{voters(1), 0b1, true}, {voters(1), 0b10, false}, {voters(1, 2), 0b1, false}, {voters(1, 2), 0b11, true},
		{voters(1, 2, 3), 0b101, true}, {voters(1, 2, 3), 0b1001, false}, {voters(1, 2, 3, 4), 0b11, false},
		{joint, 0b1110, true}, {joint, 0b0111, false}, {joint, 0b1100, false}, {joint, 0b1101, true},
	} {
		if got := isQuorum(c.m, c.set); got != c.want {
			t.Errorf("%v, %b: %v", c.m, c.set, got)
		}
	}
	for _, c := range []struct {
		a, b raft.Membership
		want bool
	}{
		{voters(1, 2, 3), voters(1, 2), true}, {voters(1, 2, 3), voters(1, 2, 3, 4), true}, {voters(1, 2, 3), voters(1), false},
		{voters(1, 2), voters(1, 3), true}, {voters(1, 2), voters(3, 4), false}, {joint, voters(1, 2, 3), true}, {joint, voters(3, 4), true},
	} {
		if got := overlap(c.a, c.b, 4); got != c.want {
			t.Errorf("%v, %v: %v", c.a, c.b, got)
		}
	}
}
