package sim

import (
	"context"
	"errors"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/kv"
)

// Programs call back: from Apply and as subscribers of events they ask the group that called them. They do so by message, as actors do, and
// have their answers later. What they write nobody reads: that it is in the log when it is acknowledged, and not when it is refused, is checked.

// calls has a program ask the group of a life from within a callback, now and then.
func (l *life) calls(from string) {
	s := l.node.sim
	if !s.cfg.chatty() || s.finished || l.group == nil || s.chat.IntN(16) != 0 {
		return
	}
	s.count("call from " + from)
	if s.chat.IntN(4) == 0 {
		l.ask(&actors.Read{Lease: s.chat.IntN(2) == 0}, func(any) {})
		return
	}
	l.puts("callback", func(error) {})
}

// asksInVain has a program ask the group from within its own state machine, as if it would wait for the answer. The context is over already: a
// call that is not refused for where it comes from must not wait here, where nothing goes on meanwhile.
func (l *life) asksInVain(from string) {
	s := l.node.sim
	if !s.cfg.chatty() || s.finished || l.group == nil {
		return
	}
	s.count("wait within " + from)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.group.Propose(over, nil); !errors.Is(err, actors.ErrWithinApply) {
		s.check.fail("what would wait for itself is refused", "node %d: %v, within %s", l.node.id, err, from)
	}
}

// onItsOwn: subscribers may block, so whoever calls them has nothing else to do.
func (s *Sim) onItsOwn(event any) {
	if caller := nameOf(s.turning); s.handling && caller != "actors.publisher" {
		s.check.fail("subscribers have an actor of their own", "%s is told by %s", nameOf(event), caller)
	}
}

// chatty runs are those whose callbacks call back.
func (c Config) chatty() bool { return !c.Quiet && c.Clients >= 0 && c.Seed%4 == 1 }

// byFunctions has the replicas of some runs made of three functions instead of a StateMachine.
func (c Config) byFunctions() bool { return c.Seed%5 == 2 }

// callbacks gives a configuration its state machine, in either of the ways that there are.
func (l *life) callbacks(cfg *actors.GroupConfig) {
	if !l.node.sim.cfg.byFunctions() {
		cfg.StateMachine = l.newMachine
		return
	}
	m := &machine{life: l, kv: kv.NewStore()}
	l.machine = m
	cfg.Apply, cfg.Snapshot, cfg.Restore = m.Apply, m.Snapshot, m.Restore
}

// fewEvents is what never waits at once for a subscriber that is quick.
const fewEvents = 64

// deafened: events of a host were dropped, as a subscriber was slow or there was room for few. From here on nobody knows from events what became
// of its replicas.
func (s *Sim) deafened(e *actors.EventsDropped) {
	s.count("events dropped")
	if room := s.host().EventQueue; (room == 0 || room > fewEvents) && s.counts["hang of actors.publisher"] == 0 && s.counts["fault pause"] == 0 {
		s.check.fail("events are dropped only when a subscriber is slow", "node %d dropped %d", e.Node, e.Count)
	}
	if l := s.nodes[e.Node].life; l != nil {
		l.deaf = true
	}
}

// down reports whether the replica is down for good, as far as can be known.
func (l *life) down() bool {
	if l.failed != nil {
		return true
	}
	status := l.group.Status()
	return l.deaf && status.Stopped && status.Err != nil
}
