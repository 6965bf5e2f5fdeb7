package raft

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

// later is far enough from zero that no restarted server still hears a leader.
const later = 10 * testElection

func voters(ids ...NodeID) Membership { return Membership{Voters: ids} }

// logOf returns the runs of a log with these terms, from index 1.
func logOf(terms ...Term) []Run {
	var s Shape
	for i, t := range terms {
		s.extend(Run{First: Index(i + 1), Last: Index(i + 1), Term: t})
	}
	return s.Runs
}

// disk returns a state in term with a log of these terms.
func disk(m Membership, term Term, terms ...Term) State {
	return State{Hard: HardState{Term: term}, Snapshot: SnapshotMeta{Membership: m}, Runs: logOf(terms...)}
}

// A subject is a Node under test, with a clock of its own.
type subject struct {
	*Node
	t   testing.TB
	at  time.Duration
	eff Effects // of the last step
}

// newSubject starts server 1 from st and lets its promise to a forgotten leader run out.
func newSubject(t testing.TB, st State) *subject {
	t.Helper()
	n, err := New(Config{ID: 1, ElectionMin: testElection, LeaseDrift: testDrift}, st, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &subject{Node: n, t: t, at: later}
}

// do steps ev and leaves writes unacknowledged.
func (s *subject) do(ev Event) Effects {
	s.t.Helper()
	s.eff = s.Step(s.at, ev)
	if err := s.Check(); err != nil {
		s.t.Fatal(err)
	}
	store := s.eff.Hard != nil || s.eff.Reset != nil || len(s.eff.Append) > 0
	if store != (s.eff.Ack != nil) {
		s.t.Fatalf("Ack %v, but store=%v: %+v", s.eff.Ack, store, s.eff)
	}
	return s.eff
}

// sync steps ev and everything that its writes lead to, and returns what they lead to taken together.
func (s *subject) sync(ev Event) Effects {
	s.t.Helper()
	first := s.do(ev)
	for ack := first.Ack; ack != nil; {
		e := s.do(*ack)
		first.Send = append(first.Send, e.Send...)
		first.Reads = append(first.Reads, e.Reads...)
		first.Append = append(first.Append, e.Append...)
		if e.Commit.Index != 0 {
			first.Commit = e.Commit
		}
		if e.Role != nil {
			first.Role = e.Role
		}
		ack = e.Ack
	}
	return first
}

func (s *subject) get(from NodeID, m Message) Effects {
	s.t.Helper()
	return s.sync(Received{From: from, Message: m})
}

// elect makes server 1 leader of the next term by the votes of all others.
func (s *subject) elect() {
	s.t.Helper()
	s.sync(Elapsed{})
	for _, pre := range []bool{true, false} {
		for _, id := range s.Membership().IDs() {
			if asked := s.Term(); id != 1 {
				if pre {
					asked++
				}
				s.get(id, &RequestVoteReply{Term: s.Term(), Asked: asked, Granted: true, PreVote: pre})
			}
		}
	}
	if s.Role() != Leader {
		s.t.Fatalf("not elected: %+v", s.Status())
	}
}

// leading returns server 1 as the leader of the term after its last, with everything on its own disk.
func leading(t testing.TB, m Membership, terms ...Term) *subject {
	t.Helper()
	last := Term(0)
	if len(terms) > 0 {
		last = terms[len(terms)-1]
	}
	s := newSubject(t, disk(m, last, terms...))
	s.elect()
	return s
}

// established is leading with the no-op committed.
func established(t testing.TB, m Membership, terms ...Term) *subject {
	t.Helper()
	s := leading(t, m, terms...)
	for _, id := range m.IDs() {
		if id != 1 {
			s.matched(id, s.LastIndex())
		}
	}
	if s.CommitIndex() != s.LastIndex() {
		t.Fatalf("nothing committed: %+v", s.Status())
	}
	return s
}

func (s *subject) matched(from NodeID, index Index) Effects {
	s.t.Helper()
	return s.sync(Matched{From: from, Term: s.Term(), Index: index})
}

// beaten answers a heartbeat of the current round that was sent at sent.
func (s *subject) beaten(from NodeID, round uint64, sent time.Duration) Effects {
	s.t.Helper()
	return s.get(from, &HeartbeatReply{Term: s.Term(), Round: round, Sent: sent, Promise: testElection})
}

// breaks requires that f stops the node by the named invariant.
func breaks(t testing.TB, name string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		var b *BrokenInvariant
		switch r := recover().(type) {
		case nil:
			t.Errorf("%q is not noticed", name)
		case error:
			if !errors.As(r, &b) || b.Name != name {
				t.Errorf("got %v, want %q", r, name)
			}
		default:
			panic(r)
		}
	}()
	f()
}

// impossible requires that a message is dropped for a reason, changes nothing and is answered by nothing.
func (s *subject) impossible(why Impossibility, from NodeID, m Message) {
	s.t.Helper()
	before := s.Status()
	e := s.do(Received{from, m})
	var got *ImpossibleMessageError
	if !errors.As(e.Impossible, &got) || got.Why != why || got.From != from || got.Message != m || got.Detail == "" {
		s.t.Errorf("%T: %v, want one that %v", m, e.Impossible, why)
	}
	e.Impossible = nil
	if !reflect.DeepEqual(e, Effects{}) || !reflect.DeepEqual(before, s.Status()) {
		s.t.Errorf("%T: %+v, %+v", m, e, s.Status())
	}
}

// sent returns the only message of type M in e, sent to to.
func sent[M Message](t testing.TB, e Effects, to NodeID) (M, Outgoing) {
	t.Helper()
	var got M
	var out Outgoing
	count := 0
	for _, o := range e.Send {
		if m, ok := o.Message.(M); ok && o.To == to {
			got, out = m, o
			count++
		}
	}
	if count != 1 {
		t.Fatalf("%d messages of type %T to %d in %+v", count, got, to, e.Send)
	}
	return got, out
}
