package stage

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/internal/backoff"
)

const (
	defaultFirst  = 10 * time.Millisecond
	defaultMax    = 10 * time.Second
	defaultWindow = time.Minute
	manyChildren  = 64 // from here on, what is remembered of children that behave is swept out
)

// A Backoff restarts failed children after a pause that doubles from failure to failure, with jitter. A child that failed
// more than Limit times within Window is stopped, and its supervisor told with *GaveUp. A child that ran for a Window without
// failing starts afresh. One Backoff serves the children of one actor; it is safe for concurrent use.
//
// As a guardian of root actors it has nobody to tell or to escalate to: it logs, and stops the child.
type Backoff struct {
	Stage  Stage
	First  time.Duration // before the first restart; default 10ms
	Max    time.Duration // longest pause, without jitter; default 10s
	Jitter float64       // each pause is stretched by a random part of this: 0.2 means up to a fifth longer
	Limit  int           // failures within Window before giving up; 0: never
	Window time.Duration // default 1min; pauses count, so keep it well above Limit of them
	// Decide chooses what to do about a panic; nil restarts always. Escalate hands it to the supervisor's own supervisor.
	Decide func(reason any) actor.Directive
	Log    *slog.Logger // default slog.Default()

	mu       sync.Mutex
	children map[string]*record
	rand     *rand.Rand
}

// A record is what a Backoff remembers of one child.
type record struct {
	recent []time.Duration // failures within Window, if there is a limit
	streak int             // failures without a quiet Window between
	last   time.Duration   // failure
	pause  time.Duration   // after it
}

// GaveUp tells an actor, as a user message, that one of its children failed too often and is being stopped. The child's
// *actor.Terminated, a system message, may come before or after.
type GaveUp struct {
	Child    *actor.PID
	Reason   any // of the last failure
	Failures int // within the Window
}

var _ actor.SupervisorStrategy = (*Backoff)(nil)

// HandleFailure implements actor.SupervisorStrategy.
func (b *Backoff) HandleFailure(system *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	directive := actor.RestartDirective
	if b.Decide != nil {
		directive = b.Decide(reason)
	}
	self, told := supervisor.(actor.Context)
	switch directive {
	case actor.ResumeDirective:
		supervisor.ResumeChildren(child)
	case actor.StopDirective:
		supervisor.StopChildren(child)
	case actor.EscalateDirective:
		if !told {
			b.log().Error("actor failed, and nobody is there to escalate to: it stops", "actor", child.Id, "reason", fmt.Sprint(reason))
			supervisor.StopChildren(child)
			return
		}
		supervisor.EscalateFailure(reason, message)
	default:
		failures, pause := b.note(child)
		if b.Limit <= 0 || failures <= b.Limit {
			b.restart(system, supervisor, child, pause, reason)
			return
		}
		b.log().Error("actor stays down", "actor", child.Id, "failures", failures, "reason", fmt.Sprint(reason))
		if told {
			system.Root.Send(self.Self(), &GaveUp{Child: child, Reason: reason, Failures: failures})
		}
		supervisor.StopChildren(child)
	}
}

func (b *Backoff) restart(system *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, pause time.Duration, reason any) {
	b.log().Warn("actor restarts", "actor", child.Id, "pause", pause, "reason", fmt.Sprint(reason))
	b.Stage.Clock().AfterFunc(pause, func() {
		// Meanwhile it may have been stopped, and dead letters are for messages that somebody misses.
		if _, alive := system.ProcessRegistry.Get(child); alive {
			supervisor.RestartChildren(child)
		}
	})
}

func (b *Backoff) log() *slog.Logger {
	if b.Log == nil {
		return slog.Default()
	}
	return b.Log
}

// note counts a failure and draws the pause before the restart. When the limit is passed it forgets the child.
func (b *Backoff) note(child *actor.PID) (failures int, pause time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.children == nil {
		b.children = map[string]*record{}
		b.rand = b.Stage.Rand("backoff " + child.Id)
	}
	now, window := b.Stage.Clock().Now(), orDefault(b.Window, defaultWindow)
	b.sweep(now, window)
	r := b.children[child.Id]
	if r == nil || r.quiet(now, window) {
		r = &record{}
		b.children[child.Id] = r
	}
	failures = r.fail(now, window, b.Limit > 0)
	if b.Limit > 0 && failures > b.Limit {
		delete(b.children, child.Id)
		return failures, 0
	}
	first := orDefault(b.First, defaultFirst)
	pause = backoff.Doubling{First: first, Max: max(orDefault(b.Max, defaultMax), first)}.After(r.streak)
	pause = backoff.Stretched(pause, b.Jitter, b.rand.Float64())
	r.pause = pause
	return failures, pause
}

// sweep forgets children that behave, which may be gone and whose names may never come back.
func (b *Backoff) sweep(now, window time.Duration) {
	if len(b.children) < manyChildren {
		return
	}
	for id, r := range b.children {
		if r.quiet(now, window) {
			delete(b.children, id)
		}
	}
}

// quiet reports whether the child ran for a window since its last restart.
func (r *record) quiet(now, window time.Duration) bool { return now-r.last > r.pause+window }

// fail counts a failure; without a limit, all of the streak.
func (r *record) fail(now, window time.Duration, limited bool) (failures int) {
	r.last = now
	r.streak++
	if !limited {
		return r.streak
	}
	r.recent = append(r.recent, now)
	for now-r.recent[0] > window {
		r.recent = r.recent[1:]
	}
	return len(r.recent)
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
