package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/stage"
)

// broken runs a configuration twice with something put into it, and demands the same violation of both.
func broken(t *testing.T, cfg Config, property string, rig func(*Sim)) *Violation {
	t.Helper()
	var reports []*Report
	for range 2 {
		s := New(cfg)
		rig(s)
		reports = append(reports, s.Run())
	}
	v := reports[0].Violation
	if v == nil || v.Property != property {
		t.Fatalf("violated: %v", v)
	}
	if other := reports[1]; other.Trace != reports[0].Trace || other.Violation == nil || other.Violation.Detail != v.Detail || other.Violation.Step != v.Step {
		t.Errorf("another run came to %v, with another trace", other.Violation)
	}
	return v
}

// TestPanicEndsARunOnly: what panics outside of all actors is a violation with a stack; the run is repeated and shrunk like any other.
func TestPanicEndsARunOnly(t *testing.T) {
	const property = "nothing panics outside of actors"
	rig := func(s *Sim) { s.clock.AfterFunc(300*time.Millisecond, func() { panic("boom") }) }
	v := broken(t, Config{Seed: 11}, property, rig)
	if v.Detail != "boom" || v.At < 300*time.Millisecond || !strings.Contains(v.Error(), "TestPanicEndsARunOnly") {
		t.Errorf("%v", v)
	}
	s := New(Config{Seed: 11, Every: 30 * time.Millisecond})
	rig(s)
	small := shrinker{best: s.Run(), property: property, tripwire: rig, deadline: time.Now().Add(time.Minute)}
	small.shrink()
	if small.best.Config.Clients != 1 || len(small.best.Struck) != 0 {
		t.Errorf("shrunk to %d clients and:\n%s", small.best.Config.Clients, small.best.Schedule())
	}
}

// TestPanicAtTheStart: a cluster that cannot even be started is a violation too.
func TestPanicAtTheStart(t *testing.T) {
	s := New(Config{Seed: 11, Quiet: true})
	s.guarded(func() { panic("boom") })
	if r := s.Run(); r.Violation == nil || r.Violation.Detail != "boom" || r.Virtual > time.Millisecond {
		t.Errorf("violated: %v after %v", r.Violation, r.Virtual)
	}
}

// A fragile actor panics at every string.
type fragile struct{}

func (fragile) Receive(c actor.Context) {
	if text, ok := c.Message().(string); ok {
		panic(text)
	}
}

// TestPanicsOfActorsAreHeard: supervision mends a panic, and it is a bug all the same, unless a fault asked for it.
func TestPanicsOfActorsAreHeard(t *testing.T) {
	rig := func(text string) func(*Sim) {
		return func(s *Sim) {
			l := s.nodes[1].life
			props := stage.Props(l.stage, func() actor.Actor { return fragile{} }, stage.WithLogger(l.log))
			pid := s.system.Root.Spawn(props)
			s.clock.AfterFunc(300*time.Millisecond, func() { s.system.Root.Send(pid, text) })
		}
	}
	v := broken(t, Config{Seed: 11, Quiet: true}, "actors panic only when something makes them", rig("a bug"))
	if !strings.Contains(v.Detail, "a bug") || !strings.Contains(v.Stack, "fragile") || strings.Contains(v.Detail, "fragile") {
		t.Errorf("%v", v)
	}
	s := New(Config{Seed: 11, Quiet: true})
	rig("what if: " + errSabotage.Error())(s)
	if r := s.Run(); r.Violation != nil {
		t.Errorf("violated: %v", r.Violation)
	}
}

// TestCircles: work without end is found by the count of steps, be it in no time at all, in hardly any, or while the run waits for
// a single step of its own.
func TestCircles(t *testing.T) {
	circle := func(pause time.Duration) func(*Sim) {
		return func(s *Sim) {
			var again func()
			again = func() { s.clock.AfterFunc(pause, again) }
			s.clock.AfterFunc(100*time.Millisecond, again)
		}
	}
	for name, rig := range map[string]func(*Sim){
		"no time": circle(0), "hardly any": circle(time.Microsecond),
		"within a step": func(s *Sim) {
			circle(0)(s)
			s.clock.AfterFunc(50*time.Millisecond, func() { s.stage.Advance(time.Second) })
		},
	} {
		v := broken(t, Config{Seed: 11, Quiet: true}, "work comes to an end", rig)
		if v.At < 100*time.Millisecond || v.At > time.Second {
			t.Errorf("%s: %v", name, v)
		}
	}
}
