package stage

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"
)

// A guard stands around an actor's Receive. It is a wrapper rather than protoactor's middleware, which costs an allocation a message.
type guard struct {
	actor   actor.Actor
	log     *slog.Logger
	leaving bool // this instance is stopping or being replaced
}

// A supervisingGuard keeps visible that the actor supervises its own children, which takes precedence over its Props.
type supervisingGuard struct {
	guard
	strategy actor.SupervisorStrategy
}

func guarded(a actor.Actor, log *slog.Logger) actor.Actor {
	g := guard{actor: a, log: log}
	if s, ok := a.(actor.SupervisorStrategy); ok {
		return &supervisingGuard{guard: g, strategy: s}
	}
	return &g
}

// Receive implements actor.Actor.
func (g *guard) Receive(ctx actor.Context) {
	defer g.report(ctx)
	switch ctx.Message().(type) {
	case *actor.Stopping, *actor.Restarting:
		g.leaving = true
	}
	g.actor.Receive(ctx)
}

// report logs a panic with its stack and leaves it to supervision. Of an instance that is leaving it is logged only: there a panic
// would skip what protoactor does next, and the actor would be resurrected or its parent wait for ever.
func (g *guard) report(ctx actor.Context) {
	reason := recover()
	if reason == nil {
		return
	}
	logPanic(g.log, "actor panicked", reason, "actor", ctx.Self().GetId(), "message", fmt.Sprintf("%T", ctx.Message()))
	if !g.leaving {
		panic(reason)
	}
}

// HandleFailure implements actor.SupervisorStrategy.
func (g *supervisingGuard) HandleFailure(system *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, rs *actor.RestartStatistics, reason, message any) {
	defer func() {
		if second := recover(); second != nil {
			logPanic(g.log, "supervisor panicked", second, "child", child.GetId(), "failure", reason)
			panic(second)
		}
	}()
	g.strategy.HandleFailure(system, supervisor, child, rs, reason, message)
}

// logPanic must be called while the panic unwinds, so that the stack shows where it began.
func logPanic(log *slog.Logger, text string, reason any, attrs ...any) {
	if log == nil {
		log = slog.Default()
	}
	log.Error(text, append(attrs, "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))...)
}
