package raft

import (
	"slices"
	"testing"
	"time"
)

// promised answers a heartbeat that was sent at sent with a promise of its own length.
func (s *subject) promised(from NodeID, sent, promise time.Duration) Effects {
	s.t.Helper()
	return s.get(from, &HeartbeatReply{Term: s.Term(), Sent: sent, Promise: promise})
}

// A lease is as long as its givers promise, whatever the leader's own ElectionMin is: nodes differ in it while a configuration is rolled out.
func TestLeaseIsTheLeastPromise(t *testing.T) {
	for _, c := range []struct {
		name     string
		promises []time.Duration // of 2, 3, 4, 5
		want     time.Duration   // of the lease; 0: none
	}{
		{"equal", []time.Duration{testElection, testElection, 0, 0}, testElection - testDrift},
		{"one is shorter", []time.Duration{testElection, testElection / 2, 0, 0}, testElection/2 - testDrift},
		{"a quorum does without the shortest", []time.Duration{testElection, testElection / 2, testElection / 4, 0}, testElection/2 - testDrift},
		{"longer than the leader's own", []time.Duration{10 * testElection, 10 * testElection, 0, 0}, testElection - testDrift},
		{"no quorum", []time.Duration{testElection, 0, 0, 0}, 0},
		{"shorter than what clocks may differ by", []time.Duration{testDrift, testDrift, 0, 0}, 0},
		{"nonsense", []time.Duration{-time.Hour, -1 << 63, 0, 0}, 0},
	} {
		s := established(t, voters(1, 2, 3, 4, 5))
		start := s.at
		for i, p := range c.promises {
			s.promised(NodeID(i+2), start, p)
		}
		s.at = start + max(c.want-1, 0)
		if e := s.do(LeaseRead{ID: 1}); (len(e.Reads) == 1) != (c.want > 0) {
			t.Errorf("%s: within the lease: %+v", c.name, e.Reads)
		}
		s.at = start + c.want
		if e := s.do(LeaseRead{ID: 2}); len(e.Reads) != 0 {
			t.Errorf("%s: after the lease: %+v", c.name, e.Reads)
		}
	}
}

// voted asks for a vote at a time and reports whether it was given.
func (s *subject) voted(at time.Duration, term Term) bool {
	s.t.Helper()
	s.at = at
	r, _ := sent[*RequestVoteReply](s.t, s.get(3, &RequestVote{Term: term, Candidate: 3, Last: EntryID{9, term - 1}, PreVote: true}), 3)
	return r.Granted
}

// A promise holds across a restart with a shorter ElectionMin: the leader counts on it.
func TestPromiseSurvivesARestart(t *testing.T) {
	const long = 3 * testElection
	st := disk(voters(1, 2, 3), 4, 4)
	st.Hard.Promise = long
	s := newSubject(t, st) // started at 0
	if s.voted(long-1, 5) || !s.voted(long, 5) {
		t.Error("voted before a promise was over, or not after it")
	}
	s = newSubject(t, st)
	s.at = long - 1
	if s.sync(Elapsed{}); s.Role() != PreCandidate {
		t.Fatal("does not ask")
	}
	if s.get(2, &RequestVoteReply{Term: 4, Asked: 5, Granted: true, PreVote: true}); s.Role() == Candidate {
		t.Error("votes for itself before a promise is over")
	}
	// What is promised from now on is shorter, and the disk learns of that only once the longer promise was kept.
	s = newSubject(t, st)
	s.at = long - 1
	e := s.get(2, &Heartbeat{Term: 5, Leader: 2, Sent: 1})
	if r, _ := sent[*HeartbeatReply](t, e, 2); r.Promise != testElection || e.Hard == nil || e.Hard.Promise != long {
		t.Errorf("%+v, stores %+v", r, e.Hard)
	}
	s.at = long
	e = s.get(2, &AppendEntries{Term: 5, Leader: 2, Prev: EntryID{1, 4}, Runs: []Run{{2, 2, 5}}})
	if e.Hard == nil || e.Hard.Promise != testElection {
		t.Errorf("stores %+v", e.Hard)
	}
	e = s.get(2, &AppendEntries{Term: 5, Leader: 2, Prev: EntryID{2, 5}, Runs: []Run{{3, 3, 5}}})
	if e.Hard != nil {
		t.Errorf("stores %+v once more", e.Hard)
	}
}

// What is promised is on disk before.
func TestPromiseIsDurableBeforeItIsGiven(t *testing.T) {
	st := disk(voters(1, 2, 3), 4, 4)
	st.Hard.Promise = testElection / 2
	s := newSubject(t, st)
	promise := func(ev Message) time.Duration {
		t.Helper()
		r, _ := sent[*HeartbeatReply](t, s.do(Received{2, ev}), 2)
		return r.Promise
	}
	beat := &Heartbeat{Term: 4, Leader: 2, Sent: 1}
	if got := promise(beat); got != testElection/2 {
		t.Fatalf("%v", got)
	}
	e := s.do(Received{2, &AppendEntries{Term: 4, Leader: 2, Prev: EntryID{1, 4}, Runs: []Run{{2, 2, 4}}}})
	if got := promise(beat); got != testElection/2 {
		t.Fatalf("%v, which is not on disk", got)
	}
	s.do(*e.Ack)
	if got := promise(beat); got != testElection {
		t.Fatalf("%v", got)
	}
	fresh := newSubject(t, disk(voters(1, 2, 3), 0))
	e = fresh.do(Received{2, beat})
	if r, out := sent[*HeartbeatReply](t, e, 2); r.Promise != testElection || !out.AfterSync || e.Hard.Promise != testElection {
		t.Errorf("%+v", e)
	}
}

func TestSuspended(t *testing.T) {
	const drift = 10 * time.Millisecond
	at := func(now, wall time.Duration) Clocks { return Clocks{Now: now, Wall: time.Hour + wall} }
	for _, c := range []struct {
		name  string
		after Clocks
		want  bool
	}{
		{"both go on", at(time.Minute, time.Minute), false},
		{"by as much as they may", at(time.Minute, time.Minute+drift), false},
		{"suspended", at(time.Millisecond, time.Millisecond+drift+1), true},
		{"for long", at(0, 1000*time.Hour), true},
		{"set back", at(time.Minute, time.Minute-drift-1), true},
	} {
		if got := Suspended(at(0, 0), c.after, drift); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A monotonic clock may stand still while its machine is suspended. The calendar tells, and the lease is over until it is renewed.
func TestSuspensionEndsTheLease(t *testing.T) {
	for _, c := range []struct {
		name      string
		suspended time.Duration
		lasts     bool // 50ms of the lease's 90 are left
	}{
		{"not", 0, true}, {"shortly", testDrift - 1, true}, {"beyond the drift", testDrift + 1, false}, {"long", time.Hour, false}, {"set back", -testDrift - 1, false},
	} {
		s := established(t, voters(1, 2, 3))
		begun := s.at
		wall := func(suspended time.Duration) Calendar { return Calendar{Wall: time.Hour + s.at + suspended} }
		s.do(wall(0))
		s.promised(2, begun, testElection)
		s.at = begun + 40*time.Millisecond
		clocks := Clocks{Now: s.at, Wall: wall(c.suspended).Wall}
		if got := s.LeaseLasts(clocks); got != c.lasts {
			t.Errorf("%s: LeaseLasts %v", c.name, got)
		}
		if e := s.do(wall(c.suspended)); e.Suspended == c.lasts {
			t.Errorf("%s: %+v", c.name, e)
		}
		e := s.do(LeaseRead{ID: 1})
		if (len(e.Reads) == 1) != c.lasts {
			t.Errorf("%s: %+v", c.name, e.Reads)
		}
		if c.lasts {
			s.at = begun + testElection - testDrift - c.suspended
			s.do(wall(c.suspended))
			if e := s.do(LeaseRead{ID: 2}); len(e.Reads) != 0 {
				t.Errorf("%s: the lease lasts although %v passed unseen", c.name, c.suspended)
			}
			continue
		}
		// What was asked for before does not count, and what is asked for after does.
		if s.promised(3, begun, testElection); s.LeaseLasts(clocks) {
			t.Errorf("%s: an answer from before counts", c.name)
		}
		if e := s.get(3, &HeartbeatReply{Term: s.Term(), Round: s.Round(), Sent: s.at, Promise: testElection}); !slices.Equal(answered(t, e), []uint64{1}) {
			t.Errorf("%s: no round instead: %+v", c.name, e.Reads)
		}
		s.do(wall(c.suspended))
		if e := s.do(LeaseRead{ID: 3}); len(e.Reads) != 1 {
			t.Errorf("%s: not renewed", c.name)
		}
	}
}

// Calendars that are adjusted all the time, by little, end no lease; suspensions that are each within the drift do together.
func TestClocksAreComparedOverALease(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	parted := time.Duration(0)
	for range 1000 {
		s.at += testElection / 2
		parted += testDrift / 100
		s.promised(2, s.at, testElection)
		if e := s.do(Calendar{Wall: s.at + parted}); e.Suspended {
			t.Fatalf("after %v", parted)
		}
	}
	begun := s.at
	s.promised(2, begun, testElection)
	for range 6 {
		s.at += testElection / 50
		parted += testDrift / 5
		s.do(Calendar{Wall: s.at + parted})
	}
	if s.at-begun > testElection-testDrift {
		t.Fatal("the lease would be over")
	}
	if e := s.do(LeaseRead{ID: 1}); len(e.Reads) != 0 {
		t.Error("many short suspensions are not noticed")
	}
}
