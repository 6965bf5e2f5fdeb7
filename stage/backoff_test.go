package stage

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// A patient fails when told to, and notes when it starts.
type patient struct {
	stage   *Seeded
	system  *actor.ActorSystem
	parent  *actor.PID
	pid     *actor.PID
	starts  []time.Duration
	gaveUp  []*GaveUp
	ended   int // Terminated at the parent
	parents int // incarnations of the parent
}

func newPatient(b *Backoff, seed uint64) *patient {
	p := &patient{stage: NewSeeded(seed), system: newSystem()}
	b.Stage, b.Log = p.stage, quiet()
	child := Props(p.stage, receiver(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			p.starts = append(p.starts, p.stage.Clock().Now())
		case error:
			panic(m)
		}
	}), WithLogger(quiet()))
	produce := func() actor.Actor {
		p.parents++
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *actor.Started:
				p.pid = ctx.Spawn(child)
			case *GaveUp:
				p.gaveUp = append(p.gaveUp, m)
			case *actor.Terminated:
				p.ended++
			}
		})
	}
	p.parent = p.system.Root.Spawn(Props(p.stage, produce, WithSupervisor(b), WithLogger(quiet())))
	p.settle()
	return p
}

// settle delivers what waits and lets no time pass.
func (p *patient) settle() { p.stage.Advance(0) }

var errBoom = errors.New("boom")

func (p *patient) fail() {
	p.system.Root.Send(p.pid, errBoom)
	p.settle()
}

// pauses fails n times, as soon as the actor is back each time, and says how long each restart took.
func (p *patient) pauses(t *testing.T, n int) (pauses []time.Duration) {
	t.Helper()
	for range n {
		before, failed := len(p.starts), p.stage.Clock().Now()
		p.fail()
		if !p.stage.Run(func() bool { return len(p.starts) > before }, 100) {
			t.Fatalf("no restart after %d failures", before)
		}
		pauses = append(pauses, p.starts[before]-failed)
	}
	return pauses
}

func TestBackoffDoublesUpToMax(t *testing.T) {
	p := newPatient(&Backoff{First: 100 * time.Millisecond, Max: 700 * time.Millisecond, Window: time.Minute}, 1)
	if got, want := p.pauses(t, 6), "[100ms 200ms 400ms 700ms 700ms 700ms]"; !equal(got, want) {
		t.Errorf("pauses %v, want %s", got, want)
	}
}

func TestBackoffJitterStretches(t *testing.T) {
	seen := map[time.Duration]bool{}
	for seed := range uint64(20) {
		p := newPatient(&Backoff{First: time.Second, Jitter: 0.5}, seed)
		pause := p.pauses(t, 1)[0]
		if pause < time.Second || pause >= 1500*time.Millisecond {
			t.Errorf("seed %d: pause %v is out of [1s, 1.5s)", seed, pause)
		}
		seen[pause] = true
	}
	if len(seen) < 15 {
		t.Errorf("%d different pauses of 20: no jitter", len(seen))
	}
}

func TestBackoffStartsAfreshAfterAQuietWindow(t *testing.T) {
	p := newPatient(&Backoff{First: time.Second, Max: time.Minute, Window: 10 * time.Second}, 1)
	p.pauses(t, 3)
	p.stage.Advance(9 * time.Second)
	if got := p.pauses(t, 1)[0]; got != 8*time.Second {
		t.Errorf("pause %v after 9s, want the streak to go on: 8s", got)
	}
	p.stage.Advance(11 * time.Second)
	if got := p.pauses(t, 1)[0]; got != time.Second {
		t.Errorf("pause %v after a quiet window, want 1s", got)
	}
}

func TestBackoffGivesUp(t *testing.T) {
	p := newPatient(&Backoff{First: time.Millisecond, Limit: 3, Window: time.Minute}, 1)
	p.pauses(t, 3)
	p.fail()
	p.stage.Advance(time.Hour)
	if len(p.starts) != 4 || len(p.gaveUp) != 1 || p.ended != 1 {
		t.Fatalf("%d starts, %d GaveUp, %d Terminated", len(p.starts), len(p.gaveUp), p.ended)
	}
	g := p.gaveUp[0]
	if !g.Child.Equal(p.pid) || g.Reason != error(errBoom) || g.Failures != 4 {
		t.Errorf("GaveUp %+v", g)
	}
}

// TestBackoffForgetsWhomItGaveUp: a successor of the same name is judged by its own failures.
func TestBackoffForgetsWhomItGaveUp(t *testing.T) {
	b := &Backoff{Stage: NewSeeded(1), First: time.Second, Limit: 2}
	child := actor.NewPID("", "child")
	for i, want := range []int{1, 2, 3, 1, 2, 3} {
		if failures, _ := b.note(child); failures != want {
			t.Errorf("failure %d counts %d, want %d", i, failures, want)
		}
	}
}

// TestBackoffLimitIsPerWindow: failures that are far apart never add up.
func TestBackoffLimitIsPerWindow(t *testing.T) {
	p := newPatient(&Backoff{First: time.Millisecond, Limit: 3, Window: time.Minute}, 1)
	for range 20 {
		p.pauses(t, 1)
		p.stage.Advance(21 * time.Second)
	}
	if len(p.gaveUp) != 0 {
		t.Errorf("gave up: %+v", p.gaveUp[0])
	}
}

func TestBackoffDecides(t *testing.T) {
	directive := actor.ResumeDirective
	p := newPatient(&Backoff{Decide: func(reason any) actor.Directive {
		if reason != error(errBoom) {
			t.Errorf("decided on %v", reason)
		}
		return directive
	}}, 1)
	p.fail()
	if len(p.starts) != 1 || p.ended != 0 {
		t.Fatalf("after Resume: %d starts, %d Terminated", len(p.starts), p.ended)
	}
	directive = actor.EscalateDirective
	p.fail()
	p.stage.Advance(time.Minute)
	if p.parents != 2 || len(p.starts) != 2 {
		t.Fatalf("after Escalate: %d parents, %d starts; want the parent to restart", p.parents, len(p.starts))
	}
	directive = actor.StopDirective
	p.ended = 0
	p.fail()
	if len(p.starts) != 2 || p.ended != 1 {
		t.Errorf("after Stop: %d starts, %d Terminated", len(p.starts), p.ended)
	}
}

// TestBackoffOfStoppedChild: the pause ends after the child was stopped, and nothing comes of it.
func TestBackoffOfStoppedChild(t *testing.T) {
	p := newPatient(&Backoff{First: time.Second}, 1)
	letters := 0
	p.system.EventStream.Subscribe(func(event any) {
		if _, ok := event.(*actor.DeadLetterEvent); ok {
			letters++
		}
	})
	p.fail()
	p.system.Root.Stop(p.parent)
	p.stage.Advance(time.Minute)
	if len(p.starts) != 1 || letters != 0 {
		t.Errorf("%d starts, %d dead letters", len(p.starts), letters)
	}
}

// TestBackoffAsGuardian has nobody above it: it must not panic, as protoactor's guardian would.
func TestBackoffAsGuardian(t *testing.T) {
	for _, b := range []*Backoff{
		{Decide: func(any) actor.Directive { return actor.EscalateDirective }},
		{Limit: 1, First: time.Millisecond},
	} {
		s, system := NewSeeded(1), newSystem()
		var log logBuffer
		b.Stage, b.Log = s, slog.New(slog.NewTextHandler(&log, nil))
		props := Props(s, receiver(func(ctx actor.Context) {
			if _, ok := ctx.Message().(*actor.Started); ok {
				panic("boom")
			}
		}), WithLogger(quiet()))
		props.Configure(actor.WithGuardian(b))
		pid := system.Root.Spawn(props)
		s.Run(nil, 1000)
		if _, alive := system.ProcessRegistry.Get(pid); alive {
			t.Error("the actor is not stopped")
		}
		if !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("it is not said: %s", log.String())
		}
	}
}

func TestBackoffForgetsChildrenThatBehave(t *testing.T) {
	s := NewSeeded(1)
	b := &Backoff{Stage: s, Window: time.Second, Max: time.Second}
	for i := range 100 * manyChildren {
		b.note(actor.NewPID("", string(rune('a'+i%26))+s.Clock().Now().String()))
		s.Advance(50 * time.Millisecond)
	}
	if got := len(b.children); got > manyChildren {
		t.Errorf("%d children are remembered", got)
	}
}
