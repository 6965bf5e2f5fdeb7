package raft

import (
	"fmt"
	"slices"
	"testing"
)

// TestRuaftCommit is the row R16 of ruaft's behaviour, its commit rule: for one to seven servers an entry of an older term
// is committed by no number of copies, only together with one of the leader's own term (Figure 8).
func TestRuaftCommit(t *testing.T) {
	for size := 1; size <= 7; size++ {
		t.Run(fmt.Sprintf("R16_figure8_n%d", size), func(t *testing.T) {
			ids := []NodeID{1}
			for len(ids) < size {
				ids = append(ids, NodeID(len(ids)+1))
			}
			s := leading(t, voters(ids...), 1, 2) // in term 3, with its no-op at 3
			if size == 1 {
				if s.CommitIndex() != 3 {
					t.Fatalf("alone: commit %d", s.CommitIndex())
				}
				return
			}
			for _, id := range ids[1:] {
				if e := s.matched(id, 2); e.Commit.Index != 0 || s.CommitIndex() != 0 {
					t.Fatalf("copies at %d servers committed an entry of term 2", id)
				}
			}
			rival := s.Clone() // (d): somebody who was elected without it
			rival.Step(s.at, Received{ids[1], &AppendEntries{Term: 9, Leader: ids[1], Prev: EntryID{1, 1}, Runs: []Run{{2, 2, 8}}}})
			if got := terms(rival.Shape()); !slices.Equal(got, []Term{1, 8}) {
				t.Fatalf("(d): %v", got)
			}
			for k, id := range ids[1:] { // (e)
				e := s.matched(id, 3)
				if want := k+2 == size/2+1; want != (e.Commit == EntryID{3, 3}) {
					t.Fatalf("(e): %d of %d have the leader's entry: commit %+v", k+2, size, e.Commit)
				}
			}
		})
	}
}
