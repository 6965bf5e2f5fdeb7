package stage

import (
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// frozenRig is a node with one actor, and what happened on it.
type frozenRig struct {
	*Seeded
	node   *Node
	send   func(string)
	events []string
}

func newFrozenRig(t *testing.T) *frozenRig {
	t.Helper()
	r := &frozenRig{Seeded: NewSeeded(1)}
	r.node = r.Seeded.Node("n")
	system := newSystem()
	pid := system.Root.Spawn(Props(r.node, receiver(func(ctx actor.Context) {
		if m, ok := ctx.Message().(string); ok {
			r.events = append(r.events, m)
		}
	})))
	r.send = func(m string) { system.Root.Send(pid, m) }
	r.Run(nil, 100)
	return r
}

func (r *frozenRig) timer(d time.Duration, name string) Timer {
	return r.node.Clock().AfterFunc(d, func() { r.events = append(r.events, name) })
}

// TestFreeze: nothing of a frozen node happens, its clock runs on, and all that waited happens after the thaw, timers in the order they
// were due in.
func TestFreeze(t *testing.T) {
	r := newFrozenRig(t)
	start := r.node.Clock().Now()
	r.timer(3*time.Second, "third")
	r.timer(time.Second, "first")
	r.timer(time.Hour, "much later")
	r.send("before")
	r.node.Freeze()
	r.node.Freeze()
	r.send("meanwhile")
	r.timer(2*time.Second, "second")
	if !r.timer(time.Second, "stopped").Stop() {
		t.Error("a timer of a frozen node could not be stopped")
	}
	r.node.Dispatcher().Schedule(func() { r.events = append(r.events, "turn") })
	others := 0
	r.Clock().AfterFunc(time.Second, func() { others++ })
	r.Advance(time.Minute)
	if len(r.events) > 0 || others != 1 {
		t.Fatalf("frozen, it did %v, and %d others went on", r.events, others)
	}
	if passed := r.node.Clock().Now() - start; passed != time.Minute {
		t.Errorf("its clock went on by %v in a minute", passed)
	}
	r.node.Thaw()
	r.node.Thaw()
	r.Advance(time.Second)
	var timers, rest []string
	for _, e := range r.events {
		if slices.Contains([]string{"first", "second", "third"}, e) {
			timers = append(timers, e)
		} else {
			rest = append(rest, e)
		}
	}
	slices.Sort(rest)
	if !slices.Equal(timers, []string{"first", "second", "third"}) || !slices.Equal(rest, []string{"before", "meanwhile", "turn"}) {
		t.Errorf("after the thaw: %v", r.events)
	}
	r.Advance(time.Hour)
	if last := r.events[len(r.events)-1]; last != "much later" {
		t.Errorf("the last timer did not fire: %v", r.events)
	}
}

// TestFrozenClockIsBent: a timer that waits for the thaw keeps to the node's clock all the same.
func TestFrozenClockIsBent(t *testing.T) {
	r := newFrozenRig(t)
	r.timer(10*time.Second, "timer")
	r.node.Freeze()
	r.node.SetSkew(0, 2)
	r.Advance(time.Second)
	r.node.Thaw()
	r.Advance(3900 * time.Millisecond)
	if len(r.events) > 0 {
		t.Fatal("the timer was early")
	}
	r.Advance(200 * time.Millisecond)
	if len(r.events) != 1 {
		t.Error("the timer did not fire")
	}
}

// TestFrozenNodeCrashes: what waited for the thaw is lost.
func TestFrozenNodeCrashes(t *testing.T) {
	r := newFrozenRig(t)
	timer := r.timer(time.Second, "timer")
	r.send("before")
	r.node.Freeze()
	r.send("meanwhile")
	r.node.Halt()
	if timer.Stop() {
		t.Error("a timer of a crashed node could be stopped")
	}
	r.node.Freeze()
	r.node.Thaw()
	r.send("after")
	r.Advance(time.Minute)
	if len(r.events) > 0 {
		t.Errorf("a crashed node did %v", r.events)
	}
}

// TestFreezeWithin: a handler that freezes its node finishes, and its actor gets nothing more.
func TestFreezeWithin(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	n := s.Node("n")
	got := 0
	pid := system.Root.Spawn(Props(n, receiver(func(ctx actor.Context) {
		if _, ok := ctx.Message().(string); ok {
			n.Freeze()
			got++
		}
	})))
	system.Root.Send(pid, "x")
	system.Root.Send(pid, "y")
	for want := 1; want <= 2; want++ {
		if !s.Run(nil, 100) || got != want {
			t.Errorf("got %d messages, want %d", got, want)
		}
		n.Thaw()
	}
}

// TestStandStill: a monotonic clock that stands still shows the same time and fires no timer, while the calendar goes on; then it goes on from where it stood.
func TestStandStill(t *testing.T) {
	for _, rate := range []float64{1, 2} {
		r := newFrozenRig(t)
		r.node.SetSkew(0, rate)
		clock := r.node.Clock()
		local := func(d time.Duration) time.Duration { return time.Duration(rate * float64(d)) }
		now, wall := clock.Now(), clock.Wall()
		r.timer(local(2*time.Second), "before")
		r.Advance(time.Second)
		goOn, goOnToo := r.node.StandStill(), r.node.StandStill()
		r.timer(local(3*time.Second), "meanwhile")
		r.timer(0, "at once")
		r.Advance(time.Hour)
		if got := clock.Now() - now; got != local(time.Second) || len(r.events) != 1 {
			t.Fatalf("rate %v: shows %v, %v fired", rate, got, r.events)
		}
		if got := clock.Wall().Sub(wall); got != local(time.Second)+time.Hour {
			t.Errorf("rate %v: the calendar went on by %v", rate, got)
		}
		goOn()
		goOn()
		if r.Advance(time.Minute); clock.Now()-now != local(time.Second) {
			t.Errorf("rate %v: one of two let it go on", rate)
		}
		goOnToo()
		r.Advance(time.Second)
		if got := clock.Now() - now; got != local(2*time.Second) || clock.Wall().Sub(wall) != local(2*time.Second)+time.Hour+time.Minute {
			t.Errorf("rate %v: shows %v and %v", rate, got, clock.Wall().Sub(wall))
		}
		r.Advance(time.Minute)
		if want := []string{"at once", "before", "meanwhile"}; !slices.Equal(r.events, want) {
			t.Errorf("rate %v: %v", rate, r.events)
		}
		r.node.StandStill()
		r.node.SetSkew(time.Hour, rate)
		if got := clock.Wall().Sub(r.Clock().Wall()); got != time.Hour {
			t.Errorf("rate %v: set an hour ahead, the calendar shows %v", rate, got)
		}
	}
}
