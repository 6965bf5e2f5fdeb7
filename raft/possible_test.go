package raft

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// One message must not bring a cluster to a term that has no next: it is refused, whatever kind it is of. Where it would have been taken for its
// term if that were lower, this server comes nearer by what it would have believed, and not at all beyond what messages may have.
func TestTermsThatNobodyReachesAreRefused(t *testing.T) {
	for _, own := range []Term{0, 4, 1 << 40, maxTerm - MaxTermJump, maxTerm, greatestTerm} {
		for _, jump := range []Term{MaxTermJump, MaxTermJump + 1, 3*MaxTermJump + 1, maxTerm - own, maxTerm + 1 - own, 1<<64 - 1 - own} {
			if own+jump < own || own+jump > maxTerm && jump <= MaxTermJump && own < maxTerm {
				continue
			}
			for _, m := range everyMessage(own + jump) {
				s := newSubject(t, disk(voters(1, 2, 3), own))
				switch reaches := own+jump <= maxTerm; {
				case reaches && jump <= MaxTermJump:
					if e := s.do(Received{2, m}); e.Impossible != nil {
						t.Errorf("%T of term %d at term %d: %v", m, own+jump, own, e.Impossible)
					}
				case reaches:
					s.approaches(2, m)
				default:
					s.impossible(TermTooHigh, 2, m)
				}
			}
		}
	}
}

// approaches requires that a message is refused for its term, and raises this server's by MaxTermJump.
func (s *subject) approaches(from NodeID, m Message) {
	s.t.Helper()
	before := s.Status()
	e := s.do(Received{from, m})
	var got *ImpossibleMessageError
	if !errors.As(e.Impossible, &got) || got.Why != TermTooHigh {
		s.t.Errorf("%T: %v", m, e.Impossible)
	}
	want := before
	want.Term, want.Leader = before.Term+MaxTermJump, None
	if want.Role == Leader {
		want.Role, want.Match, want.Heard = Follower, nil, nil
	}
	want.Vote = None
	if after := s.Status(); !reflect.DeepEqual(after, want) || len(e.Send) > 0 || e.Hard == nil || e.Hard.Term != want.Term {
		s.t.Errorf("%T of term %d: it is in term %d, want %d: %+v", m, m.MsgTerm(), after.Term, want.Term, e)
	}
}

// Two messages, each within what is believed, take a server beyond what the others believe. It does not lose them for that, nor does a cluster in
// such a term lose who is new to it: they come to meet it, be it by its heartbeats, its answers, or its refusals of their prevotes.
func TestServersWhoseTermsAreFarApartMeet(t *testing.T) {
	const far = 10*MaxTermJump + 7
	for name, c := range map[string]struct {
		sends   Message // by the server that is ahead
		leading bool    // the other one
	}{
		"a fresh server and its leader":    {&Heartbeat{Term: far, Leader: 2}, false},
		"a follower and a deposed leader":  {&HeartbeatReply{Term: far}, true},
		"an appending leader and a leader": {&AppendEntries{Term: far, Leader: 2}, true},
		"a voter and a precandidate":       {&RequestVoteReply{Term: far, Asked: 4, PreVote: true}, false},
		"a candidate and a voter":          {&RequestVote{Term: far, Candidate: 2}, false},
		"a precandidate and a new voter":   {&RequestVote{Term: far, Candidate: 2, PreVote: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSubject(t, State{})
			if c.leading {
				s = established(t, voters(1, 2, 3), 1)
				s.t = t
			}
			refused := 0
			for ; s.Term() < far && refused < 20; refused++ {
				s.at += testElection
				if e := s.do(Received{2, c.sends}); e.Impossible == nil {
					break
				}
			}
			if _, asks := c.sends.(*RequestVote); asks && s.Term() >= far-MaxTermJump { // a prevote is given in any term from here on
				return
			}
			if s.Term() != far || refused != 10 || s.Role() == Leader {
				t.Errorf("it is in term %d of %d after %d refusals", s.Term(), Term(far), refused)
			}
		})
	}
}

// Who hears a leader gives no vote, and does not take over the term of whoever asks for it, be it too high or not. A server that has been told by
// its leader to campaign is heard.
func TestTermsOfCandidatesAreHeldOff(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 5))
	s.get(3, &Heartbeat{Term: 5, Leader: 3})
	s.impossible(TermTooHigh, 2, &RequestVote{Term: 6 + MaxTermJump, Candidate: 2})
	s.impossible(TermTooHigh, 2, &RequestVote{Term: 6 + MaxTermJump, Candidate: 2, PreVote: true})
	s.approaches(2, &RequestVote{Term: 6 + MaxTermJump, Candidate: 2, Transfer: true})
}

// Nobody gets a server to the last term by many messages, be they refused or not: it may jump once within the shortest election.
func TestTermsJumpSeldom(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 5))
	begun := s.at
	jumps := []Term{MaxTermJump, smallTermJump + 1, MaxTermJump + 1}
	for i := range 1000 {
		s.at += testElection / 100
		for k := range jumps {
			s.do(Received{2, &HeartbeatReply{Term: s.Term() + jumps[(i+k)%3]}})
		}
	}
	most := 5 + Term((s.at-begun)/testElection+1)*MaxTermJump
	if s.Term() > most || s.Term() < most/2 {
		t.Errorf("term %d after %v, want at most %d", s.Term(), s.at-begun, most)
	}
	before := s.Term()
	for range 3 { // what is near is believed at once
		s.do(Received{2, &HeartbeatReply{Term: s.Term() + smallTermJump}})
	}
	if s.Term() != before+3*smallTermJump {
		t.Errorf("term %d, want %d", s.Term(), before+3*smallTermJump)
	}
}

// everyMessage is one of each kind, of server 2, that is possible in any state of a server of an earlier term.
func everyMessage(term Term) []Message {
	return []Message{
		&RequestVote{Term: term, Candidate: 2}, &RequestVote{Term: term, Candidate: 2, PreVote: true}, &RequestVoteReply{Term: term}, &RequestVoteReply{Term: term, PreVote: true},
		&AppendEntries{Term: term, Leader: 2}, &AppendEntriesReply{Term: term}, &Heartbeat{Term: term, Leader: 2}, &HeartbeatReply{Term: term},
		&InstallSnapshot{Term: term, Leader: 2, Snapshot: SnapshotMeta{Index: 9, Term: term, Membership: voters(1, 2, 3)}}, &InstallSnapshotReply{Term: term},
		&TimeoutNow{Term: term, Leader: 2}, &Recall{Term: term, Leader: 2, Entry: EntryID{1, 1}}, &Trust{Term: term, Leader: 2, Entry: EntryID{1, term}},
	}
}

// What no correct server sends is named and changes nothing. The follower is in term 5, with what is committed through entry 3 of 1, 2, 2, 4; its leader is 2.
func TestImpossibleMessages(t *testing.T) {
	in := voters(1, 2, 3)
	leader := func() *subject { return established(t, in, 1, 2) }
	follower := func() *subject {
		s := newSubject(t, disk(in, 5, 1, 2, 2, 4))
		s.get(2, &Heartbeat{Term: 5, Leader: 2, Commit: EntryID{3, 2}})
		return s
	}
	for _, c := range []struct {
		name string
		of   func() *subject
		why  Impossibility
		from NodeID
		m    Message
	}{
		{"an answer that matches less than it follows", leader, Malformed, 2, &AppendEntriesReply{Term: 3, Success: true, Match: 1, Prev: 2}},
		{"a hint after what is refused", leader, Malformed, 2, &AppendEntriesReply{Term: 3, Prev: 2, Hint: EntryID{3, 1}}},
		{"a hint of a later term", leader, Malformed, 2, &AppendEntriesReply{Term: 3, Prev: 2, Hint: EntryID{1, 4}}},
		{"half a hint", leader, Malformed, 2, &AppendEntriesReply{Term: 3, Prev: 2, Hint: EntryID{1, 0}}},
		{"an index beyond all logs", leader, Malformed, 2, &InstallSnapshotReply{Term: 3, Match: 1<<62 + 1}},
		{"an answer of no term", leader, Malformed, 2, &HeartbeatReply{}},
		{"a promise for ever", leader, Malformed, 2, &HeartbeatReply{Term: 3, Promise: 1001 * time.Hour}},
		{"a negative promise", leader, Malformed, 2, &HeartbeatReply{Term: 3, Promise: -1}},
		{"a vote given in another term", leader, Malformed, 2, &RequestVoteReply{Term: 3, Asked: 2, Granted: true}},
		{"a prevote for a term that is not later", leader, Malformed, 2, &RequestVoteReply{Term: 3, Asked: 3, Granted: true, PreVote: true}},
		{"a match beyond the leader's log", leader, BeyondLog, 2, &AppendEntriesReply{Term: 3, Success: true, Match: 4}},
		{"a snapshot beyond the leader's log", leader, BeyondLog, 2, &InstallSnapshotReply{Term: 3, Match: 4}},
		{"another leader of the term that this one leads", leader, TwoLeaders, 2, &TimeoutNow{Term: 3, Leader: 2}},
		{"reminded by another leader of it", leader, TwoLeaders, 2, &Recall{Term: 3, Leader: 2, Entry: EntryID{1, 1}}},
		{"another leader", follower, TwoLeaders, 3, &Heartbeat{Term: 5, Leader: 3}},
		{"trusted by another leader", follower, TwoLeaders, 3, &Trust{Term: 5, Leader: 3, Entry: EntryID{4, 5}}},
		{"another snapshot", follower, TwoLeaders, 3, &InstallSnapshot{Term: 5, Leader: 3, Snapshot: SnapshotMeta{Index: 9, Term: 4, Membership: in}}},
		{"a leader without what is committed", follower, Contradicts, 2, &AppendEntries{Term: 5, Leader: 2, Prev: EntryID{3, 3}}},
		{"a new leader without it", follower, Contradicts, 3, &AppendEntries{Term: 6, Leader: 3, Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 2}, {3, 3, 6}}}},
		{"in the middle of a run", follower, Contradicts, 3, &AppendEntries{Term: 6, Leader: 3, Prev: EntryID{1, 1}, Runs: []Run{{2, 4, 3}}}},
		{"at the beginning of time", follower, Contradicts, 3, &AppendEntries{Term: 6, Leader: 3, Runs: []Run{{1, 9, 6}}}},
		{"a commit of another entry", follower, Contradicts, 2, &Heartbeat{Term: 5, Leader: 2, Commit: EntryID{2, 1}}},
		{"a snapshot of another entry", follower, Contradicts, 2, &InstallSnapshot{Term: 5, Leader: 2, Snapshot: SnapshotMeta{Index: 2, Term: 1, Membership: in}}},
		{"a snapshot that goes back", follower, Contradicts, 2, &InstallSnapshot{Term: 5, Leader: 2, Snapshot: SnapshotMeta{Index: 9, Term: 1, Membership: in}}},
		{"a snapshot of no voters", follower, Malformed, 2, &InstallSnapshot{Term: 5, Leader: 2, Snapshot: SnapshotMeta{Index: 9, Term: 4}}},
		{"reminded of nothing", follower, Malformed, 2, &Recall{Term: 5, Leader: 2}},
		{"trusted by an old entry", follower, Malformed, 2, &Trust{Term: 5, Leader: 2, Entry: EntryID{4, 4}}},
		{"reminded for another", follower, Impostor, 3, &Recall{Term: 5, Leader: 2, Entry: EntryID{1, 1}}},
		{"trusted for another", follower, Impostor, 3, &Trust{Term: 5, Leader: 2, Entry: EntryID{4, 5}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.of()
			s.t = t
			s.impossible(c.why, c.from, c.m)
		})
	}
	err := error(&ImpossibleMessageError{From: 2, Message: &Heartbeat{}, Why: TwoLeaders, Detail: "so it is"})
	if text := err.Error(); !strings.Contains(text, "*raft.Heartbeat of server 2 claims a term that another server leads: so it is") {
		t.Error(text)
	}
	if text := Impossibility(99).String(); text != "is impossible" {
		t.Error(text)
	}
}

// A server that has gone back, and messages that are late, are no reason to be taken for impossible.
func TestPossibleMessages(t *testing.T) {
	in := voters(1, 2, 3)
	fresh := newSubject(t, disk(in, 0)) // wiped
	for _, m := range []Message{
		&AppendEntries{Term: 9, Leader: 2, Prev: EntryID{100, 9}, Runs: []Run{{101, 102, 9}}, Commit: 200}, &Heartbeat{Term: 9, Leader: 2, Commit: EntryID{200, 9}},
		&Recall{Term: 9, Leader: 2, Entry: EntryID{100, 0}}, &Trust{Term: 9, Leader: 2, Entry: EntryID{100, 9}, Life: 7},
		&RequestVoteReply{Term: 9, Asked: 8, Granted: false}, &AppendEntriesReply{Term: 9, Success: true, Match: 100, Prev: 99}, // to what it was before
	} {
		if e := fresh.do(Received{2, m}); e.Impossible != nil {
			t.Errorf("at a wiped server: %v", e.Impossible)
		}
	}
	leader := established(t, in, 1, 2) // term 3, three entries
	for _, m := range []Message{
		&AppendEntriesReply{Term: 3, Prev: 100}, // to what it sent as the leader of an earlier term, with a log that was overwritten since
		&HeartbeatReply{Term: 3, Last: 100, Round: 1 << 40, Sent: time.Hour}, &HeartbeatReply{Term: 3, Doubt: 9},
		&AppendEntriesReply{Term: 2, Success: true, Match: 100, Prev: 100},
		&AppendEntries{Term: 2, Leader: 2, Prev: EntryID{1, 2}, Runs: []Run{{2, 3, 2}}}, // a deposed leader's
		&RequestVoteReply{Term: 3, Asked: 9}, &RequestVote{Term: 3, Candidate: 2, Last: EntryID{100, 2}}, &AppendEntriesReply{Term: 3, Prev: 2, Hint: EntryID{}, Doubt: 5},
	} {
		if e := leader.do(Received{2, m}); e.Impossible != nil {
			t.Errorf("at a leader: %v", e.Impossible)
		}
	}
	s := newSubject(t, State{Hard: HardState{Term: 5}, Snapshot: SnapshotMeta{Index: 4, Term: 3, Membership: in}, Prev: EntryID{4, 3}, Runs: []Run{{5, 6, 5}}})
	for _, m := range []Message{ // what is compacted cannot be compared
		&AppendEntries{Term: 5, Leader: 2, Prev: EntryID{1, 3}, Runs: []Run{{2, 6, 3}, {7, 7, 5}}}, &AppendEntries{Term: 5, Leader: 2, Prev: EntryID{2, 1}},
		&AppendEntries{Term: 5, Leader: 2, Prev: EntryID{4, 3}, Runs: []Run{{5, 5, 4}}}, &InstallSnapshot{Term: 5, Leader: 2, Snapshot: SnapshotMeta{Index: 2, Term: 1, Membership: in}},
		&InstallSnapshot{Term: 5, Leader: 2, Snapshot: SnapshotMeta{Index: 6, Term: 3, Membership: in}},
	} {
		if e := s.do(Received{2, m}); e.Impossible != nil {
			t.Errorf("behind a snapshot: %v", e.Impossible)
		}
	}
}

// besiege steps a node whose own side tells the truth through any messages of its peers: no invariant breaks.
func besiege(t testing.TB, b []byte) (refused, taken int) {
	d := &dice{b: b}
	st := State{Hard: HardState{Term: d.term()}, Snapshot: SnapshotMeta{Membership: d.members()}, Runs: d.runs(0)}
	cfg := Config{ID: 1, ElectionMin: 10, LeaseDrift: 1, Life: uint64(d.upTo(2))}
	n, err := New(cfg, st, 0)
	if err != nil {
		if n, err = New(cfg, disk(voters(1, 2, 3), 2, 1, 1), 0); err != nil {
			t.Fatal(err)
		}
	}
	var acks []*Persisted
	for now := time.Duration(0); len(d.b) > 0; now += time.Duration(d.upTo(15)) {
		var ev Event
		switch d.upTo(14) {
		case 0:
			ev = Elapsed{}
		case 1:
			ev = [...]Event{Campaign{}, StepDown{}, AbortTransfer{}}[d.upTo(2)%3]
		case 2:
			ev = Propose{Count: d.upTo(3) % 4}
		case 3:
			ev = ChangeMembership{Target: d.members(), Force: d.yes()}
		case 4:
			ev = [...]Event{Read{ID: 1}, LeaseRead{ID: 2}, Calendar{Wall: time.Duration(d.upTo(99))}}[d.upTo(2)%3]
		case 5:
			ev = Transfer{To: d.id()}
		case 6: // the snapshot tells the truth
			t, _ := n.TermAt(n.CommitIndex())
			ev = Compacted{Meta: SnapshotMeta{Index: n.CommitIndex(), Term: t}, Through: d.index()}
		case 7: // helpful votes
			ev = Received{d.id(), &RequestVoteReply{Term: n.Term(), Asked: n.Term() + Term(d.upTo(1)&1), Granted: true, PreVote: d.yes()}}
		case 8:
			ev = Matched{From: d.id(), Term: n.Term(), Index: d.index(), Doubt: uint64(d.upTo(2))}
		default:
			from := d.id()
			ev = Received{From: from, Message: d.message(from)}
		}
		if len(acks) > 0 && d.yes() {
			ev, acks = *acks[0], acks[1:]
		}
		before := n.Status()
		e := n.Step(now, ev)
		if err := n.Check(); err != nil {
			t.Fatalf("after %T %+v: %v", ev, ev, err)
		}
		if e.Ack != nil {
			acks = append(acks, e.Ack)
		}
		if e.Impossible == nil {
			taken++
			continue
		}
		refused++
		why, after := (*ImpossibleMessageError)(nil), n.Status()
		if !errors.As(e.Impossible, &why) {
			t.Fatal(e.Impossible)
		}
		if why.Why == TermTooHigh && after.Term == before.Term+MaxTermJump { // a new term, and nothing else
			before.Term, before.Role = after.Term, after.Role
		}
		if after.Term != before.Term || after.Commit != before.Commit || after.Last != before.Last || after.Role != before.Role || after.Doubt != before.Doubt {
			t.Fatalf("%v changed %+v to %+v", e.Impossible, before, after)
		}
	}
	return refused, taken
}

// FuzzPeers: whatever peers send, a server's invariants hold.
func FuzzPeers(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 100 {
		b := make([]byte, 2000)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { besiege(t, b) })
}

// TestPeersBreakNothing: random peers do reach both.
func TestPeersBreakNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	refused, taken := 0, 0
	for range 10000 {
		b := make([]byte, 500)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		no, yes := besiege(t, b)
		refused, taken = refused+no, taken+yes
	}
	if refused < 1000 || taken < 1000 {
		t.Errorf("%d refused, %d taken", refused, taken)
	}
}
