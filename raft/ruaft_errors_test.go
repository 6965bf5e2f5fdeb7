package raft

import (
	"errors"
	"strings"
	"testing"
)

// TestRuaftErrors goes through the ten ErrorKinds that ruaft records and fails on when it stops (daemon_env.rs). Three of them come from
// messages that cannot be true, which are dropped here; the others stop the node on the spot, and say who, when and why.
func TestRuaftErrors(t *testing.T) {
	meta := func(index Index, term Term) SnapshotMeta {
		return SnapshotMeta{Index: index, Term: term, Membership: voters(1, 2, 3)}
	}
	// follower has committed entries 1 to 3, of terms 1, 2 and 2, of 4.
	follower := func(t *testing.T) *subject {
		s := newSubject(t, disk(voters(1, 2, 3), 5, 1, 2, 2, 3))
		s.get(2, &Heartbeat{Term: 5, Leader: 2, Commit: EntryID{3, 2}})
		return s
	}
	for kind, c := range map[string]struct {
		invariant string
		event     Event
	}{
		"SnapshotAfterLogEnd":  {"State Machine Safety", Compacted{Meta: meta(5, 3), Through: 5}},
		"SnapshotNotCommitted": {"State Machine Safety", Compacted{Meta: meta(4, 3), Through: 4}},
		"DivergedAtCommitted":  {"State Machine Safety", Compacted{Meta: meta(3, 1), Through: 3}},
	} {
		t.Run("test_record_error/"+kind, func(t *testing.T) {
			s := follower(t)
			var got *BrokenInvariant
			func() {
				defer func() {
					if err, ok := recover().(error); !ok || !errors.As(err, &got) {
						t.Fatalf("not noticed: %v", err)
					}
				}()
				s.Step(s.at, c.event)
			}()
			if got.Name != c.invariant || got.Node != 1 || got.Term != 5 || got.Detail == "" || !strings.Contains(got.Error(), got.Name) {
				t.Errorf("%+v", got)
			}
		})
	}
	for kind, m := range map[string]Message{ // of a leader that has gone wrong, which is no fault of the follower's
		"RollbackCommitted":             &AppendEntries{Term: 5, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 5}}},
		"RefusedSnapshotAfterCommitted": &AppendEntries{Term: 5, Leader: 2, Prev: EntryID{3, 5}}, // the follower must have what it committed before Prev
		"SnapshotBeforeCommitted":       &InstallSnapshot{Term: 5, Leader: 2, Snapshot: meta(9, 1)},
	} {
		t.Run("test_record_error/"+kind, func(t *testing.T) {
			s := follower(t)
			s.t = t
			s.impossible(Contradicts, 2, m)
		})
	}
	t.Run("test_record_error/AppendEntriesIndexMismatch", func(t *testing.T) {
		s := follower(t)
		if e := s.get(2, &AppendEntries{Term: 5, Leader: 2, Prev: EntryID{4, 3}, Runs: []Run{{6, 6, 5}}}); len(e.Send)+len(e.Append) != 0 {
			t.Errorf("%+v", e)
		}
	})
	// A follower that claims more than its leader has is not believed, be it by its acknowledgement or by its refusal.
	t.Run("test_record_error/CommittedBeyondEnd", func(t *testing.T) {
		s := leading(t, voters(1, 2, 3), 1)
		s.matched(2, s.LastIndex()+1)
		if st := s.Status(); st.Commit != 0 || st.Match[2] != 0 {
			t.Errorf("%+v", st)
		}
	})
	t.Run("test_record_error/DivergedBeforeCommitted", divergedBeforeCommitted)
	t.Run("test_record_error/LeaderLogShrunk", leaderLogShrunk)
}

func leaderLogShrunk(t *testing.T) {
	s := established(t, voters(1, 2, 3), 1)
	s.impossible(TwoLeaders, 2, &AppendEntries{Term: s.Term(), Leader: 2, Prev: EntryID{1, 1}})
	s = leading(t, voters(1, 2, 3), 1)
	s.log.truncate(2)
	s.durable = 1
	breaks(t, "Leader Append-Only", func() { s.Step(s.at, Read{ID: 1}) })
}

func divergedBeforeCommitted(t *testing.T) {
	p := NewProgress(Pace{MaxMessages: 1, MaxBytes: 1}, 10)
	p.Sent(0, 11, 0)
	p.Acked(0, 11)
	p.Sent(0, 12, 0)
	if p.Refused(0, &AppendEntriesReply{Term: 1, Prev: 5, Hint: EntryID{3, 1}}, Shape{Runs: []Run{{1, 12, 1}}}) || p.Match() != 11 {
		t.Errorf("went back to %d below what was acknowledged, %d", p.Next(), p.Match())
	}
}
