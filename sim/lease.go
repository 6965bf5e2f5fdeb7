package sim

import (
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// watchesLeases reports whether a run has a program that reads by the lease from everybody who believes to lead. Clients with one request at a
// time are hardly ever there: whoever waits for a write of a leader that was cut off reads nothing from it.
func (c Config) watchesLeases() bool { return !c.Quiet && c.Clients >= 0 && c.Seed%3 == 2 }

// readByLease asks once, where the last question has its answer, and goes on a moment later.
func (s *Sim) readByLease() {
	if s.finished {
		return
	}
	for _, id := range s.ids {
		if l := s.nodes[id].life; l != nil && l.group != nil && l.view.role == raft.Leader {
			s.leaseRead(l)
		}
	}
	s.clock.AfterFunc(time.Millisecond+time.Duration(s.leases.Int64N(int64(heartbeats))), s.readByLease)
}

// leaseRead asks a node by its lease, unless the last question has no answer yet.
func (s *Sim) leaseRead(l *life) {
	if l.leaseAsked {
		return
	}
	l.leaseAsked = true
	committed := raft.Index(len(s.check.log))
	l.ask(&actors.Read{Lease: true}, func(answer any) {
		l.leaseAsked = false
		if point, ok := answer.(*actors.ReadPoint); ok {
			s.count("read by lease alone")
			s.check.reads(l, point.Index, committed)
			l.readAt(true)
		}
	})
}
