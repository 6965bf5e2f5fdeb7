package stage

import (
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Live is the stage for production.
type Live struct {
	clock      liveClock
	dispatcher reuser
}

// NewLive opens a stage. Close it when its actors have stopped.
func NewLive() *Live { return &Live{clock: liveClock{origin: time.Now()}} }

// Clock is the machine's.
func (l *Live) Clock() Clock { return l.clock }

// Rand is seeded by the system; the name does not matter.
func (l *Live) Rand(string) *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }

// Dispatcher reuses workers.
func (l *Live) Dispatcher() actor.Dispatcher { return &l.dispatcher }

// Mailbox implements Stage.
func (l *Live) Mailbox(drainedAfter int) actor.MailboxProducer {
	return func() actor.Mailbox { return &mailbox{drainedAfter: drainedAfter} }
}

// Close implements Stage.
func (l *Live) Close() { l.dispatcher.close() }
