package sim

import (
	"cmp"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/heartbeat"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A hang is what is known of a group actor that was stuck.
type hang struct {
	now   int // faults that last
	until time.Duration

	silent      raft.Term // in this term it is not heard of as a leader any more, while it is stuck; 0: none
	silentSince time.Duration
}

// stick keeps the group's actor of a node from taking turns for a while, as if it were in the middle of one. All else of the node goes on.
func (s *Sim) stick(n *node, f Fault) {
	if leader := s.leader(); f.N == leads && leader != nil {
		n = leader
	}
	l := n.life
	if l == nil || l.group == nil || n.starting {
		return
	}
	held, release := l.stage.Hold(func(a actor.Actor) bool { return nameOf(a) == guardsItself })
	if held == 0 { // it is already
		return
	}
	s.count("fault stuck")
	l.hang.now++
	began, before, upsets, pauses, alone := s.clock.Now(), l.view, l.upsets(), l.paused, !l.slow(handful)
	if now := l.group.Status(); now.Stopped || now.Role != raft.Leader { // what was seen last may be of the replica before this one
		before.role = raft.Follower
	}
	s.after(f.For, l.hold(func() {
		if l == l.node.life && l.upsets() == upsets && l.paused == pauses && alone {
			s.check.foundOut(l, before, s.clock.Now()-began)
		}
		l.hang.now--
		l.hang.until, l.hang.silent = s.clock.Now(), 0
		release()
	}))
}

// foundOut: a leader that was stuck for long has been found out, unless something kept its node's heartbeat from looking, or the word of it may be among
// events that were dropped.
func (c *checker) foundOut(l *life, v view, took time.Duration) {
	limit := 2*cmp.Or(c.sim.cfg.host().LeaderStall, heartbeat.DefaultStall) + 5*heartbeats
	followed := len(v.members.Members) > 1 || len(v.members.Voters)+len(v.members.Learners) > 1
	if v.role == raft.Leader && followed && took > limit && l.panics["heartbeat"] == 0 && l.hang.silent != v.term && !l.deaf {
		c.fail("who is stuck does not lead", "node %d, stuck for %v in term %d, was not found out", l.node.id, took, v.term)
	}
}

// leaderStalled: only a leader that is stuck loses its heartbeats.
func (s *Sim) leaderStalled(e *actors.LeaderStalled) {
	s.count("a stuck leader lost its heartbeats")
	s.trace.note("node %d: its group is stuck as the leader of term %d", e.Node, e.Term)
	l := s.nodes[e.Node].life
	switch {
	case l == nil:
	case l.hang.now > 0:
		l.hang.silent, l.hang.silentSince = e.Term, s.clock.Now()
	case l.slow(handful): // the news may come from before
	case s.clock.Now()-l.hang.until > handful:
		s.check.fail("only what is stuck is taken for stuck", "node %d withholds the heartbeats of term %d", e.Node, e.Term)
	}
}

// quiet: a leader that was found to be stuck says nothing that its followers would take for a leader's word, be it by its heartbeat, its
// syncer or its snapshotter.
func (c *checker) quiet(from raft.NodeID, e remote.Envelope) {
	l := c.sim.nodes[from].life
	if l == nil || l.hang.silent == 0 || c.sim.clock.Now()-l.hang.silentSince < handful {
		return
	}
	if l.held > l.hang.now || c.sim.clock.Now()-l.freed < handful { // the syncer or the snapshotter hangs too: their orders to rest wait behind that
		return
	}
	silent := l.hang.silent
	said := false
	switch m := e.Message.(type) {
	case *remote.Pulse:
		for i := range m.Beats {
			said = said || m.Beats[i].Term == silent
		}
	case *remote.AppendBlocks:
		said = m.Term == silent
	case *remote.SnapshotChunk:
		said = m.Term == silent
	}
	if said {
		c.fail("who is stuck does not lead", "node %d, stuck in term %d, sends %T in it", from, silent, e.Message)
	}
}
