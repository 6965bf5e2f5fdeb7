package stage

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// keptCapacity is the largest queue, in messages, whose memory is kept after a burst.
const keptCapacity = 4096

// A mailbox is unbounded, for many senders and one reader. The reader takes all that waits at once, so a burst costs one lock.
// System messages go first.
type mailbox struct {
	drained    bool
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher

	mu        sync.Mutex
	user      []any
	system    []any
	open      bool // handlers are registered
	scheduled bool
	dead      bool // the actor has stopped

	waiting atomic.Int64 // user messages not yet delivered
	systems atomic.Int32

	// The reader's own.
	batch     []any
	next      int
	suspended bool
	worked    bool // a user message was delivered since the last *Drained
}

// PostUserMessage implements actor.Mailbox. A MessageBatch is taken apart.
func (m *mailbox) PostUserMessage(message any) {
	if batch, ok := message.(actor.MessageBatch); ok {
		for _, msg := range batch.GetMessages() {
			m.PostUserMessage(msg)
		}
		return
	}
	m.mu.Lock()
	if m.dead {
		m.mu.Unlock()
		drop(message)
		return
	}
	m.user = append(m.user, message)
	m.waiting.Add(1)
	m.wake()
}

// PostSystemMessage implements actor.Mailbox.
func (m *mailbox) PostSystemMessage(message any) {
	m.mu.Lock()
	m.system = append(m.system, message)
	m.systems.Add(1)
	m.wake()
}

// wake schedules a turn unless one is under way, and unlocks.
func (m *mailbox) wake() {
	schedule := m.open && !m.scheduled
	m.scheduled = m.scheduled || schedule
	m.mu.Unlock()
	if schedule {
		m.dispatcher.Schedule(m.process)
	}
}

// RegisterHandlers implements actor.Mailbox. Messages that came before wait.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.mu.Lock()
	m.invoker, m.dispatcher, m.open = invoker, dispatcher, true
	m.mu.Unlock()
}

// Start implements actor.Mailbox.
func (m *mailbox) Start() {
	m.mu.Lock()
	if len(m.user)+len(m.system) == 0 {
		m.mu.Unlock()
		return
	}
	m.wake()
}

// UserMessageCount implements actor.Mailbox.
func (m *mailbox) UserMessageCount() int { return int(m.waiting.Load()) }

// process is one turn: until the mailbox rests.
func (m *mailbox) process() {
	for !m.run() {
	}
}

// run delivers until there is nothing to deliver (true) or the actor panicked (false: run again).
func (m *mailbox) run() (resting bool) {
	var message any
	defer func() {
		if reason := recover(); reason != nil {
			m.invoker.EscalateFailure(reason, message)
		}
	}()
	for i := 1; ; i++ {
		if i%throughput == 0 {
			runtime.Gosched()
		}
		var more bool
		if message, more = m.pick(); !more {
			return true
		}
		m.deliver(message)
	}
}

// pick chooses the next message. It marks the mailbox as resting when it finds none.
func (m *mailbox) pick() (message any, more bool) {
	if m.systems.Load() == 0 && !m.suspended {
		if m.next < len(m.batch) {
			return m.takeNext(), true
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case len(m.system) > 0:
		message = m.system[0]
		m.system[0] = nil
		m.system = m.system[1:]
		m.systems.Add(-1)
		return systemMessage{message}, true
	case m.suspended:
	case m.next < len(m.batch):
		return m.takeNext(), true
	case len(m.user) > 0:
		m.swap()
		return m.takeNext(), true
	case m.drained && m.worked && !m.dead:
		return drainedMessage, true
	}
	m.scheduled = false
	return nil, false
}

// systemMessage marks what came through the system queue.
type systemMessage struct{ message any }

func (m *mailbox) takeNext() any {
	message := m.batch[m.next]
	m.batch[m.next] = nil
	m.next++
	m.waiting.Add(-1)
	return message
}

// swap takes all that waits. Called with the lock held and the batch used up.
func (m *mailbox) swap() {
	spare := m.batch[:0]
	if cap(spare) > keptCapacity {
		spare = nil
	}
	m.batch, m.user, m.next = m.user, spare, 0
}

func (m *mailbox) deliver(message any) {
	if s, ok := message.(systemMessage); ok {
		m.deliverSystem(s.message)
		return
	}
	m.worked = message != any(drainedMessage)
	m.invoker.InvokeUserMessage(message)
}

func (m *mailbox) deliverSystem(message any) {
	switch message.(type) {
	case *actor.SuspendMailbox:
		m.suspended = true
	case *actor.ResumeMailbox:
		m.suspended = false
	default:
		m.invoker.InvokeSystemMessage(message)
		m.bury()
	}
}

// bury drops what is queued once the actor has stopped, which shows in the registry.
func (m *mailbox) bury() {
	ctx, ok := m.invoker.(actor.Context)
	if !ok || m.dead || ctx.Self() == nil {
		return
	}
	if _, alive := ctx.ActorSystem().ProcessRegistry.GetLocal(ctx.Self().Id); alive {
		return
	}
	m.mu.Lock()
	m.dead = true
	rest := append(m.batch[m.next:len(m.batch):len(m.batch)], m.user...)
	m.batch, m.user, m.next = nil, nil, 0
	m.mu.Unlock()
	m.waiting.Store(0)
	for _, message := range rest {
		drop(message)
	}
}

// drop tells a message that nobody will read it.
func drop(message any) {
	if env, ok := message.(*actor.MessageEnvelope); ok {
		message = env.Message
	}
	if d, ok := message.(Dropped); ok {
		d.Dropped()
	}
}
