package raft

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/cockroachdb/datadriven"
)

func numbers[T ~uint64](t *testing.T, d *datadriven.TestData, key string) (out []T) {
	t.Helper()
	for _, a := range d.CmdArgs {
		if a.Key != key {
			continue
		}
		for _, v := range a.Vals {
			n, err := strconv.ParseUint(v, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, T(n))
		}
	}
	return out
}

// commitOf returns what a leader with this log and these matches commits. The state is put together by hand:
// the rule is to hold whatever led to it.
func commitOf(t testing.TB, m Membership, log []Term, match []Index) Index {
	t.Helper()
	last := log[len(log)-1]
	n, err := New(Config{ID: 1, ElectionMin: testElection}, disk(m, last, log...), 0)
	if err != nil {
		t.Fatal(err)
	}
	n.role, n.leader, n.durable = Leader, 1, match[0]
	n.refreshPeers()
	n.termFirst = Index(slices.Index(log, last) + 1)
	n.members.Index = 1 << 40 // keep joint memberships from being left
	for i := range n.peers {
		n.peers[i].match = match[n.peers[i].id-1]
	}
	n.advanceCommit()
	return n.commit
}

func TestCommitRule(t *testing.T) {
	datadriven.RunTest(t, "testdata/commit.txt", func(t *testing.T, d *datadriven.TestData) string {
		match := numbers[Index](t, d, "match")
		m := Membership{Voters: numbers[NodeID](t, d, "voters"), Outgoing: numbers[NodeID](t, d, "outgoing"), Learners: numbers[NodeID](t, d, "learners")}
		for i := range match {
			if id := NodeID(i + 1); len(m.Outgoing) == 0 && !slices.Contains(m.Learners, id) {
				m.Voters = append(m.Voters, id)
			}
		}
		return fmt.Sprintf("%d\n", commitOf(t, m, numbers[Term](t, d, "log"), match))
	})
}

// The rule against its definition in Figure 2, for 1 to 9 voters, simple and joint.
func TestCommitRuleByCounting(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	pick := func(max int) (ids []NodeID) {
		for _, i := range r.Perm(12)[:1+r.IntN(max)] {
			ids = append(ids, NodeID(i+1))
		}
		slices.Sort(ids)
		return ids
	}
	holds := func(ids []NodeID, match []Index, i Index) bool {
		count := 0
		for _, id := range ids {
			if match[id-1] >= i {
				count++
			}
		}
		return 2*count > len(ids)
	}
	for range 20000 {
		m := Membership{Voters: pick(MaxVoters)}
		if r.IntN(2) == 0 {
			m.Outgoing = pick(MaxVoters)
		}
		log := make([]Term, 8)
		log[0] = 1
		for i := 1; i < len(log); i++ {
			log[i] = log[i-1] + Term(r.IntN(2))
		}
		match := make([]Index, 12)
		for i := range match {
			match[i] = Index(r.IntN(len(log) + 1))
		}
		want := Index(0)
		for i := Index(1); int(i) <= len(log); i++ {
			if log[i-1] == log[len(log)-1] && holds(m.Voters, match, i) && (!m.Joint() || holds(m.Outgoing, match, i)) {
				want = i
			}
		}
		if got := commitOf(t, m, log, match); got != want {
			t.Fatalf("%v, log %v, match %v: commit %d, want %d", m, log, match, got, want)
		}
	}
}

// Figure 8 as events: (a) to (c), then both of its ends.
func TestFigure8(t *testing.T) {
	s := leading(t, voters(1, 2, 3, 4, 5), 1, 2) // S1, elected a second time, now in term 3
	if e := s.matched(2, 2); e.Commit.Index != 0 {
		t.Fatal("committed by a minority")
	}
	if e := s.matched(3, 2); e.Commit.Index != 0 || s.CommitIndex() != 0 {
		t.Fatal("an entry of an older term was committed by counting copies")
	}
	overwritten := s.Clone() // (d)
	overwritten.Step(s.at, Received{5, &AppendEntries{Term: 9, Leader: 5, Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 8}}}})
	if got := terms(overwritten.Shape()); !slices.Equal(got, []Term{1, 8}) {
		t.Fatalf("%v", got)
	}
	s.matched(2, 3) // (e)
	if e := s.matched(3, 3); e.Commit != (EntryID{3, 3}) {
		t.Fatalf("%v", e.Commit)
	}
}

func TestMatchesThatDoNotCount(t *testing.T) {
	s := leading(t, voters(1, 2, 3), 1)
	term := s.Term()
	for name, ev := range map[string]Event{
		"old term":    Matched{From: 2, Term: term - 1, Index: 2},
		"stranger":    Matched{From: 9, Term: term, Index: 2},
		"beyond last": Matched{From: 2, Term: term, Index: 3},
		"refusal":     Received{2, &AppendEntriesReply{Term: term, Match: 2}},
		"itself":      Matched{From: 1, Term: term, Index: 2},
	} {
		if e := s.sync(ev); e.Commit.Index != 0 || s.CommitIndex() != 0 || s.Term() != term {
			t.Errorf("%s counts: %+v", name, e)
		}
	}
	if e := s.get(2, &AppendEntriesReply{Term: term, Success: true, Match: 2}); e.Commit != (EntryID{2, term}) {
		t.Errorf("%+v", e)
	}
	s.matched(2, 1) // late
	if st := s.Status(); st.Match[2] != 2 || st.Commit != 2 {
		t.Errorf("a late acknowledgement moves back: %+v", st)
	}
}

// The leader's own log counts when it is durable, and not before.
func TestOwnDurabilityCounts(t *testing.T) {
	s := established(t, voters(1, 2))
	e := s.do(Propose{Count: 1})
	if s.do(Matched{From: 2, Term: 1, Index: 2}); s.CommitIndex() != 1 {
		t.Fatal("counted its own entry before it was on disk")
	}
	if got := s.do(*e.Ack); got.Commit != (EntryID{2, 1}) {
		t.Fatalf("%+v", got)
	}
	alone := established(t, voters(1))
	if e = alone.do(Propose{Count: 1}); alone.CommitIndex() != 1 {
		t.Fatal("committed alone before it was on disk")
	}
	if alone.do(*e.Ack); alone.CommitIndex() != 2 {
		t.Fatal("does not commit alone")
	}
}
