package sim

import (
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// TestLeaderCompleteness: a leader must have what leaders of earlier terms committed. One of an old term, whose votes came late, need not have what
// was committed since.
func TestLeaderCompleteness(t *testing.T) {
	for _, c := range []struct {
		by, leads raft.Term // of who committed entry 2 of term 2; of the leader without it
		complete  bool
	}{{2, 3, false}, {3, 5, false}, {2, 1, true}, {4, 3, true}} {
		s := New(Config{Seed: 1, Nodes: 3, Quiet: true})
		s.check.log = []committed{{term: 1, by: 1}, {term: 2, by: c.by}}
		n, err := raft.New(raft.Config{ID: 1, ElectionMin: electionMin}, raft.State{
			Hard:     raft.HardState{Term: c.leads},
			Snapshot: raft.SnapshotMeta{Membership: raft.Membership{Voters: s.founders}},
			Runs:     []raft.Run{{First: 1, Last: 1, Term: 1}},
		}, 0)
		if err != nil {
			t.Fatal(err)
		}
		s.check.complete(n)
		if complete := s.check.first == nil; complete != c.complete {
			t.Errorf("leader of term %d without what that of term %d committed: %v", c.leads, c.by, s.check.first)
		}
	}
}
