package raft

import (
	"errors"
	"slices"
	"testing"
)

// ruaftReader leads five servers, as in ruaft's tests, with everything up to entry 8 committed.
func ruaftReader(t testing.TB) *subject {
	t.Helper()
	return established(t, voters(1, 2, 3, 4, 5), 1, 1, 1, 1, 1, 1, 2)
}

// ask begins a read and returns the round that its heartbeats carry.
func (s *subject) ask(id uint64) uint64 {
	s.t.Helper()
	if e := s.do(Read{ID: id}); len(e.Reads) != 0 || e.Beat == 0 {
		s.t.Fatalf("read %d: %+v", id, e)
	}
	return s.Round()
}

// beat lets a server answer a heartbeat of a round, and returns which reads end by that.
func (s *subject) beat(from NodeID, round uint64) (ended []uint64) {
	s.t.Helper()
	return answered(s.t, s.beaten(from, round, 0))
}

// pending requires that exactly these reads still wait.
func (s *subject) pending(ids ...uint64) {
	s.t.Helper()
	var got []uint64
	for _, r := range s.reads {
		got = append(got, r.id)
	}
	if !slices.Equal(got, ids) {
		s.t.Fatalf("reads %v wait, want %v", got, ids)
	}
}

// lost requires that e ends these reads because leadership is gone (ruaft's TermElapsed).
func lost(t testing.TB, e Effects, ids ...uint64) {
	t.Helper()
	var got []uint64
	for _, d := range e.Reads {
		if !errors.Is(d.Err, ErrNotLeader) || d.Index != 0 {
			t.Errorf("%+v", d)
		}
		got = append(got, d.ID)
	}
	if !slices.Equal(got, ids) {
		t.Fatalf("reads %v are lost, want %v", got, ids)
	}
}

// TestRuaftVerifyAuthority is ruaft's verify_authority.rs. Its beats per peer are one number here, the read round, which every
// heartbeat carries and every answer returns; its sentinel is the no-op of the leader's term.
func TestRuaftVerifyAuthority(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"test_verify_authority_async":               ruaftAsk,
		"test_verify_authority_async_term_mismatch": ruaftTermMismatch,
		"test_reset_state":                          ruaftResetState,
		"test_clear_ticked_requests":                ruaftClearTicked,
		"test_clear_ticked_requests_no_sentinel": func(t *testing.T) {
			s := leading(t, voters(1, 2, 3, 4, 5), 1, 2)
			round := s.ask(1)
			for _, id := range []NodeID{2, 3, 4, 5} {
				s.beat(id, round)
			}
			s.pending(1)
		},
		// With its quorum the read has ended before the leadership does; without, it ends in an error.
		"test_clear_ticked_requests_lost_leadership": func(t *testing.T) {
			s := ruaftReader(t)
			round := s.ask(1)
			s.beat(4, round)
			if got := s.beat(5, round); !slices.Equal(got, []uint64{1}) {
				t.Fatalf("%v", got)
			}
			s.ask(2)
			s.beat(4, s.Round())
			lost(t, s.get(5, &HeartbeatReply{Term: s.Term() + 1, Round: s.Round()}), 2)
		},
		"test_clear_ticked_requests_cleared_by_others": ruaftClearedByOthers,
		"test_remove_expired_requests":                 ruaftExpired,
		"test_run_verify_authority_iteration":          ruaftIteration,
		"test_edge_case_stale_sentinel":                ruaftStaleSentinel,
		"test_edge_case_stale_commit_index": func(t *testing.T) {
			s := leading(t, voters(1, 2, 3, 4, 5), 1, 1, 1) // its commit index is 0, and others have answered up to 3
			round := s.ask(1)
			s.beat(2, round)
			s.beat(3, round)
			s.pending(1)
			s.matched(2, 4)
			if e := s.matched(3, 4); len(e.Reads) != 1 || e.Reads[0] != (ReadDone{ID: 1, Index: 4}) {
				t.Errorf("%+v", e.Reads)
			}
		},
	} {
		t.Run(name, test)
	}
}

// ruaftClearTicked mixes reads with beats that are lost, repeated, late and stale. A read ends by the second server that answers a
// heartbeat sent after it came.
func ruaftClearTicked(t *testing.T) {
	s := ruaftReader(t)
	ends := func(got []uint64, want ...uint64) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Fatalf("reads %v ended, want %v", got, want)
		}
	}
	ancient := s.Round()
	r0 := s.ask(10)
	ends(s.beat(2, r0))
	s.pending(10)
	r1 := s.ask(11)
	ends(s.beat(2, r0)) // a duplicate
	ends(s.beat(3, r1), 10)
	ends(s.beat(3, r1)) // a duplicate
	s.pending(11)
	s.ask(12) // whose beats are lost
	r3 := s.ask(13)
	ends(s.beat(4, r1), 11)
	ends(s.beat(5, r0)) // late, and not recent enough for anybody
	ends(s.beat(5, ancient))
	s.pending(12, 13)
	r4 := s.ask(14)
	ends(s.beat(5, r4)) // counts for all three
	ends(s.beat(4, r3), 12, 13)
	ends(s.beat(2, r3)) // stale for the last
	ends(s.beat(5, r3)) // and takes nothing back
	ends(s.beat(3, ancient))
	s.pending(14)
	ends(s.beat(2, r4), 14)
	s.pending()
}

// ruaftExpired: no read waits for ever. A leader that hears no quorum gives up, and with it every read.
func ruaftExpired(t *testing.T) {
	s := ruaftReader(t)
	for id := uint64(1); id <= 5; id++ {
		s.ask(id)
	}
	s.at += testElection - 1
	s.do(Elapsed{})
	s.pending(1, 2, 3, 4, 5)
	s.beat(2, s.Round()-4) // one server is not a quorum
	s.at++
	lost(t, s.do(Elapsed{}), 1, 2, 3, 4, 5)
	if s.pending(); s.Role() == Leader {
		t.Fatal("leads without a quorum")
	}
}

func ruaftIteration(t *testing.T) {
	s := leading(t, voters(1, 2, 3, 4, 5), 1, 1, 1, 1, 1, 1, 2)
	first := s.ask(1)
	s.beat(2, first)
	s.beat(3, first)
	s.pending(1) // the no-op is not committed
	second := s.ask(2)
	s.beat(2, second)
	s.matched(4, 8)
	if e := s.matched(5, 8); len(e.Reads) != 1 || e.Reads[0] != (ReadDone{ID: 1, Index: 8}) {
		t.Fatalf("%+v", e.Reads)
	}
	s.pending(2)
	s.sync(Propose{Count: 1})
	s.matched(4, 9)
	s.matched(5, 9)
	third := s.ask(3)
	fourth := s.ask(4)
	s.beat(4, third)
	s.pending(3, 4) // the second server for the second read, and the first for the third
	e := s.beaten(5, fourth, 0)
	if len(e.Reads) != 1 || e.Reads[0] != (ReadDone{ID: 3, Index: 9}) {
		t.Fatalf("%+v", e.Reads)
	}
	lost(t, s.sync(StepDown{}), 4)
}

// ruaftStaleSentinel: a server that led, was deposed and leads again knows nothing of what was committed meanwhile. Its own old commit
// index answers no read, and neither do answers to its old heartbeats.
func ruaftStaleSentinel(t *testing.T) {
	s := ruaftReader(t)
	stale := s.ask(1)
	lost(t, s.get(2, &AppendEntries{Term: 4, Leader: 2, Prev: EntryID{8, 3}, Runs: []Run{{9, 10, 4}}}), 1)
	if s.CommitIndex() != 8 {
		t.Fatalf("commit %d", s.CommitIndex())
	}
	s.at += testElection
	s.elect()
	round := s.ask(2)
	for _, id := range []NodeID{2, 3, 4} {
		s.beat(id, stale)
		s.beat(id, round)
	}
	s.pending(2)
	s.matched(2, 10) // entries of the other leader's term commit nothing
	s.matched(3, 10)
	s.pending(2)
	s.matched(2, 11)
	if e := s.matched(3, 11); len(e.Reads) != 1 || e.Reads[0].Err != nil || e.Reads[0].Index < 10 {
		t.Fatalf("%+v", e.Reads)
	}
}

func ruaftAsk(t *testing.T) {
	s := ruaftReader(t)
	s.sync(Propose{Count: 10})
	first := s.ask(1) // sees what is committed, not what is in the log
	for _, id := range []NodeID{2, 3} {
		s.matched(id, 18)
	}
	second := s.ask(2)
	s.pending(1, 2)
	if s.reads[0].index != 8 || s.reads[1].index != 18 || s.reads[0].round != first || second <= first {
		t.Errorf("%+v", s.reads)
	}
}

func ruaftTermMismatch(t *testing.T) {
	for _, ev := range []Event{StepDown{}, Received{2, &HeartbeatReply{Term: 4}}, Received{2, &Heartbeat{Term: 4, Leader: 2}}} {
		s := ruaftReader(t)
		s.sync(ev)
		lost(t, s.do(Read{ID: 1}), 1)
		s.pending()
	}
	s := ruaftReader(t)
	round := s.ask(1)
	for _, id := range []NodeID{2, 3, 4, 5} {
		s.get(id, &HeartbeatReply{Term: s.Term() - 1, Round: round})
		s.beat(id, round+1) // which was never sent
	}
	s.pending(1)
}

func ruaftResetState(t *testing.T) {
	s := ruaftReader(t)
	s.ask(1)
	s.ask(2)
	before := s.ask(3)
	lost(t, s.sync(StepDown{}), 1, 2, 3)
	s.pending()
	s.at += testElection
	s.elect()
	if s.Round() <= before || s.termFirst != 9 {
		t.Errorf("round %d after %d, no-op at %d", s.Round(), before, s.termFirst)
	}
	for _, p := range s.peers {
		if p.round != 0 {
			t.Errorf("server %d counts for a round of an earlier leadership", p.id)
		}
	}
}

func ruaftClearedByOthers(t *testing.T) {
	s := ruaftReader(t)
	s.ask(1)
	second := s.ask(2)
	third := s.ask(3)
	s.beat(2, second)
	if got := s.beat(3, second); !slices.Equal(got, []uint64{1, 2}) {
		t.Fatalf("%v", got)
	}
	s.pending(3)
	s.beat(2, third)
	if got := s.beat(3, third); !slices.Equal(got, []uint64{3}) {
		t.Fatalf("%v", got)
	}
	s.pending()
}
