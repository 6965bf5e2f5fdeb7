package election

import (
	"cmp"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/stage"
)

// A Config fixes a timer.
type Config struct {
	Stage   stage.Stage
	Timeout Timeout      // default 150ms to 300ms; must be valid
	Log     *slog.Logger // default slog.Default()
	Name    string       // names the stream of random numbers: one per group, so that a seed repeats every draw
}

// Props makes the timer of one group, to be spawned as the group's child.
func Props(cfg Config) *actor.Props {
	cfg.Timeout = cfg.Timeout.withDefaults()
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	// The stream outlives a restart, which must not repeat the draws before it.
	draws := cfg.Stage.Rand("election/" + cfg.Name)
	return stage.Props(cfg.Stage, func() actor.Actor {
		return &timer{timeout: cfg.Timeout, clock: cfg.Stage.Clock(), draws: draws, log: cfg.Log}
	}, stage.WithLogger(cfg.Log))
}

// A wakeUp is what a clock's timer sends. Its address is its version: only the one that
// the actor waits for counts, and no incarnation shares one with another.
type wakeUp struct{ _ byte } // not empty: empty structs may share an address

// timer waits for a deadline. An Arm only moves the deadline: the clock's timer is never set further ahead than Min,
// so it cannot be late for any deadline that a later Arm may draw, and re-arms for the rest when it comes early.
type timer struct {
	timeout Timeout
	clock   stage.Clock
	draws   *rand.Rand
	log     *slog.Logger

	seq      uint64        // the Arm in force; meaningful while a timer runs
	deadline time.Duration // Clock.Now

	running stage.Timer // nil when none runs
	next    *wakeUp     // what it will send
}

func (t *timer) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case Arm:
		t.arm(c, m)
	case *wakeUp:
		t.wake(c, m)
	case *actor.Started:
		c.Send(c.Parent(), &OnDuty{})
	case Disarm, *actor.Stopping, *actor.Restarting:
		t.disarm()
	case actor.SystemMessage, actor.AutoReceiveMessage: // rest of the lifecycle
	default:
		t.log.Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
}

func (t *timer) arm(c actor.Context, m Arm) {
	now := t.clock.Now()
	t.seq, t.deadline = m.Seq, now+t.timeout.draw(t.draws)
	if t.running == nil {
		t.wait(c, now)
	}
}

func (t *timer) disarm() {
	if t.running != nil {
		t.running.Stop()
		t.running, t.next = nil, nil
	}
}

// wait sets the clock's timer for the deadline, or for Min when that is sooner.
func (t *timer) wait(c actor.Context, now time.Duration) {
	w := new(wakeUp)
	root, self := c.ActorSystem().Root, c.Self()
	t.next = w
	t.running = t.clock.AfterFunc(min(t.deadline-now, t.timeout.Min), func() { root.Send(self, w) })
}

// wake looks whether the deadline has passed. Whatever order came before this message wins over it.
func (t *timer) wake(c actor.Context, w *wakeUp) {
	if w != t.next {
		return
	}
	t.running, t.next = nil, nil
	if now := t.clock.Now(); now < t.deadline {
		t.wait(c, now)
		return
	}
	c.Send(c.Parent(), Elapsed{Seq: t.seq})
}
