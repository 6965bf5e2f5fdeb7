package stage

import (
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

func TestPanicIsLoggedWithItsStack(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	var log logBuffer
	_, pid := under(t, s, system, &always{actor.StopDirective}, Props(s, receiver(panicOnString), WithLogger(log.logger())))
	system.Root.Send(pid, "x")
	s.Run(nil, 100)
	for _, want := range []string{"actor panicked", "reason=boom", "message=string", pid.Id, "panicOnString"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log.String())
		}
	}
	if _, alive := system.ProcessRegistry.Get(pid); alive {
		t.Error("supervision did not see the panic")
	}
}

func panicOnString(ctx actor.Context) {
	if _, ok := ctx.Message().(string); ok {
		panic("boom")
	}
}

// TestPanicWhileLeaving panics wherever an instance can while it stops, and while it is replaced: the stop must complete, also for
// the parent that waits, and the restart must happen once.
func TestPanicWhileLeaving(t *testing.T) {
	for _, when := range []string{"*actor.Stopping", "*actor.Stopped", "*actor.Terminated", "string"} {
		t.Run(when, func(t *testing.T) {
			s, system := NewSeeded(1), newSystem()
			incarnations, terminated := 0, 0
			child := Props(s, func() actor.Actor {
				incarnations++
				return actor.ReceiveFunc(func(ctx actor.Context) {
					if _, ok := ctx.Message().(*actor.Started); ok {
						ctx.Spawn(Props(s, receiver(func(actor.Context) {})))
					}
					if _, ok := ctx.Message().(*actor.Stopping); ok {
						system.Root.Send(ctx.Self(), "while stopping")
					}
					if typeName(ctx.Message()) == when {
						panic(when)
					}
				})
			}, WithLogger(quiet()))
			parent := system.Root.Spawn(Props(s, receiver(func(ctx actor.Context) {
				switch ctx.Message().(type) {
				case *actor.Started:
					ctx.Spawn(child)
				case *actor.Terminated:
					terminated++
				}
			}), WithSupervisor(&always{actor.RestartDirective}), WithLogger(quiet())))
			s.Run(nil, 100)
			system.Root.Stop(parent)
			s.Run(nil, 100)
			if incarnations != 1 || terminated != 1 {
				t.Errorf("%d incarnations, %d terminated", incarnations, terminated)
			}
			if _, alive := system.ProcessRegistry.Get(parent); alive {
				t.Error("the parent still waits")
			}
		})
	}
}

func TestPanicInRestarting(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	incarnations := 0
	_, pid := under(t, s, system, &always{actor.RestartDirective}, Props(s, func() actor.Actor {
		incarnations++
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch ctx.Message().(type) {
			case string, *actor.Restarting:
				panic("boom")
			}
		})
	}, WithLogger(quiet())))
	s.Run(nil, 100)
	system.Root.Send(pid, "x")
	s.Run(nil, 100)
	if incarnations != 2 {
		t.Errorf("%d incarnations, want 2", incarnations)
	}
}

// TestRestartAfterStop: a restart that was on its way must not resurrect an actor that stopped, or is about to.
func TestRestartAfterStop(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	var log []string
	held := &holding{}
	parent, pid := under(t, s, system, held, Props(s, receiver(func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *actor.Started:
			log = append(log, "started")
			ctx.Spawn(Props(s, receiver(func(actor.Context) {}))) // so that the stop takes its time
		case *actor.Stopped:
			log = append(log, "stopped")
		case string:
			panic("boom")
		}
	}), WithLogger(quiet())))
	s.Run(nil, 100)
	system.Root.Send(pid, "x")
	s.Run(nil, 100)
	system.Root.Stop(parent)
	s.Run(func() bool { held.release(); return false }, 100)
	if want := "[started stopped]"; !equal(log, want) {
		t.Errorf("%v, want %s", log, want)
	}
}

// A selfSupervisor supervises its children itself.
type selfSupervisor struct {
	child  *actor.Props
	pid    *actor.PID
	asked  int
	panics bool
}

func (a *selfSupervisor) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Started); ok {
		a.pid = ctx.Spawn(a.child)
	}
}

func (a *selfSupervisor) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) {
	a.asked++
	if a.panics {
		panic("lost my head")
	}
	supervisor.StopChildren(child)
}

func TestActorSupervisesItself(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	var log logBuffer
	a := &selfSupervisor{child: Props(s, receiver(panicOnString), WithLogger(quiet()))}
	system.Root.Spawn(Props(s, func() actor.Actor { return a }, WithSupervisor(&always{actor.RestartDirective}), WithLogger(log.logger())))
	s.Run(nil, 100)
	system.Root.Send(a.pid, "x")
	s.Run(nil, 100)
	if _, alive := system.ProcessRegistry.Get(a.pid); alive || a.asked != 1 {
		t.Fatalf("alive %v, asked %d times", alive, a.asked)
	}
	a.panics, a.pid = true, nil
	system.Root.Spawn(Props(s, func() actor.Actor { return a }, WithLogger(log.logger())))
	s.Run(nil, 100)
	system.Root.Send(a.pid, "x")
	s.Run(nil, 100)
	if !strings.Contains(log.String(), "lost my head") {
		t.Errorf("a panic in HandleFailure is not logged: %s", log.String())
	}
}

func TestPropsKeepProtoactorsDefaults(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	incarnations := 0
	pid := system.Root.Spawn(Props(s, func() actor.Actor {
		incarnations++
		return actor.ReceiveFunc(panicOnString)
	}, WithLogger(quiet())))
	system.Root.Send(pid, "x")
	s.Run(nil, 100)
	if incarnations != 2 {
		t.Errorf("%d incarnations of a root actor that failed once, want 2", incarnations)
	}
}
