package stage

import (
	"container/heap"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Seeded is a deterministic stage. Nothing runs until the driver calls Step, Run or Advance, and then it runs on the driver's
// goroutine: one message of one mailbox at a time, drawn from the seed, in virtual time. The same seed gives the same order, as long
// as all that is sent comes from the driver, from actors of the stage and from its timers. Others may send too, at the price of the determinism;
// so do protoactor's Futures, ReenterAfter and receive timeouts, which go by the machine's clock.
//
// One goroutine drives. A handler may drive in turn; its own actor then waits. A handler that blocks, blocks the driver.
type Seeded struct {
	seed uint64
	root *Node

	mu       sync.Mutex
	rand     *rand.Rand
	now      time.Duration
	cost     time.Duration
	turns    []turn
	timers   timerHeap
	created  uint64 // timers
	steps    uint64
	nodes    map[string]uint64 // how often each was made
	alive    []*Node           // the root, and those that were not halted
	observer func(Delivery)
	saboteur func(Delivery) any
}

// A turn is something that can run now: one message of a mailbox, or a function that somebody else's mailbox scheduled.
type turn struct {
	box  *mailbox
	fn   func()
	node *Node
}

// A Delivery is one step of a seeded stage: a message, or a timer, when Actor is empty and Message nil.
type Delivery struct {
	Step    uint64        // from 1
	At      time.Duration // the stage's time, without any node's skew
	Node    string        // empty outside of nodes
	Actor   string        // id of the PID
	Message any           // without its envelope; of protoactor's own, system messages included
	To      actor.Actor   // what the Props of this package produced; nil for timers and for actors of other Props
}

// NewSeeded opens a stage whose time begins at 0 and that has no node yet.
func NewSeeded(seed uint64) *Seeded {
	s := &Seeded{seed: seed, rand: rand.New(rand.NewPCG(seed, mix(seed, "order"))), nodes: map[string]uint64{}}
	s.root = &Node{stage: s, rate: 1, calls: map[string]uint64{}}
	s.alive = []*Node{s.root}
	return s
}

// Clock is the stage's own, without skew.
func (s *Seeded) Clock() Clock { return s.root.Clock() }

// Rand is derived from the seed, the name and how often that name was asked for.
func (s *Seeded) Rand(name string) *rand.Rand { return s.root.Rand(name) }

// Dispatcher is for mailboxes of another make: what they schedule runs as one step.
func (s *Seeded) Dispatcher() actor.Dispatcher { return s.root.Dispatcher() }

// Mailbox implements Stage.
func (s *Seeded) Mailbox(drainedAfter int) actor.MailboxProducer {
	return s.root.Mailbox(drainedAfter)
}

// Close implements Stage. A seeded stage has no worker to end.
func (s *Seeded) Close() {}

// SetCost lets each delivery take a random time below max, so that timers fall due while messages wait and compete with them. With 0, the
// default, messages take no time, and timers fire only when no message waits.
func (s *Seeded) SetCost(max time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cost = max
}

// Spend lets the handler that runs take so long: time passes on all nodes, whose messages and timers have to wait for their turns anyway.
func (s *Seeded) Spend(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now += max(d, 0)
}

// Observe calls f before every step, on the driver's goroutine.
func (s *Seeded) Observe(f func(Delivery)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observer = f
}

// Sabotage has f decide, before every message that an actor is about to get, whether its handler panics instead: with what f returns,
// unless that is nil; *Drained counts as a message, too. A nil f ends it. f runs on the driver's goroutine.
func (s *Seeded) Sabotage(f func(Delivery) any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saboteur = f
}

// Waiting is how many messages lie in all mailboxes, those of suspended actors and protoactor's own messages included.
func (s *Seeded) Waiting() (messages int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.alive {
		for _, box := range n.boxes {
			messages += box.UserMessageCount() + int(box.systems.Load())
		}
	}
	return messages
}

// EachWaiting calls f for each of these messages, actor by actor in the order that they were spawned in on their node. It is for the
// driver's goroutine; f must not use the stage. The Delivery's step is 0.
func (s *Seeded) EachWaiting(f func(Delivery)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.alive {
		for _, box := range n.boxes {
			if box.UserMessageCount() > 0 || box.systems.Load() > 0 {
				id, to := box.owner()
				box.each(Delivery{At: s.now, Node: n.name, Actor: id, To: to}, f)
			}
		}
	}
}

// Steps is how many steps were taken.
func (s *Seeded) Steps() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.steps
}

// Step delivers one message of one mailbox drawn from the seed. If no message waits, time advances to the next timer and that fires.
// False: nothing was left to do.
func (s *Seeded) Step() bool { return s.step(1<<63 - 1) }

// Run steps until the condition holds, and reports whether it does. It gives up after maxSteps or when nothing is left. A nil
// condition means that nothing is left.
func (s *Seeded) Run(until func() bool, maxSteps int) bool {
	for i := 0; ; i++ {
		switch {
		case until != nil && until():
			return true
		case i >= maxSteps:
			return false
		case !s.Step():
			return until == nil || until()
		}
	}
}

// Advance does all that happens within d and lets the time pass. It does not return while actors keep sending without end.
func (s *Seeded) Advance(d time.Duration) {
	s.mu.Lock()
	end := s.now + d
	s.mu.Unlock()
	for s.step(end) {
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = max(s.now, end)
}

// step is Step, but for timers later than end.
func (s *Seeded) step(end time.Duration) bool {
	s.mu.Lock()
	candidates := len(s.turns)
	if candidates > 0 && s.cost > 0 {
		s.now += time.Duration(s.rand.Int64N(int64(s.cost)))
		if len(s.timers) > 0 && s.timers[0].at <= s.now {
			candidates++
		}
	}
	if candidates == 0 {
		if len(s.timers) == 0 || s.timers[0].at > end {
			s.mu.Unlock()
			return false
		}
		s.fire()
		return true
	}
	i := s.rand.IntN(candidates)
	if i == len(s.turns) {
		s.fire()
		return true
	}
	t := s.turns[i]
	last := len(s.turns) - 1
	s.turns[i], s.turns[last] = s.turns[last], turn{}
	s.turns = s.turns[:last]
	s.take(t)
	return true
}

// fire runs the next timer's function. It is called with the lock held, and unlocks.
func (s *Seeded) fire() {
	t := heap.Pop(&s.timers).(*seededTimer)
	s.now = max(s.now, t.at)
	s.observe(Delivery{Node: t.node.name})
	t.f()
}

// take runs a turn. It is called with the lock held, and unlocks.
func (s *Seeded) take(t turn) {
	if t.fn != nil {
		s.observe(Delivery{Node: t.node.name})
		t.fn()
		return
	}
	message, what := t.box.next()
	content := unwrap(message)
	sabotage := s.saboteur
	id, to := t.box.owner()
	d := s.observe(Delivery{Node: t.node.name, Actor: id, Message: content, To: to})
	var bomb any
	if sabotage != nil && (what == userMessage || what == drainedSignal) {
		bomb = sabotage(d)
	}
	t.box.one(message, what, bomb)
}

// observe counts the step and shows it. It is called with the lock held, and unlocks.
func (s *Seeded) observe(d Delivery) Delivery {
	s.steps++
	d.Step, d.At = s.steps, s.now
	f := s.observer
	s.mu.Unlock()
	if f != nil {
		f(d)
	}
	return d
}

// one delivers one message, or panics with the bomb, after which the mailbox rests or waits for its next turn.
func (m *mailbox) one(message any, what kind, bomb any) {
	defer func() {
		m.mu.Lock()
		m.scheduled = m.pending() != nothing
		more := m.scheduled
		m.mu.Unlock()
		if more {
			m.node.ready(turn{box: m})
		}
	}()
	defer func() {
		if reason := recover(); reason != nil {
			m.escalate(reason, message)
		}
	}()
	if bomb != nil {
		panic(bomb)
	}
	m.deliver(message, what)
}

// each shows what lies in the mailbox.
func (m *mailbox) each(d Delivery, f func(Delivery)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, q := range [...]queue{m.system, m.batch, m.inbox} {
		for c := q.head; c != nil; c = c.next {
			for _, message := range c.messages[c.read:c.written] {
				d.Message = unwrap(message)
				f(d)
			}
		}
	}
}

func unwrap(message any) any {
	if env, ok := message.(*actor.MessageEnvelope); ok {
		return env.Message
	}
	return message
}

// owner is whose mailbox this is: the id of the PID, and the actor inside of the guard.
func (m *mailbox) owner() (string, actor.Actor) {
	ctx, ok := m.invoker.(actor.Context)
	if !ok {
		return "", nil
	}
	switch g := ctx.Actor().(type) {
	case *guard:
		return ctx.Self().GetId(), g.actor
	case *supervisingGuard:
		return ctx.Self().GetId(), g.actor
	}
	return ctx.Self().GetId(), nil
}

// mix derives a number from the seed and names.
func mix(seed uint64, names ...string) uint64 {
	h := fnv.New64a()
	for shift := 0; shift < 64; shift += 8 {
		h.Write([]byte{byte(seed >> shift)})
	}
	for _, name := range names {
		h.Write([]byte(name))
		h.Write([]byte{0})
	}
	return h.Sum64()
}
