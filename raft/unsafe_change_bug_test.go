package raft

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience is how long a silent member counts as alive: the default of Config.ElectionMax.
const patience = 2 * testElection

// answers has members prove that they live, and that they have the whole log.
func (s *subject) answers(ids ...NodeID) {
	s.t.Helper()
	for _, id := range ids {
		s.matched(id, s.LastIndex())
		s.beaten(id, s.Round(), s.at)
	}
}

// refused demands that an unforced change is refused for exactly these servers, and that a forced one is not.
func (s *subject) refused(target Membership, want ...Unready) *UnsafeChangeError {
	s.t.Helper()
	e := s.do(ChangeMembership{Target: target})
	var unsafe *UnsafeChangeError
	if !errors.As(e.Refused, &unsafe) || e.Proposed != nil || e.Append != nil || e.Membership != nil {
		s.t.Fatalf("%+v: %+v", target, e)
	}
	if !slices.Equal(unsafe.Servers, want) {
		s.t.Errorf("%+v: %+v, want %+v", target, unsafe.Servers, want)
	}
	forced := &subject{Node: s.Clone(), t: s.t, at: s.at}
	if e := forced.do(ChangeMembership{Target: target, Force: true}); e.Refused != nil || e.Proposed == nil {
		s.t.Errorf("%+v, forced: %+v", target, e)
	}
	return unsafe
}

func (s *subject) taken(target Membership) {
	s.t.Helper()
	if e := s.do(ChangeMembership{Target: target}); e.Refused != nil || e.Proposed == nil {
		s.t.Errorf("%+v: %+v", target, e)
	}
}

// A change that no quorum could commit, or take back, is refused, and everything that is in the way is named.
func TestUnsafeChangeIsRefused(t *testing.T) {
	with := func(voters []NodeID, learners ...NodeID) Membership {
		return Membership{Voters: voters, Learners: learners}
	}
	three := []NodeID{1, 2, 3}

	s := established(t, voters(three...))
	e := s.refused(voters(7, 8, 9), Unready{ID: 7, Why: NotLearner}, Unready{ID: 8, Why: NotLearner}, Unready{ID: 9, Why: NotLearner})
	if e.Voters != 3 || e.Needed != 2 || e.Alive != 0 {
		t.Errorf("%+v", e)
	}
	s.refused(voters(1, 2, 3, 4), Unready{ID: 4, Why: NotLearner})

	s.sync(ChangeMembership{Target: with(three, 4)}) // a learner that does not exist
	s.answers(2, 3)
	s.refused(voters(1, 2, 3, 4), Unready{ID: 4, Why: Silent, Silence: -1})
	s.taken(voters(three...)) // it can be taken back

	s = established(t, voters(three...))
	s.at += patience + time.Second
	s.answers(2)
	s.refused(voters(1, 3), Unready{ID: 3, Why: Silent, Silence: patience + time.Second}) // of the others
	s.taken(voters(1, 2))                                                                 // of the dead

	// In joint consensus both halves must be alive.
	s = established(t, with(three, 4, 5))
	s.at += patience + 1
	s.answers(4, 5)
	silent := func(id NodeID) Unready { return Unready{ID: id, Why: Silent, Silence: patience + 1} }
	s.refused(voters(1, 4, 5), silent(2), silent(3))
	s.answers(2)
	s.taken(voters(1, 4, 5))
}

// The error names who is missing, what it lacks and the way out.
func TestUnsafeChangeNamesTheCause(t *testing.T) {
	e := &UnsafeChangeError{Voters: 5, Needed: 3, Alive: 2, Servers: []Unready{
		{ID: 2, Why: Silent, Silence: 1500 * time.Millisecond}, {ID: 3, Why: Silent, Silence: -1}, {ID: 4, Why: NotLearner}, {ID: 5, Why: Behind, Lag: 17},
	}}
	for _, want := range []string{
		"server 2 has not answered for 1.5s", "server 3 has never answered", "server 4 is to vote but is not a learner",
		"server 5 is to vote but has yet to catch up: it lacks 17 entries", "of the 5 new voters 3 must answer, 2 do", "forced",
	} {
		if !strings.Contains(e.Error(), want) {
			t.Errorf("%q is missing from: %v", want, e)
		}
	}
}

// A learner has caught up once it has all that the log held one patience ago (thesis §4.2.1), or all there is.
func TestLearnerMustCatchUp(t *testing.T) {
	s := established(t, voters(1, 2, 3), 1, 1, 1, 1, 1)
	four := Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}
	s.sync(ChangeMembership{Target: four})
	s.answers(2, 3)
	if s.CommitIndex() != s.LastIndex() {
		t.Fatalf("%+v", s.Status())
	}
	last := s.LastIndex()
	s.beaten(4, s.Round(), s.at)
	s.refused(voters(1, 2, 3, 4), Unready{ID: 4, Why: Behind, Lag: last})
	s.matched(4, last-1)
	s.refused(voters(1, 2, 3, 4), Unready{ID: 4, Why: Behind, Lag: 1})
	s.matched(4, last) // the first round was short
	s.taken(voters(1, 2, 3, 4))
}

// Under load a learner never has all there is. Its lag is counted in time, not in entries.
func TestLearnerMayLagAPatience(t *testing.T) {
	for name, c := range map[string]struct {
		lag   time.Duration
		taken bool
	}{"quick": {patience / 4, true}, "slow": {patience, false}} {
		s := established(t, voters(1, 2, 3))
		s.sync(ChangeMembership{Target: Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}})
		s.answers(2, 3)
		const tick = testElection / 20
		ends := map[time.Duration]Index{} // of the log at each time
		for range 20 * 20 {
			s.at += tick
			s.sync(Propose{Count: 100})
			ends[s.at] = s.LastIndex()
			s.answers(2, 3)
			s.matched(4, ends[s.at-c.lag]) // 0 at first
		}
		lacks := s.LastIndex() - ends[s.at-c.lag]
		if c.taken {
			s.taken(voters(1, 2, 3, 4))
		} else {
			s.refused(voters(1, 2, 3, 4), Unready{ID: 4, Why: Behind, Lag: lacks})
		}
		if t.Failed() {
			t.Fatalf("%s, %d entries behind", name, lacks)
		}
	}
}

// A new leader knows nothing of anybody yet.
func TestNewLeaderAsksForALearnerAgain(t *testing.T) {
	m := Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}
	s := leading(t, m, 1, 1)
	s.answers(2, 3)
	s.refused(voters(1, 2, 3, 4), Unready{ID: 4, Why: Silent, Silence: -1})
	s.answers(4)
	s.taken(voters(1, 2, 3, 4))
}

// A change that was made for one membership is not made to another.
func TestChangeBasedOnAnOlderMembership(t *testing.T) {
	s := established(t, voters(1, 2, 3), 1, 1, 1)
	s.sync(ChangeMembership{Target: voters(1, 2)}) // at 5
	s.answers(2)
	for based, moved := range map[Index]bool{1: true, 4: true, 5: false, 6: true} {
		e := (&subject{Node: s.Clone(), t: t, at: s.at}).do(ChangeMembership{Target: voters(1), BasedOn: based, Force: true})
		var on *MovedOnError
		if errors.As(e.Refused, &on) != moved || moved && (on.BasedOn != based || on.Changed != 5 || on.Last != 5) {
			t.Errorf("based on %d: %v", based, e.Refused)
		}
	}
}

// A voter is where it answers from. A change that looks for it elsewhere, which a mistyped address does, could end a healthy cluster: it has to be
// forced. A learner may be looked for anywhere.
func TestVoterMovesByForceAlone(t *testing.T) {
	at := func(m Membership, addrs ...string) Membership {
		for i, a := range addrs {
			if a != "" {
				m.Members = append(m.Members, Member{ID: NodeID(i + 1), Addr: a})
			}
		}
		return m
	}
	home := at(Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}, "a", "b", "c", "d")
	s := established(t, home)
	s.matched(4, s.LastIndex())
	s.refused(at(Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}, "a", "b", "x", "d"), Unready{ID: 3, Why: Moved})
	s.refused(at(Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}, "x", "b", "c", "d"), Unready{ID: 1, Why: Moved})
	s.refused(at(Membership{Voters: []NodeID{1, 2, 3, 4}}, "a", "b", "c", "x"), Unready{ID: 4, Why: Moved})
	s.taken(at(Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}, "a", "b", "c", "x"))

	s = established(t, voters(1, 2, 3)) // whose addresses are known otherwise
	s.refused(at(voters(1, 2, 3), "", "b"), Unready{ID: 2, Why: Moved})
}

// A voter that has moved and does not answer any more is looked for where it is said to be, as long as the others have the majority: whatever the
// address, no more is lost than was. One that says itself that it is there counts as it does anywhere.
func TestVoterMovesOnceItIsSilent(t *testing.T) {
	at := func(m Membership, addrs ...string) Membership {
		for i, a := range addrs {
			m.Members = append(m.Members, Member{ID: NodeID(i + 1), Addr: a})
		}
		return m
	}
	moved := at(voters(1, 2, 3), "a", "b", "x")
	s := established(t, at(voters(1, 2, 3), "a", "b", "c"))
	s.refused(moved, Unready{ID: 3, Why: Moved})
	s.at += patience + 1
	s.refused(moved, Unready{ID: 2, Why: Silent, Silence: patience + 1}, Unready{ID: 3, Why: Silent, Silence: patience + 1})
	s.answers(2)
	s.taken(moved)

	s = established(t, at(voters(1, 2, 3), "a", "b", "c"))
	asked := func(target Membership, located ...NodeID) error {
		return (&subject{Node: s.Clone(), t: t, at: s.at}).do(ChangeMembership{Target: target, Located: located}).Refused
	}
	both := at(voters(1, 2, 3), "x", "b", "y")
	if err := errors.Join(asked(moved, 3), asked(both, 1, 3)); err != nil {
		t.Error(err)
	}
	var unsafe *UnsafeChangeError
	if err := asked(both, 3); !errors.As(err, &unsafe) || len(unsafe.Servers) != 1 || unsafe.Servers[0] != (Unready{ID: 1, Why: Moved}) {
		t.Error(err)
	}
}

// Two members at one address cannot both be there: whoever is added, or looked for, where another answers was mistyped. Where nobody answers any more, or
// from where the other moves by the same change, it may be.
func TestAddressOfAnotherIsRefused(t *testing.T) {
	at := func(m Membership, addrs ...string) Membership {
		for i, a := range addrs {
			m.Members = append(m.Members, Member{ID: NodeID(i + 1), Addr: a})
		}
		return m
	}
	added := Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}
	s := established(t, at(voters(1, 2, 3), "a", "b", "c"))
	for by, addr := range map[NodeID]string{1: "a", 3: "c"} {
		e := s.refused(at(added, "a", "b", "c", addr), Unready{ID: 4, Why: Taken, By: by})
		if want := fmt.Sprintf("server 4 is to be reached at the address where server %d answers", by); !strings.Contains(e.Error(), want) {
			t.Errorf("%v, want %s", e, want)
		}
	}
	s.at += patience + 1
	s.answers(2)
	s.refused(at(voters(1, 2, 3), "a", "b", "b"), Unready{ID: 3, Why: Taken, By: 2})
	s.taken(at(added, "a", "b", "c", "c"))

	s = established(t, at(voters(1, 2, 3), "a", "b", "c"))
	if e := s.do(ChangeMembership{Target: at(voters(1, 2, 3), "a", "c", "b"), Located: []NodeID{2, 3}}); e.Refused != nil {
		t.Error(e.Refused)
	}
}

// Who only leaves the voters has a vote until the change is over, and has to be found meanwhile.
func TestOutgoingVoterMovesByForceAlone(t *testing.T) {
	at := func(m Membership, addrs ...string) Membership {
		for i, a := range addrs {
			m.Members = append(m.Members, Member{ID: NodeID(i + 1), Addr: a})
		}
		return m
	}
	s := established(t, at(voters(1, 2, 3), "a", "b", "c"))
	demoted := Membership{Voters: []NodeID{1}, Learners: []NodeID{2, 3}}
	s.refused(at(demoted, "a", "x", "y"), Unready{ID: 2, Why: Moved}, Unready{ID: 3, Why: Moved})
	s.taken(at(demoted, "a", "b", "c"))
}
