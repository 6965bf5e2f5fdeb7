package stage

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
)

// A Dropped message wants to know when it was thrown away unread, so that whoever waits for its outcome is answered.
//
// Dropped is called exactly once, instead of a delivery, if the message was queued in the mailbox of an actor when it stopped,
// or was posted to that mailbox later by somebody who still held it. It is called after the actor's *actor.Stopped, on the goroutine
// of the mailbox's turn or of the sender; it must not block, and its panics are logged only. Messages to an actor that is no
// longer registered never reach a mailbox: protoactor publishes them as dead letters, and DropDeadLetters covers those.
//
// It is not called for a message whose handler panicked, since that one was delivered, nor on a node that was halted.
type Dropped interface{ Dropped() }

// DropDeadLetters calls Dropped on the dead letters of a system, on the sender's goroutine, until stop is called. With it every message
// sent to an actor of a stage is either delivered or dropped.
func DropDeadLetters(system *actor.ActorSystem) (stop func()) {
	subscription := system.EventStream.Subscribe(func(event any) {
		if letter, ok := event.(*actor.DeadLetterEvent); ok {
			drop(letter.Message)
		}
	})
	return func() { system.EventStream.Unsubscribe(subscription) }
}

// registered is the process that the actor's name leads to, nil if none.
func (m *mailbox) registered() actor.Process {
	ctx, ok := m.invoker.(actor.Context)
	if !ok {
		return nil
	}
	process, ok := ctx.ActorSystem().ProcessRegistry.GetLocal(ctx.Self().GetId())
	if !ok {
		return nil
	}
	return process
}

// bury drops what is queued once the actor has stopped. That shows in the registry: the name is gone, or another's.
func (m *mailbox) bury() {
	if m.own == nil || m.registered() == m.own {
		return
	}
	m.mu.Lock()
	if m.dead {
		m.mu.Unlock()
		return
	}
	m.dead = true
	rest := [...]queue{m.batch, m.inbox}
	m.batch, m.inbox, m.inboxed = queue{}, queue{}, 0
	m.unread.Store(0)
	m.mu.Unlock()
	if m.node != nil {
		m.node.forget(m)
	}
	for _, q := range rest {
		for !q.empty() {
			m.discard(q.pop())
		}
	}
}

// discard throws a message away. An actor that asked gets the answer that it would get for a dead letter, unless the message sees to that itself.
func (m *mailbox) discard(message any) {
	drop(message)
	env, asked := message.(*actor.MessageEnvelope)
	ctx, ok := m.invoker.(actor.Context)
	if !asked || !ok || env.Sender == nil {
		return
	}
	if _, itself := env.Message.(Dropped); !itself {
		ctx.ActorSystem().Root.Send(env.Sender, &actor.DeadLetterResponse{Target: ctx.Self()})
	}
}

// drop tells a message that nobody will read it.
func drop(message any) {
	if env, ok := message.(*actor.MessageEnvelope); ok {
		message = env.Message
	}
	d, ok := message.(Dropped)
	if !ok {
		return
	}
	defer func() {
		if reason := recover(); reason != nil {
			logPanic(nil, "Dropped panicked", reason, "message", fmt.Sprintf("%T", message))
		}
	}()
	d.Dropped()
}
