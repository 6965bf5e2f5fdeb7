package stage

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// deadline bounds every wait of a test that can only fail by hanging.
const deadline = 30 * time.Second

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newSystem() *actor.ActorSystem {
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet() }))
}

func newLive(t testing.TB) *Live {
	l := NewLive()
	t.Cleanup(l.Close)
	return l
}

// receiver makes an actor of a function.
func receiver(f func(actor.Context)) func() actor.Actor {
	return func() actor.Actor { return actor.ReceiveFunc(f) }
}

func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(deadline):
		t.Fatalf("no %s came", what)
		panic("unreachable")
	}
}

// stopAndWait returns when the actor has stopped.
func stopAndWait(t testing.TB, system *actor.ActorSystem, pid *actor.PID) {
	t.Helper()
	if err := system.Root.StopFuture(pid).Wait(); err != nil {
		t.Fatalf("stop: %v", err)
	}
}

// always is a strategy that gives every failure the same answer at once.
type always struct{ directive actor.Directive }

func (a *always) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) {
	switch a.directive {
	case actor.ResumeDirective:
		supervisor.ResumeChildren(child)
	case actor.StopDirective:
		supervisor.StopChildren(child)
	default:
		supervisor.RestartChildren(child)
	}
}

// under spawns child as the child of an actor with the given strategy, and returns both PIDs.
func under(t testing.TB, s Stage, system *actor.ActorSystem, strategy actor.SupervisorStrategy, child *actor.Props) (parent, pid *actor.PID) {
	t.Helper()
	spawned := make(chan *actor.PID, 1)
	parent = system.Root.Spawn(Props(s, receiver(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			spawned <- ctx.Spawn(child)
		}
	}), WithSupervisor(strategy), WithLogger(quiet())))
	if seeded, ok := s.(*Seeded); ok {
		seeded.Run(func() bool { return len(spawned) > 0 }, 1000)
	}
	return parent, receive(t, spawned, "child")
}

// A logBuffer is a log that a test reads.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func typeName(v any) string { return fmt.Sprintf("%T", v) }

// equal compares with what fmt.Sprint prints.
func equal[T any](got []T, want string) bool { return fmt.Sprint(got) == want }
