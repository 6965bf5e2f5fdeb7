package sim

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// Operators who force their changes bring any membership about. Careful ones let the leader look first, and mistype all the same.

// What a careful operator asks for.
const (
	carefulStep   = iota // A's next step: from nobody to learner, from learner to voter, from voter to nobody
	carefulHaste         // A as a voter, whatever it is
	carefulWhole         // Set as the voters
	carefulTypo          // A moved to where nobody is, and a voter that does not exist
	carefulOthers        // the voters alone that do not exist
	carefulGhost         // a learner that does not exist: its next step, or its end
	carefulKinds
)

// stranger is a node that does not exist, and nowhere where nobody is.
const (
	stranger = raft.NodeID(77)
	nowhere  = "nowhere"
)

// careful draws what careful operators ask for in a run.
func (c Config) careful(r *rand.Rand, ids []raft.NodeID) (plan []Fault) {
	for range r.IntN(8) {
		plan = append(plan, Fault{
			At: time.Duration(r.Int64N(int64(c.Length))), Kind: Careful, A: ids[r.IntN(len(ids))], N: r.IntN(carefulKinds),
			Set: subset(r, ids, 1+r.IntN(min(len(ids), 5))),
		})
	}
	return plan
}

// carefully turns such a fault into a change of the membership that the leader has now.
func carefully(f Fault, now raft.Membership) (c actors.Change) {
	a := []raft.Member{{ID: f.A}}
	switch f.N {
	case carefulStep:
		switch {
		case now.IsVoter(f.A):
			c.Remove = []raft.NodeID{f.A}
		case now.IsLearner(f.A):
			c.Promote = []raft.NodeID{f.A}
		default:
			c.AddLearners = a
		}
	case carefulHaste:
		c.AddVoters = a
	case carefulWhole:
		for _, id := range f.Set {
			c.Voters = append(c.Voters, raft.Member{ID: id})
		}
	case carefulTypo:
		c.AddVoters, c.AddLearners = []raft.Member{{ID: stranger, Addr: nowhere}}, []raft.Member{{ID: f.A, Addr: nowhere}}
	case carefulOthers:
		c.Voters = []raft.Member{{ID: stranger}, {ID: stranger + 1}, {ID: stranger + 2}}
	case carefulGhost:
		switch {
		case !now.Has(stranger):
			c.AddLearners = []raft.Member{{ID: stranger}}
		case f.A%2 == 0:
			c.Promote = []raft.NodeID{stranger}
		default:
			c.Remove = []raft.NodeID{stranger}
		}
	}
	return c
}

// nextStep has a careful operator go on with a node soon after a step of it succeeded, in half of the cases.
func (s *Sim) nextStep(f Fault) {
	if f.Kind == Careful && f.N == carefulStep && !s.calm && s.rng.IntN(2) == 0 {
		f.At = s.clock.Now()
		s.spontaneous(f, time.Duration(s.rng.ExpFloat64()*float64(20*time.Millisecond)))
	}
}

// unready counts what became of a careful change.
func (s *Sim) unready(err error) {
	var unsafe *raft.UnsafeChangeError
	if errors.As(err, &unsafe) {
		for _, u := range unsafe.Servers {
			s.count("change refused: " + u.Why.String())
		}
	}
}

// admitted: a change that was not forced gives nobody a vote who is not there, was no learner, or lacks on its disk what had been committed
// the longest election timeout ago.
func (c *checker) admitted(n *raft.Node, before, now raft.Membership) {
	asked, ok := c.sim.handled.(*actors.ChangeMembers)
	if !ok || asked.Change.Force {
		return
	}
	x := c.sim.nodes[n.ID()]
	ago := x.timeout.Max * 11 / 10 // a clock may be slower than others
	if x.life.slow(ago) {          // or have stood still
		return
	}
	end := raft.Index(c.committedBy(c.sim.clock.Now() - ago))
	for _, id := range now.Voters {
		x := c.sim.nodes[id]
		switch {
		case before.IsVoter(id):
		case x == nil:
			c.fail("changes are safe unless forced", "leader %d gives node %d a vote, which does not exist", n.ID(), id)
		case !before.IsLearner(id):
			c.fail("changes are safe unless forced", "leader %d gives node %d a vote, which was no learner", n.ID(), id)
		case end > 0 && !c.holding(x.disk.image(groupID), raft.EntryID{Index: end, Term: c.log[end-1].term}):
			c.fail("changes are safe unless forced", "leader %d gives node %d a vote, whose disk lacks entry %d, committed at %v", n.ID(), id, end, c.log[end-1].at)
		}
	}
}

// committedBy is how many entries had been committed by a time.
func (c *checker) committedBy(at time.Duration) int {
	n, _ := slices.BinarySearchFunc(c.log, at, func(e committed, at time.Duration) int {
		if e.at <= at {
			return -1
		}
		return 1
	})
	return n
}
