package stage

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A Backoff restarts failed children after a pause that doubles from failure to failure, with jitter. A child that failed
// more than Limit times within Window is stopped, and its supervisor told with *GaveUp. One Backoff serves the children of one actor.
type Backoff struct {
	Stage  Stage
	First  time.Duration // before the first restart
	Max    time.Duration // longest pause, without jitter
	Jitter float64       // each pause is stretched by a random part of this: 0.2 means up to a fifth longer
	Limit  int           // failures within Window before giving up; 0: never
	Window time.Duration
	// Decide chooses what to do about a panic; nil restarts always. Escalate hands it to the supervisor's own supervisor.
	Decide func(reason any) actor.Directive
	Log    *slog.Logger // default slog.Default()

	mu       sync.Mutex
	failures map[string][]time.Duration // by child, within Window
	rand     *rand.Rand
}

// GaveUp tells an actor that one of its children failed too often and was stopped.
type GaveUp struct {
	Child    *actor.PID
	Reason   any
	Failures int
}

// HandleFailure implements actor.SupervisorStrategy.
func (b *Backoff) HandleFailure(system *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	directive := actor.RestartDirective
	if b.Decide != nil {
		directive = b.Decide(reason)
	}
	switch directive {
	case actor.ResumeDirective:
		supervisor.ResumeChildren(child)
	case actor.StopDirective:
		supervisor.StopChildren(child)
	case actor.EscalateDirective:
		supervisor.EscalateFailure(reason, message)
	default:
		b.restart(system, supervisor, child, reason)
	}
}

func (b *Backoff) restart(system *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, reason any) {
	failures, pause := b.note(child)
	log := b.Log
	if log == nil {
		log = slog.Default()
	}
	if b.Limit > 0 && failures > b.Limit {
		log.Error("actor stays down", "actor", child.Id, "failures", failures, "reason", reason)
		supervisor.StopChildren(child)
		b.forget(child)
		if s, ok := supervisor.(interface{ Self() *actor.PID }); ok {
			system.Root.Send(s.Self(), &GaveUp{Child: child, Reason: reason, Failures: failures})
		}
		return
	}
	log.Warn("actor restarts", "actor", child.Id, "failures", failures, "pause", pause, "reason", fmt.Sprint(reason))
	b.Stage.Clock().AfterFunc(pause, func() { supervisor.RestartChildren(child) })
}

// note counts a failure and draws the pause before the restart.
func (b *Backoff) note(child *actor.PID) (failures int, pause time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures == nil {
		b.failures = map[string][]time.Duration{}
		b.rand = b.Stage.Rand("backoff " + child.Id)
	}
	now := b.Stage.Clock().Now()
	recent := append(b.failures[child.Id], now)
	for now-recent[0] > b.Window {
		recent = recent[1:]
	}
	b.failures[child.Id] = recent
	pause = b.First
	for i := 1; i < len(recent) && pause < b.Max; i++ {
		pause *= 2
	}
	pause = min(pause, b.Max)
	return len(recent), pause + time.Duration(b.rand.Float64()*b.Jitter*float64(pause))
}

func (b *Backoff) forget(child *actor.PID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.failures, child.Id)
}
