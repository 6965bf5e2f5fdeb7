package sim

import (
	"cmp"
	"time"

	"github.com/troupe-raft/troupe/actors"
)

// applyStall is how long a state machine may apply nothing before its replica says so.
func (s *Sim) applyStall() time.Duration { return cmp.Or(s.group().ApplyStall, usualApplyStall) }

// applyStalled: only a state machine that something keeps from going on is said to be stuck.
func (s *Sim) applyStalled(e *actors.ApplyStalled) {
	s.count("a state machine was stuck")
	s.trace.note("node %d: its state machine is stuck at entry %d", e.Node, e.Index)
	l := s.nodes[e.Node].life
	switch {
	case l == nil || l.machine == nil || l.view.node == nil:
	case l.slow(s.applyStall() + handful):
	case l.machine.index < l.view.node.Snapshot().Index: // it waits for the state that a leader sent
	default:
		s.check.fail("only what hangs is said to be stuck", "node %d says so at entry %d, it has applied %d of %d", e.Node, e.Index, l.machine.index, l.view.commit)
	}
}
