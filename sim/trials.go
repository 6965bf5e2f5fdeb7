package sim

import (
	"errors"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// Trials come last, when all faults are over and everybody has converged: what a healthy group must bear, one thing at a time. Amid other faults
// nobody could say whether it had to.

// overloaders is how many programs have a proposal each, and repeat it at once as long as the group is busy. They send more than a leader's
// mailbox empties.
const overloaders = 150

// Within this time so many of theirs are committed at least, where a group takes one at a time and refuses all others at once, which costs it
// most of its time. A group that commits when nothing else comes commits none.
const (
	overloaded = 500 * time.Millisecond
	fewCommits = 5
)

// trials plays one of them, unless links are down for good: then it depends on which whether somebody else can lead.
func (s *Sim) trials() {
	if len(s.cfg.Broken) > 0 || s.leader() == nil {
		return
	}
	switch s.cfg.Seed % 3 {
	case 0:
		s.replaceStuck()
	case 1:
		s.overload()
	case 2:
		s.cutOff()
	}
}

// replaceStuck: when a leader's state machine hangs while those of others go on, another leads soon after the limit.
func (s *Sim) replaceStuck() {
	old := s.leader()
	if !s.replaceable(old) {
		return
	}
	s.count("trial: a leader's state machine hangs")
	within := s.applyStall()*3/2 + longestTimeout + time.Second + 2*s.turnStall()
	s.hang(old, "applier.applier", 2*within)
	var offer func()
	offer = func() {
		if s.leader() == old {
			old.life.puts("trial", func(error) {})
			s.clock.AfterFunc(handful, offer)
		}
	}
	offer()
	s.demand(within, "a leader whose state machine hangs is replaced", func() bool { l := s.leader(); return l != nil && l != old })
	old.spare()
}

// replaceable reports whether another one can lead.
func (s *Sim) replaceable(leader *node) bool {
	for _, id := range leader.life.view.members.Voters {
		if n := s.nodes[id]; n != nil && n != leader && n.life != nil && n.life.running() && s.votes(id) && s.connected(leader.id, id) && n.life.view.commit == leader.life.view.commit {
			return true
		}
	}
	return false
}

// overload: a group that is offered more than it takes goes on committing.
func (s *Sim) overload() {
	leader := s.leader()
	s.count("trial: overload")
	acked, over := 0, false
	var offer func()
	offer = func() {
		if over {
			return
		}
		leader.life.puts("trial", func(err error) {
			if err == nil {
				acked++
			}
			if err == nil || errors.Is(err, actors.ErrBusy) {
				offer()
			}
		})
	}
	for range overloaders {
		offer()
	}
	s.demand(overloaded, "an overloaded group goes on committing", func() bool { return acked >= fewCommits })
	over = true
}

// cutOff: a leader that is cut off answers nobody what others have overtaken. Where nodes differ in their election timeouts it is one that would wait
// longest before it replaced another.
func (s *Sim) cutOff() {
	slowest := s.leader()
	for _, id := range slowest.life.view.members.Voters {
		if n := s.nodes[id]; n != nil && n.life != nil && n.life.running() && s.votes(id) && s.connected(slowest.id, id) && n.timeout.Min > slowest.timeout.Min {
			slowest = n
		}
	}
	if slowest != s.leader() {
		s.operate(Fault{Kind: Transfer, A: slowest.id})
	}
	leads := func() bool { return s.leader() == slowest && slowest.life.holdsLease() }
	if !s.within(longestTimeout, leads) || !quorum(slowest.life.view.members, func(id raft.NodeID) bool { return id != slowest.id && s.votes(id) }) {
		return
	}
	s.count("trial: a leader is cut off")
	s.disturb(Fault{Kind: Isolate, A: slowest.id, For: 2 * longestTimeout})
	for began := s.clock.Now(); s.clock.Now() < began+2*longestTimeout && s.check.first == nil && !s.ended(); {
		s.leaseRead(slowest.life)
		s.within(time.Millisecond, func() bool { return false })
	}
}
