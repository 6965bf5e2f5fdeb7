package raft

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A dice makes events of bytes: small numbers, so that they often fit together.
type dice struct{ b []byte }

func (d *dice) upTo(n int) int {
	if len(d.b) == 0 {
		return 0
	}
	v := int(d.b[0])
	d.b = d.b[1:]
	if v == 255 {
		return 1 << 40 // now and then something absurd
	}
	return v % (n + 1)
}

func (d *dice) yes() bool      { return d.upTo(1) == 1 }
func (d *dice) id() NodeID     { return NodeID(d.upTo(5)) }
func (d *dice) index() Index   { return Index(d.upTo(12)) }
func (d *dice) entry() EntryID { return EntryID{d.index(), d.term()} }

func (d *dice) term() Term {
	if len(d.b) > 1 && d.b[0] == 254 && d.b[1] > 192 { // now and then one that has no next
		return 1<<64 - 1 - Term(d.upTo(3))
	}
	if len(d.b) > 1 && d.b[0] == 254 && d.b[1] > 128 { // or the last that a disk may hold
		return greatestTerm - Term(d.upTo(3))
	}
	return Term(d.upTo(7))
}

func (d *dice) members() (m Membership) {
	list := func() (ids []NodeID) {
		mask := d.upTo(62)
		for id := NodeID(1); id <= 5; id++ {
			if mask&(1<<id) != 0 {
				ids = append(ids, id)
			}
		}
		return ids
	}
	m.Voters = list()
	if d.yes() {
		m.Learners = list()
	}
	if d.upTo(3) == 0 {
		m.Outgoing = list()
	}
	return m
}

func (d *dice) runs(after Index) (runs []Run) {
	for n := d.upTo(3) % 4; n > 0; n-- {
		r := Run{First: after + 1, Term: d.term()}
		if d.upTo(20) == 0 {
			r.First = d.index()
		}
		r.Last = r.First + Index(d.upTo(3))
		after = r.Last
		runs = append(runs, r)
	}
	return runs
}

func (d *dice) message(from NodeID) Message {
	who := from
	if d.upTo(9) == 0 {
		who = d.id()
	}
	switch d.upTo(11) {
	case 0:
		return &RequestVote{Term: d.term(), Candidate: who, Last: d.entry(), PreVote: d.yes(), Transfer: d.yes()}
	case 1:
		return &RequestVoteReply{Term: d.term(), Asked: d.term(), Granted: d.upTo(3) > 0, PreVote: d.yes()}
	case 2, 3:
		m := &AppendEntries{Term: d.term(), Leader: who, Prev: d.entry(), Commit: d.index()}
		m.Runs = d.runs(m.Prev.Index)
		if d.yes() {
			m.Changes = []Change{{m.Prev.Index + 1 + Index(d.upTo(2)), d.members()}}
		}
		return m
	case 4:
		return &AppendEntriesReply{Term: d.term(), Success: d.yes(), Match: d.index(), Prev: d.index(), Hint: d.entry()}
	case 5:
		return &Heartbeat{Term: d.term(), Leader: who, Round: uint64(d.upTo(9)), Sent: time.Duration(d.upTo(99)), Commit: d.entry()}
	case 6:
		return &HeartbeatReply{
			Term: d.term(), Round: uint64(d.upTo(9)), Sent: time.Duration(d.upTo(200)), Last: d.index(), Doubt: uint64(d.upTo(5) / 4), Promise: time.Duration(d.upTo(20)),
		}
	case 7:
		return &InstallSnapshot{Term: d.term(), Leader: who, Snapshot: SnapshotMeta{Index: d.index(), Term: d.term(), Membership: d.members()}}
	case 8:
		return &InstallSnapshotReply{Term: d.term(), Match: d.index()}
	case 9:
		return &TimeoutNow{Term: d.term(), Leader: who}
	case 10:
		return &Recall{Term: d.term(), Leader: who, Entry: d.entry()}
	case 11:
		term := d.term()
		return &Trust{Term: term, Leader: who, Life: uint64(d.upTo(2)), Entry: EntryID{d.index(), term}, Unaided: d.yes()}
	}
	return nil
}

func (d *dice) event(n *Node) Event {
	switch d.upTo(20) {
	case 0:
		return Elapsed{}
	case 1:
		return Campaign{}
	case 2:
		return Propose{Count: d.upTo(3)}
	case 3:
		return ChangeMembership{Target: d.members()}
	case 4:
		return Persisted{Term: n.Term(), Last: d.index(), Hard: n.hard}
	case 5:
		return Persisted{Term: d.term(), Last: d.index(), Hard: HardState{Term: d.term(), Vote: d.id()}}
	case 6:
		return Matched{From: d.id(), Term: n.Term(), Index: d.index()}
	case 7:
		return Read{ID: uint64(d.upTo(9))}
	case 8:
		return LeaseRead{ID: uint64(d.upTo(9))}
	case 9:
		return Transfer{To: d.id()}
	case 10:
		return [...]Event{AbortTransfer{}, StepDown{}}[d.upTo(1)&1]
	case 11:
		return Compacted{Meta: SnapshotMeta{Index: d.index(), Term: d.term(), Membership: d.members()}, Through: d.index()}
	case 12: // a snapshot that tells the truth
		t, _ := n.TermAt(n.CommitIndex())
		return Compacted{Meta: SnapshotMeta{Index: n.CommitIndex(), Term: t}, Through: d.index()}
	case 13: // helpful votes
		return Received{d.id(), &RequestVoteReply{Term: n.Term(), Asked: n.Term() + Term(d.upTo(1)&1), Granted: true, PreVote: d.yes()}}
	}
	from := d.id()
	return Received{From: from, Message: d.message(from)}
}

// play steps a node through events made of b. Whatever comes, it stops by a BrokenInvariant or not at all, and keeps its invariants.
func play(t testing.TB, b []byte) (steps int, stopped bool) {
	d := &dice{b: b}
	m := voters(1, 2, 3)
	if d.yes() {
		m = d.members()
	}
	st := State{Hard: HardState{Term: d.term()}, Snapshot: SnapshotMeta{Membership: m}, Runs: d.runs(0)}
	n, err := New(Config{ID: 1, ElectionMin: 10, LeaseDrift: 1}, st, 0)
	if err != nil {
		if n, err = New(Config{ID: 1, ElectionMin: 10, LeaseDrift: 1}, disk(voters(1, 2, 3), 2, 1, 1), 0); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *BrokenInvariant:
			stopped = true
		default:
			panic(r)
		}
	}()
	var acks []*Persisted
	for now := time.Duration(0); len(d.b) > 0; now += time.Duration(d.upTo(15)) {
		ev := d.event(n)
		if len(acks) > 0 && d.yes() {
			ev, acks = *acks[0], acks[1:]
		}
		before := n.CommitIndex()
		e := n.Step(now, ev)
		steps++
		if err := n.Check(); err != nil {
			t.Fatalf("after %T %+v: %v", ev, ev, err)
		}
		if n.CommitIndex() < before || (e.Ack == nil) != (e.Hard == nil && e.Reset == nil && len(e.Append) == 0) {
			t.Fatalf("after %T %+v: %+v", ev, ev, e)
		}
		if e.Ack != nil {
			acks = append(acks, e.Ack)
		}
		_, _, _ = n.Status(), n.Shape(), n.Clone()
	}
	return steps, false
}

func FuzzStep(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 5))
	for range 200 {
		b := make([]byte, 2000)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { play(t, b) })
}

// Random events do reach the depths: the fuzz test is worth something.
func TestRandomEvents(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	steps, stops := 0, 0
	for range 20000 {
		b := make([]byte, 500)
		for i := range b {
			b[i] = byte(r.Uint32N(255))
		}
		n, stopped := play(t, b)
		steps += n
		if stopped {
			stops++
		}
	}
	if steps < 200000 || stops == 0 || stops == 20000 {
		t.Fatalf("%d steps, %d stops", steps, stops)
	}
	t.Logf("%d steps, %d broken invariants", steps, stops)
}
