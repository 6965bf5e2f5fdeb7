package raft

import (
	"testing"
	"time"
)

// A leader whose state machine is stuck hands over to whoever has applied what it has not, and could lead at once.
func TestSuccessor(t *testing.T) {
	m := Membership{Voters: []NodeID{1, 2, 3, 4}, Learners: []NodeID{5}}
	lead := func(t *testing.T) *subject {
		s := established(t, m)
		s.sync(Propose{Count: 9})
		for _, id := range []NodeID{2, 3, 4, 5} {
			s.matched(id, 10)
		}
		return s
	}
	applied := func(s *subject, from NodeID, sent time.Duration, index Index) {
		s.get(from, &HeartbeatReply{Term: s.Term(), Sent: sent, Last: 10, Applied: index})
	}
	for name, c := range map[string]struct {
		happens func(s *subject)
		want    NodeID
	}{
		"nobody says":            {func(*subject) {}, None},
		"nobody has come so far": {func(s *subject) { applied(s, 2, s.at, 7); applied(s, 3, s.at, 7) }, None},
		"one has":                {func(s *subject) { applied(s, 2, s.at, 7); applied(s, 3, s.at, 8) }, 3},
		"two have":               {func(s *subject) { applied(s, 2, s.at, 8); applied(s, 3, s.at, 8); applied(s, 4, s.at, 9) }, 4},
		"a learner has":          {func(s *subject) { applied(s, 5, s.at, 9) }, None},
		"in doubt": {func(s *subject) {
			s.get(3, &HeartbeatReply{Term: s.Term(), Sent: s.at, Last: 10, Applied: 9, Doubt: 7})
		}, None},
		"its state went back":  {func(s *subject) { applied(s, 3, s.at, 9); applied(s, 3, s.at, 2) }, None},
		"an answer comes late": {func(s *subject) { applied(s, 3, s.at, 9); applied(s, 3, s.at-1, 2) }, 3},
		"silent by now": {func(s *subject) {
			applied(s, 3, s.at, 9)
			s.at += 2 * s.cfg.ElectionMax
			applied(s, 2, s.at, 7)
		}, None},
		"too silent for a transfer": {func(s *subject) {
			applied(s, 3, s.at, 9)
			s.at += s.cfg.ElectionMin
			applied(s, 2, s.at, 7)
		}, None},
		"behind for long": {func(s *subject) {
			s.sync(Propose{Count: 1})
			s.at += 2 * s.cfg.ElectionMax
			applied(s, 3, s.at, 9)
		}, None},
		"nearly there":    {func(s *subject) { s.sync(Propose{Count: 1}); applied(s, 3, s.at, 9) }, 3},
		"is handing over": {func(s *subject) { applied(s, 3, s.at, 9); s.do(Transfer{To: 3}) }, None},
		"does not lead":   {func(s *subject) { applied(s, 3, s.at, 9); s.do(StepDown{}) }, None},
	} {
		t.Run(name, func(t *testing.T) {
			s := lead(t)
			c.happens(s)
			if got := s.Successor(8); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// A follower tells how far its state machine has come, which never goes back within one life.
func TestFollowerTellsWhatItApplied(t *testing.T) {
	s := established(t, voters(1, 2, 3))
	s.do(StepDown{})
	tells := func() Index {
		r, _ := sent[*HeartbeatReply](t, s.get(2, &Heartbeat{Term: s.Term() + 1, Leader: 2}), 2)
		return r.Applied
	}
	first := tells()
	s.do(Applied{Index: 5})
	s.do(Applied{Index: 3})
	if first != 0 || tells() != 5 {
		t.Errorf("%d, then not 5", first)
	}
}
