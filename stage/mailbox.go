package stage

import (
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// A mailbox is unbounded, for many senders and one reader. The reader takes all that waits at once, so a burst costs it one
// lock. System messages go first. A panic in the handler, in *Drained too, is escalated and the reader goes on.
type mailbox struct {
	drainedAfter int   // messages at the most between two *Drained; 0: none is delivered
	node         *Node // where its turns are drawn; nil: they go to the dispatcher
	held         bool  // its turns are not drawn: Node.Hold. This and the next are under the stage's lock
	waits        bool  // it would have a turn

	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	process    func() // m.drain, kept so that a wake allocates nothing

	mu        sync.Mutex
	system    queue
	inbox     queue
	inboxed   int
	open      bool // Started is queued
	scheduled bool // the reader runs, or will
	suspended bool // written by the reader only
	dead      bool // the actor has stopped

	systems atomic.Int32 // in system, so that the reader need not lock to see that there are none
	unread  atomic.Int64 // in batch

	// The reader's own.
	batch    queue
	worked   int  // user messages delivered since the last *Drained
	stopping bool // *actor.Stop was delivered
	own      actor.Process
}

type kind uint8

const (
	nothing kind = iota
	systemMessage
	userMessage
	drainedSignal
)

// PostUserMessage implements actor.Mailbox. As with protoactor's own, what is in a MessageBatch comes before the batch itself.
func (m *mailbox) PostUserMessage(message any) {
	if m.node != nil && m.node.halted.Load() {
		return
	}
	content := message
	if env, ok := message.(*actor.MessageEnvelope); ok {
		content = env.Message
	}
	if batch, ok := content.(actor.MessageBatch); ok {
		for _, part := range batch.GetMessages() {
			m.PostUserMessage(part)
		}
	}
	m.mu.Lock()
	if m.dead {
		m.mu.Unlock()
		m.discard(message)
		return
	}
	m.inbox.push(message)
	m.inboxed++
	m.wake()
}

// PostSystemMessage implements actor.Mailbox.
func (m *mailbox) PostSystemMessage(message any) {
	if m.node != nil && m.node.halted.Load() {
		return
	}
	m.mu.Lock()
	m.system.push(message)
	m.systems.Add(1)
	m.wake()
}

// RegisterHandlers implements actor.Mailbox.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.invoker, m.dispatcher, m.process = invoker, dispatcher, m.drain
}

// Start implements actor.Mailbox. Only now may turns begin: whoever guessed the actor's name could have posted before *actor.Started.
func (m *mailbox) Start() {
	m.mu.Lock()
	m.open = true
	m.wake()
}

// UserMessageCount implements actor.Mailbox.
func (m *mailbox) UserMessageCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inboxed + int(m.unread.Load())
}

// wake schedules a turn if one is needed and none is under way, and unlocks.
func (m *mailbox) wake() {
	wake := m.open && !m.scheduled && (!m.system.empty() || !m.suspended && !m.inbox.empty())
	if wake {
		m.scheduled = true
	}
	m.mu.Unlock()
	if !wake {
		return
	}
	if m.node != nil {
		m.node.ready(turn{box: m})
	} else {
		m.dispatcher.Schedule(m.process)
	}
}

// drain is one turn on a dispatcher: until the mailbox rests.
func (m *mailbox) drain() {
	for !m.run() {
	}
}

// run delivers until there is nothing to deliver (true) or the actor panicked (false: run again).
func (m *mailbox) run() (rests bool) {
	var message any
	defer func() {
		if rests {
			return
		}
		reason := recover()
		if reason == nil { // runtime.Goexit takes this goroutine with it
			defer m.dispatcher.Schedule(m.process)
			reason = "runtime.Goexit"
		}
		m.escalate(reason, message)
	}()
	throughput := m.dispatcher.Throughput()
	for i := 0; ; i++ {
		if i > throughput {
			i = 0
			runtime.Gosched()
		}
		var what kind
		if message, what = m.next(); what == nothing {
			return true
		}
		m.deliver(message, what)
	}
}

// escalate tells the supervisor. If supervision panics too, the actor stops: left suspended it would be stranded.
func (m *mailbox) escalate(reason, message any) {
	defer func() {
		if second := recover(); second != nil {
			m.log().Error("supervision panicked; the actor stops", "reason", second, "failure", reason)
			m.PostSystemMessage(&actor.Stop{})
		}
	}()
	m.invoker.EscalateFailure(reason, message)
}

func (m *mailbox) log() *slog.Logger {
	if ctx, ok := m.invoker.(actor.Context); ok {
		return ctx.Logger().With("actor", ctx.Self().GetId())
	}
	return slog.Default()
}

// next chooses what to deliver. It marks the mailbox as resting when it finds nothing.
func (m *mailbox) next() (message any, what kind) {
	if m.systems.Load() == 0 && !m.suspended && !m.batch.empty() {
		if m.drainedAfter > 0 && m.worked >= m.drainedAfter {
			return theDrained, drainedSignal
		}
		m.unread.Add(-1)
		return m.batch.pop(), userMessage
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch what = m.pending(); what {
	case systemMessage:
		m.systems.Add(-1)
		return m.system.pop(), what
	case userMessage:
		if m.batch.empty() {
			m.batch, m.inbox = m.inbox, queue{}
			m.unread.Store(int64(m.inboxed))
			m.inboxed = 0
		}
		m.unread.Add(-1)
		return m.batch.pop(), what
	case drainedSignal:
		return theDrained, what
	}
	m.scheduled = false
	return nil, nothing
}

// pending says what comes next. It is called with the lock held, by the reader.
func (m *mailbox) pending() kind {
	switch {
	case !m.system.empty():
		return systemMessage
	case m.suspended:
		return nothing
	case m.drainedAfter > 0 && m.worked >= m.drainedAfter && !m.dead:
		return drainedSignal
	case !m.batch.empty() || !m.inbox.empty():
		return userMessage
	case m.drainedAfter > 0 && m.worked > 0 && !m.dead:
		return drainedSignal
	}
	return nothing
}

func (m *mailbox) deliver(message any, what kind) {
	switch what {
	case systemMessage:
		m.deliverSystem(message)
	case userMessage:
		m.worked++
		m.invoker.InvokeUserMessage(message)
	case drainedSignal:
		m.worked = 0
		m.invoker.InvokeUserMessage(message)
	}
}

func (m *mailbox) deliverSystem(message any) {
	switch message.(type) {
	case *actor.SuspendMailbox:
		m.suspend(true)
	case *actor.ResumeMailbox:
		m.suspend(false)
	case *actor.Restart:
		// A restart that was on its way when the actor stopped would resurrect it.
		if !m.stopping {
			m.invoker.InvokeSystemMessage(message)
		}
	case *actor.Stop:
		if m.own == nil {
			m.own = m.registered()
		}
		defer m.bury()
		m.invoker.InvokeSystemMessage(message)
		m.stopping = true
	case *actor.Terminated: // of the last child, for which the stop waited
		defer m.bury()
		m.invoker.InvokeSystemMessage(message)
	default:
		m.invoker.InvokeSystemMessage(message)
	}
}

func (m *mailbox) suspend(suspended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.suspended = suspended
}
