package model

import (
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// offer sends what the step newly lets a leader's syncer and pulse send. What was allowed before is on the wire already.
func (st *step) offer() {
	for _, n := range st.c.offers(st.s) {
		if _, old := slices.BinarySearch(st.before.offers, n); !old {
			st.sent = append(st.sent, st.c.forge(n))
		}
	}
}

// offers are the messages that a leader in this state may send: every stretch of its log of up to Scope.Batch entries, its
// snapshot.
func (c *checker) offers(s *server) []uint32 {
	n := s.node
	if n.Role() != raft.Leader {
		return nil
	}
	var out []uint32
	offer := func(to raft.NodeID, m raft.Message) {
		if number, ok := c.post(s.id, to, m, 0); ok {
			out = append(out, number)
		}
	}
	commit := n.CommitIndex()
	told := commit
	if c.scope.Quiet {
		told = 0
	}
	shape := n.Shape()
	for _, to := range n.Membership().IDs() {
		if to == s.id {
			continue
		}
		for prev := shape.Prev.Index; prev <= shape.Last(); prev++ {
			for end := prev; end <= min(prev+c.scope.Batch, shape.Last()); end++ {
				if end == prev && end < shape.Last() {
					continue // what a probe tells, an entry that is there already tells too
				}
				t, _ := shape.TermAt(prev)
				offer(to, &raft.AppendEntries{
					Term: n.Term(), Leader: s.id, Prev: raft.EntryID{Index: prev, Term: t},
					Runs: runs(shape, prev+1, end), Changes: n.ChangesIn(prev+1, end), Commit: told,
				})
			}
		}
		if snap := n.Snapshot(); snap.Index > 0 {
			offer(to, &raft.InstallSnapshot{Term: n.Term(), Leader: s.id, Snapshot: snap})
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// runs are the entries first to last of shape.
func runs(shape raft.Shape, first, last raft.Index) []raft.Run {
	var out []raft.Run
	for _, r := range shape.Runs {
		if part := (raft.Run{First: max(r.First, first), Last: min(r.Last, last), Term: r.Term}); part.First <= part.Last {
			out = append(out, part)
		}
	}
	return out
}

// beat sends a heartbeat to everybody.
func (st *step) beat() {
	c, n := st.c, st.s.node
	if n.Role() != raft.Leader || !c.enc.rounds && c.scope.Limit.Losses == 0 {
		return
	}
	commit := n.CommitIndex()
	term, _ := n.TermAt(commit)
	for _, to := range n.Membership().IDs() {
		if to != st.s.id {
			st.post(raft.Outgoing{To: to, Message: &raft.Heartbeat{
				Term: n.Term(), Leader: st.s.id, Round: n.Round(), Sent: st.s.now, Commit: raft.EntryID{Index: commit, Term: term},
			}})
		}
	}
}
