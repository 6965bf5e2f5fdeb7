package stage

import (
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"
)

// A guard stands around an actor's Receive. It is a wrapper rather than protoactor's middleware, which costs an allocation a message.
type guard struct {
	actor.Actor
	log *slog.Logger
}

// A supervisingGuard keeps visible that the actor supervises its own children.
type supervisingGuard struct {
	guard
	actor.SupervisorStrategy
}

func guarded(a actor.Actor, log *slog.Logger) actor.Actor {
	g := guard{Actor: a, log: log}
	if s, ok := a.(actor.SupervisorStrategy); ok {
		return &supervisingGuard{guard: g, SupervisorStrategy: s}
	}
	return &g
}

// Receive implements actor.Actor.
func (g *guard) Receive(ctx actor.Context) {
	defer g.report(ctx)
	g.Actor.Receive(ctx)
}

func (g *guard) report(ctx actor.Context) {
	reason := recover()
	if reason == nil {
		return
	}
	g.log.Error("actor panicked", "actor", ctx.Self().Id, "message", fmt.Sprintf("%T", ctx.Message()),
		"reason", reason, "stack", string(debug.Stack()))
	switch ctx.Message().(type) {
	case *actor.Stopping, *actor.Stopped:
	default:
		panic(reason)
	}
}
