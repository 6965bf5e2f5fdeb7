package stage

import (
	"cmp"
	"log/slog"
	"math/rand/v2"

	"github.com/asynkron/protoactor-go/actor"
)

// A Stage is where actors run. All actors of a host share one. Its methods are safe for concurrent use.
type Stage interface {
	Clock() Clock
	// Rand is a random source for the one actor that asked. Live ones are seeded by the system, seeded ones by the seed and the name.
	Rand(name string) *rand.Rand
	Dispatcher() actor.Dispatcher
	// Mailbox produces the mailboxes of this stage. One with drainedAfter above 0 delivers *Drained, as a user message on the actor's own
	// turn, whenever the queue is empty after at least one other user message was delivered since the last *Drained, and at the
	// latest after so many of them.
	Mailbox(drainedAfter int) actor.MailboxProducer
	// Close ends parked workers. Actors that still run finish what they are at. Idempotent.
	Close()
}

// Drained tells an actor that its mailbox ran empty, or that so much has come since the last one that what it batched should go out all the same.
type Drained struct{}

var theDrained = &Drained{}

type options struct {
	drained    int
	supervisor actor.SupervisorStrategy
	log        *slog.Logger
}

// An Option adds to Props.
type Option func(*options)

// DefaultDrainedAfter is how many messages at the most come between two *Drained, unless WithDrained says otherwise.
const DefaultDrainedAfter = 1024

// WithDrained makes the actor's mailbox deliver *Drained when it runs empty, and at the latest after so many messages: senders that never
// pause must not keep back what the actor batched. Zero means DefaultDrainedAfter.
func WithDrained(after int) Option {
	return func(o *options) { o.drained = cmp.Or(max(after, 0), DefaultDrainedAfter) }
}

// WithSupervisor supervises the actor's children; an actor that implements actor.SupervisorStrategy does so itself.
func WithSupervisor(s actor.SupervisorStrategy) Option {
	return func(o *options) { o.supervisor = s }
}

// WithLogger is where panics are reported; default slog.Default().
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// Props makes the Props of an actor that runs on s. A panic in its Receive is logged with its stack and left to supervision,
// except in *actor.Stopping and *actor.Stopped, where it would resurrect or hang the actor: there it is logged only.
func Props(s Stage, produce func() actor.Actor, opts ...Option) *actor.Props {
	o := options{log: slog.Default()}
	for _, opt := range opts {
		opt(&o)
	}
	producer := func() actor.Actor { return guarded(produce(), o.log) }
	props := []actor.PropsOption{actor.WithDispatcher(s.Dispatcher()), actor.WithMailbox(s.Mailbox(o.drained))}
	if o.supervisor != nil {
		props = append(props, actor.WithSupervisor(o.supervisor))
	}
	return actor.PropsFromProducer(producer, props...)
}
