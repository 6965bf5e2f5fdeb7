package sim

import (
	"errors"
	"time"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Nodes greet with the start that they are, and look at who greets them, as remote's connections have them do (docs/decisions/0021): whatever a
// node sends comes with its greeting, and whoever is not connected to that start judges it first.

// Times of calls.
const (
	redial    = 100 * time.Millisecond // between two calls of a node to another that has not answered
	stillBusy = 5 * time.Millisecond   // until a suspended node is tried again
)

// A hello is what a node says of itself when it calls.
type hello struct {
	caller  *life
	self    raft.Incarnation
	counted bool
	known   raft.Acquaintance // what it knows of the called
}

// ended reports whether the caller is not there any more as who it said it is.
func (h *hello) ended() bool {
	return h.caller.node.life != h.caller || h.caller.transport.guard.Self() != h.self
}

// SetGuard implements remote.Guarded.
func (t *transport) SetGuard(g remote.Guard) { t.guard = g }

// hello greets a node. Without a guard nobody greets. False: nothing is sent.
func (t *transport) hello(to raft.NodeID) (*hello, bool) {
	if t.guard == nil {
		return nil, true
	}
	if t.net.sim.clock.Now() < t.paused[to] {
		return nil, false
	}
	self, err := t.guard.Speak()
	if err != nil {
		return nil, false
	}
	return &hello{t.life, self, t.guard.Counted(), t.guard.Known(to)}, true
}

// Greet calls a node until that has answered: it is to know of this start.
func (t *transport) Greet(to raft.NodeID) {
	if t.guard == nil || !t.known(to) || t.calling[to] {
		return
	}
	t.calling[to] = true
	t.call(to)
}

// GreetAgain calls everybody anew: this node is not who it was.
func (t *transport) GreetAgain() {
	clear(t.up)
	clear(t.paused)
	t.net.sim.clock.AfterFunc(0, func() { // whoever says so is in the middle of something
		for _, id := range t.net.sim.ids {
			t.Greet(id)
		}
	})
}

// end ends the connection of a node, which calls anew.
func (t *transport) end(from raft.NodeID) {
	delete(t.callers, from)
	l, me := t.net.sim.nodes[from].life, t.life
	if l == nil || l.transport.up[me.node.id] != me {
		return
	}
	delete(l.transport.up, me.node.id)
	t.net.sim.clock.AfterFunc(0, func() { l.transport.Greet(me.node.id) })
}

func (t *transport) call(to raft.NodeID) {
	s := t.net.sim
	switch {
	case t.life.node.life != t.life:
		return
	case t.connected(to):
		t.calling[to] = false
		return
	}
	if h, ok := t.hello(to); ok {
		t.net.ring(t.link(to), h)
	}
	s.clock.AfterFunc(redial, func() { t.call(to) })
}

// connected reports whether the present life of a node has let this start in.
func (t *transport) connected(to raft.NodeID) bool {
	l := t.net.sim.nodes[to].life
	return l != nil && t.up[to] == l
}

// ring brings a greeting on its way, with nothing else. It may be late.
func (n *network) ring(l Link, h *hello) {
	w := n.weather(l, nil)
	if w.Cut || n.sim.shielded(l) || !h.caller.transport.reaches(l.To) {
		return
	}
	delay := w.Delay
	if w.Jitter > 0 {
		delay += time.Duration(n.rand.Int64N(int64(w.Jitter)))
	}
	if w.Late > 0 && n.rand.Float64() < 10*w.Late { // it waits to be accepted
		delay += time.Duration(n.rand.Int64N(int64(latest)))
	}
	n.sim.clock.AfterFunc(delay, func() { n.greets(l, h) })
}

// greets has the called judge a greeting, once it is not suspended.
func (n *network) greets(l Link, h *hello) {
	to := n.sim.nodes[l.To].life
	switch {
	case to == nil || to.deliver == nil || n.weather(l, nil).Cut || n.sim.shielded(l):
	case to.pauses > 0:
		n.sim.count("a greeting waits for a suspended node")
		n.sim.clock.AfterFunc(stillBusy, func() { n.greets(l, h) })
	case to.transport.admits(l.From, h):
		if to.transport.learn(l.From); !to.transport.connected(l.From) {
			to.transport.Greet(l.From)
		}
	}
}

var standings = [...]string{"unmet", "same", "next", "wiped", "older", "cloned"}

// hears reports whether this node hears what came with a greeting. What waits for a suspended node to judge it is not waited for.
func (t *transport) hears(from raft.NodeID, h *hello) bool {
	if in, there := t.callers[from]; h == nil || there && in == h.self {
		return true
	}
	return t.life.pauses == 0 && t.admits(from, h)
}

// admits judges a greeting, and reports whether its connection is let in.
func (t *transport) admits(from raft.NodeID, h *hello) bool {
	if in, there := t.callers[from]; there && in == h.self {
		return true
	}
	s := t.net.sim
	standing, err := t.guard.Greeted(from, remote.Call{Incarnation: h.self, Counted: h.counted}, prober{t, from, h})
	if err != nil {
		s.count("greeting refused: " + standings[standing])
		t.answer(h, standing, err)
		return false
	}
	self := t.guard.Self()
	if judged := h.known.Judge(self, false); !judged.Counts() {
		t.guard.Judged(from, h.self, self, judged)
	}
	if !standing.Counts() {
		s.count("greeting does not count: " + standings[standing])
	}
	if h.ended() {
		s.count("greeting of a start that has ended")
	}
	t.callers[from] = h.self
	t.guard.Entered(from, h.self, standing)
	t.learnOwn(h, standing)
	t.answer(h, standing, nil)
	return true
}

// answer tells a caller what became of its call, unless that gets lost.
func (t *transport) answer(h *hello, standing raft.Standing, refused error) {
	n, back := t.net, t.link(h.caller.node.id)
	w := n.weather(back, nil)
	if w.Cut || n.sim.shielded(back) {
		return
	}
	me, judge := t.life, t.guard.Self()
	n.sim.clock.AfterFunc(w.Delay, func() {
		c := h.caller.transport
		if h.ended() || n.weather(back, nil).Cut {
			return
		}
		in, there := me.transport.callers[h.caller.node.id]
		switch {
		case refused == nil && there && in == h.self:
			c.up[back.From] = me
		case refused == nil: // it has hung up meanwhile, which no caller misses
			n.sim.count("a connection ends before its greeting is answered")
			n.sim.clock.AfterFunc(0, func() { c.Greet(back.From) })
		default:
			c.paused[back.From] = n.sim.clock.Now() + redial
		}
		if refused == nil || standing != raft.Unmet {
			c.guard.Judged(back.From, judge, h.self, standing)
		}
	})
}

// A prober finds out who lives. It implements raft.Prober.
type prober struct {
	t    *transport
	from raft.NodeID
	h    *hello
}

var errGone = errors.New("sim: whoever called has gone")

// Caller implements raft.Prober.
func (p prober) Caller() error {
	if p.h.ended() || p.t.net.sim.cut(p.from, p.t.life.node.id) {
		p.t.net.sim.count(lateGreeting)
		return errGone
	}
	return nil
}

// Another implements raft.Prober: of each node there is one at most.
func (p prober) Another() (bool, error) {
	l := p.t.net.sim.nodes[p.from].life
	if l == nil || l.transport == nil || p.t.net.sim.cut(p.from, p.t.life.node.id) {
		delete(p.t.callers, p.from)
		return false, nil
	}
	there := l.transport.guard.Self()
	if in, ok := p.t.callers[p.from]; ok && in != there {
		delete(p.t.callers, p.from)
	}
	return there.Store == p.h.self.Store && there != p.h.self, nil
}

// cut reports whether two nodes cannot ask each other anything now.
func (s *Sim) cut(a, b raft.NodeID) bool {
	l, back := Link{a, b}, Link{b, a}
	return s.net.weather(l, nil).Cut || s.net.weather(back, nil).Cut || s.shielded(l)
}
