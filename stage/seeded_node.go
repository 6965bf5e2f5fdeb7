package stage

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A Node is one machine's view of a seeded stage: its turns and timers are drawn together with all others', but its clock may be wrong
// and it can crash. Make a new one, of the same name, for the machine's next life.
type Node struct {
	stage  *Seeded
	name   string
	life   uint64 // from 1 among those of the name
	halted atomic.Bool

	// Under the stage's lock.
	calls map[string]uint64 // of Rand
	boxes []*mailbox        // in the order that their actors were spawned in, without those that stopped
	// The monotonic clock shows shown+(t-at)*rate at the stage's time t ≥ at.
	at, shown time.Duration
	rate      float64
	ahead     time.Duration // of the calendar, counted from wallOrigin, before the monotonic clock
	still     int           // how many keep the monotonic clock from going on: it shows shown, and the calendar has gone on since at
	// What waits for Thaw.
	frozen     bool
	heldTurns  []turn
	heldTimers []*seededTimer
}

// Node makes a node whose clock runs right, from an origin of its own: the clocks of two nodes cannot be compared.
func (s *Seeded) Node(name string) *Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[name]++
	n := &Node{stage: s, name: name, life: s.nodes[name], rate: 1, calls: map[string]uint64{}, at: s.now}
	n.shown = time.Duration(mix(s.seed, name, strconv.FormatUint(n.life, 10), "origin") % uint64(time.Hour))
	n.ahead = s.now - n.shown
	s.alive = append(s.alive, n)
	return n
}

// Name is what the node was made with.
func (n *Node) Name() string { return n.name }

// SetSkew sets the node's calendar to the true time plus offset, and from there lets all its time pass at the given rate: 1.1 gains
// a tenth. The monotonic clock never jumps. Timers keep what they have left by that clock. It panics unless rate is positive.
func (n *Node) SetSkew(offset time.Duration, rate float64) {
	if !(rate > 0) || math.IsInf(rate, 1) {
		panic(fmt.Sprintf("stage: the clock of node %s cannot run at rate %v", n.name, rate))
	}
	s := n.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	n.shown = n.local(s.now)
	n.at, n.rate = s.now, rate
	n.ahead = s.now + offset - n.shown
	n.retime()
}

// StandStill stops the node's monotonic clock until goOn is called, and its timers with it: as monotonic clocks do while a machine is suspended. Its
// calendar goes on at the true rate. Several may stop it at once.
func (n *Node) StandStill() (goOn func()) {
	s := n.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.still == 0 {
		n.shown, n.at = n.local(s.now), s.now
	}
	n.still++
	n.retime()
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if n.still--; n.still == 0 {
			n.ahead += s.now - n.at
			n.at = s.now
			n.retime()
		}
	})
}

// retime moves the node's timers after its clock changed. It is called with the lock held.
func (n *Node) retime() {
	n.stage.timers.retime(n)
	for _, t := range n.heldTimers {
		t.at = n.when(t.due, n.at)
	}
}

// Halt crashes the node: its mailboxes and timers never run again, and what is sent to them vanishes, unanswered.
// A handler of the node that is running finishes.
func (n *Node) Halt() {
	n.halted.Store(true)
	s := n.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns = slices.DeleteFunc(s.turns, func(t turn) bool { return t.node == n })
	s.alive = slices.DeleteFunc(s.alive, func(other *Node) bool { return other == n })
	s.timers.remove(n)
	n.thaw() // nothing of it: a halted node keeps nothing
}

// Freeze suspends the node, like a process that is stopped or a machine that pauses: until Thaw none of its messages is delivered and none
// of its timers fires. Its clock runs on, and what is sent to it waits. A handler of the node that is running finishes.
func (n *Node) Freeze() {
	s := n.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.frozen || n.halted.Load() {
		return
	}
	n.frozen = true
	s.turns = slices.DeleteFunc(s.turns, func(t turn) bool {
		if t.node == n {
			n.heldTurns = append(n.heldTurns, t)
		}
		return t.node == n
	})
	n.heldTimers = s.timers.remove(n)
	for _, t := range n.heldTimers {
		t.held = true
	}
}

// Thaw lets a frozen node go on. Timers that fell due meanwhile fire next, in the order they were due in, or compete with the messages
// that wait if messages take time.
func (n *Node) Thaw() {
	s := n.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	n.thaw()
}

// thaw is called with the lock held.
func (n *Node) thaw() {
	n.frozen = false
	for _, t := range n.heldTimers {
		if t.held && !n.halted.Load() {
			heap.Push(&n.stage.timers, t)
		}
		t.held = false
	}
	if !n.halted.Load() {
		n.stage.turns = append(n.stage.turns, n.heldTurns...)
	}
	n.heldTurns, n.heldTimers = nil, nil
}

// Each calls f for each actor of the node with the id of its PID, in the order that they were spawned in. f must not use the stage.
func (n *Node) Each(f func(id string, a actor.Actor)) {
	n.stage.mu.Lock()
	defer n.stage.mu.Unlock()
	for _, box := range n.boxes {
		if id, a := box.owner(); a != nil {
			f(id, a)
		}
	}
}

// Run steps the whole stage, as Seeded.Run does.
func (n *Node) Run(until func() bool, maxSteps int) bool { return n.stage.Run(until, maxSteps) }

// Clock implements Stage.
func (n *Node) Clock() Clock { return nodeClock{n} }

// Rand is derived from the seed, the node with its life, the name, and how often it was asked for.
func (n *Node) Rand(name string) *rand.Rand {
	s := n.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	n.calls[name]++
	stream := mix(s.seed, n.name, strconv.FormatUint(n.life, 10), name, strconv.FormatUint(n.calls[name], 10))
	return rand.New(rand.NewPCG(s.seed, stream))
}

// Dispatcher is for mailboxes of another make: what they schedule runs as one step.
func (n *Node) Dispatcher() actor.Dispatcher { return nodeDispatcher{n} }

// Mailbox implements Stage.
func (n *Node) Mailbox(drainedAfter int) actor.MailboxProducer {
	return func() actor.Mailbox {
		m := &mailbox{drainedAfter: drainedAfter, node: n}
		n.stage.mu.Lock()
		defer n.stage.mu.Unlock()
		n.boxes = append(n.boxes, m)
		return m
	}
}

// forget takes a mailbox off the node whose actor has stopped.
func (n *Node) forget(m *mailbox) {
	n.stage.mu.Lock()
	defer n.stage.mu.Unlock()
	n.boxes = slices.DeleteFunc(n.boxes, func(other *mailbox) bool { return other == m })
}

// Close implements Stage. There is no worker to end; Halt crashes.
func (n *Node) Close() {}

// ready adds a turn to those that can be drawn.
func (n *Node) ready(t turn) {
	s := n.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.halted.Load() {
		return
	}
	t.node = n
	switch {
	case t.box != nil && t.box.held:
		t.box.waits = true
	case n.frozen:
		n.heldTurns = append(n.heldTurns, t)
	default:
		s.turns = append(s.turns, t)
	}
}

type nodeDispatcher struct{ node *Node }

func (d nodeDispatcher) Schedule(fn func()) { d.node.ready(turn{fn: fn}) }
func (d nodeDispatcher) Throughput() int    { return throughput }
