package stage

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// chatter lets actors of three nodes talk at random for a while, with timers and crashes, and returns all that happened.
func chatter(seed uint64, cost time.Duration) (trace []string) {
	s := NewSeeded(seed)
	s.SetCost(cost)
	s.Observe(func(d Delivery) {
		trace = append(trace, fmt.Sprintf("%d %v %s %s %T", d.Step, d.At, d.Node, d.Actor, d.Message))
	})
	var pids []*actor.PID
	var systems []*actor.ActorSystem
	for i := range 3 {
		node, system := s.Node(fmt.Sprint("node", i)), newSystem()
		rand := node.Rand("talker")
		child := Props(node, func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				if hops, ok := ctx.Message().(int); ok && hops > 0 {
					if rand.IntN(10) == 0 {
						panic("injected")
					}
					to := rand.IntN(len(pids))
					systems[to].Root.Send(pids[to], hops-1)
					node.Clock().AfterFunc(time.Duration(rand.IntN(1000))*time.Microsecond, func() {
						systems[to].Root.Send(pids[to], hops/2)
					})
				}
			})
		}, WithDrained(0), WithLogger(quiet()))
		strategy := &Backoff{Stage: node, First: time.Millisecond, Jitter: 1, Log: quiet()}
		system.Root.Spawn(Props(node, receiver(func(ctx actor.Context) {
			if _, ok := ctx.Message().(*actor.Started); ok {
				pids = append(pids, ctx.Spawn(child))
				systems = append(systems, system)
			}
		}), WithSupervisor(strategy), WithLogger(quiet())))
	}
	s.Run(func() bool { return len(pids) == 3 }, 1000)
	for range 20 {
		for i := range pids {
			systems[i].Root.Send(pids[i], 12)
		}
	}
	s.Run(nil, 5000)
	return trace
}

func TestSameSeedSameTrace(t *testing.T) {
	for _, cost := range []time.Duration{0, 100 * time.Microsecond} {
		for seed := range uint64(3) {
			first, second := chatter(seed, cost), chatter(seed, cost)
			if len(first) < 1000 {
				t.Fatalf("seed %d: %d steps show nothing", seed, len(first))
			}
			if !slices.Equal(first, second) {
				t.Fatalf("seed %d: two runs differ", seed)
			}
			if slices.Equal(first, chatter(seed+100, cost)) {
				t.Fatalf("seeds %d and %d give the same run", seed, seed+100)
			}
		}
	}
}

// TestOneMessageAStep also shows that two mailboxes take turns in every order.
func TestOneMessageAStep(t *testing.T) {
	orders := map[string]bool{}
	for seed := range uint64(50) {
		s, system := NewSeeded(seed), newSystem()
		var log []string
		props := Props(s, receiver(func(ctx actor.Context) {
			if m, ok := ctx.Message().(string); ok {
				log = append(log, m)
			}
		}))
		a, b := system.Root.Spawn(props), system.Root.Spawn(props)
		s.Run(nil, 100)
		for _, m := range []string{"1", "2"} {
			system.Root.Send(a, "a"+m)
			system.Root.Send(b, "b"+m)
		}
		for n := 1; n <= 4; n++ {
			if !s.Step() || len(log) != n {
				t.Fatalf("after %d steps: %v", n, log)
			}
		}
		if s.Step() {
			t.Fatal("a step was left")
		}
		orders[strings.Join(log, " ")] = true
	}
	if len(orders) != 6 {
		t.Errorf("%d orders of 6 came in 50 seeds: %v", len(orders), orders)
	}
}

func TestTimersFireInOrder(t *testing.T) {
	s := NewSeeded(1)
	var log []string
	note := func(what string) func() {
		return func() { log = append(log, fmt.Sprint(what, "@", s.Clock().Now())) }
	}
	clock := s.Clock()
	clock.AfterFunc(3*time.Second, note("c"))
	clock.AfterFunc(time.Second, note("a"))
	clock.AfterFunc(time.Second, note("b"))
	never := clock.AfterFunc(2*time.Second, note("never"))
	if !never.Stop() || never.Stop() {
		t.Error("Stop must work once")
	}
	now := clock.AfterFunc(-time.Second, note("now"))
	s.Advance(2 * time.Second)
	if want := "[now@0s a@1s b@1s]"; !equal(log, want) || clock.Now() != 2*time.Second {
		t.Fatalf("%v at %v, want %s", log, clock.Now(), want)
	}
	if now.Stop() {
		t.Error("Stop of a timer that fired must say so")
	}
	if !s.Step() || s.Step() {
		t.Error("one timer was left")
	}
	if want := "[now@0s a@1s b@1s c@3s]"; !equal(log, want) {
		t.Errorf("%v, want %s", log, want)
	}
	if got := clock.Wall().Sub(wallOrigin); got != 3*time.Second {
		t.Errorf("the calendar moved %v", got)
	}
}

func TestRun(t *testing.T) {
	s, n := NewSeeded(1), 0
	var tick func()
	tick = func() { n++; s.Clock().AfterFunc(time.Second, tick) }
	tick()
	if !s.Run(func() bool { return n == 5 }, 100) || s.Clock().Now() != 4*time.Second {
		t.Errorf("n is %d at %v", n, s.Clock().Now())
	}
	if s.Run(func() bool { return false }, 10) || n != 15 || s.Steps() != 14 {
		t.Errorf("n is %d after %d steps", n, s.Steps())
	}
	if s.Run(nil, 10) {
		t.Error("there was more to do")
	}
	if empty := NewSeeded(1); !empty.Run(nil, 10) || empty.Run(func() bool { return false }, 10) || empty.Step() {
		t.Error("an empty stage has nothing to do")
	}
}

// TestCost lets a timer fall due among messages, which without cost it never does.
func TestCost(t *testing.T) {
	for _, cost := range []time.Duration{0, time.Millisecond} {
		s, system := NewSeeded(1), newSystem()
		s.SetCost(cost)
		left, between := 1000, false
		pid := system.Root.Spawn(Props(s, receiver(func(ctx actor.Context) {
			if _, ok := ctx.Message().(string); ok {
				left--
			}
		})))
		for range left {
			system.Root.Send(pid, "x")
		}
		s.Clock().AfterFunc(100*time.Millisecond, func() { between = left > 0 })
		s.Run(nil, 10_000)
		if between != (cost > 0) {
			t.Errorf("cost %v: the timer fired between messages: %v", cost, between)
		}
	}
}

func TestRandFollowsSeedAndName(t *testing.T) {
	draw := func(seed uint64, node, name string, nth int) uint64 {
		var st Stage = NewSeeded(seed)
		if node != "" {
			st = st.(*Seeded).Node(node)
		}
		for range nth {
			st.Rand(name)
		}
		return st.Rand(name).Uint64()
	}
	base := draw(1, "", "a", 0)
	if draw(1, "", "a", 0) != base {
		t.Error("same seed and name, other numbers")
	}
	for what, got := range map[string]uint64{
		"seed": draw(2, "", "a", 0), "name": draw(1, "", "b", 0), "node": draw(1, "n", "a", 0), "second call": draw(1, "", "a", 1),
	} {
		if got == base {
			t.Errorf("another %s, same numbers", what)
		}
	}
	live := newLive(t)
	if live.Rand("a").Uint64() == live.Rand("a").Uint64() {
		t.Error("live random sources are not random")
	}
}

// TestForeignMailbox runs protoactor's own mailbox on the seeded dispatcher.
func TestForeignMailbox(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	got := 0
	pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(string); ok {
			got++
		}
	}, actor.WithDispatcher(s.Dispatcher())))
	for range 10 {
		system.Root.Send(pid, "x")
	}
	if got != 0 || !s.Run(nil, 100) || got != 10 {
		t.Errorf("%d came", got)
	}
}

// TestHandlerMayDrive: what a handler waits for can be brought about by stepping the others.
func TestHandlerMayDrive(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	answered := false
	other := system.Root.Spawn(Props(s, receiver(func(ctx actor.Context) {
		if _, ok := ctx.Message().(string); ok {
			answered = true
		}
	})))
	inside := 0
	pid := system.Root.Spawn(Props(s, receiver(func(ctx actor.Context) {
		if _, ok := ctx.Message().(string); !ok {
			return
		}
		inside++
		defer func() { inside-- }()
		if inside > 1 {
			t.Error("the actor runs within itself")
		}
		ctx.Send(other, "x")
		s.Run(func() bool { return answered }, 100)
	})))
	system.Root.Send(pid, "a")
	system.Root.Send(pid, "b")
	s.Run(nil, 100)
	if !answered {
		t.Error("no answer")
	}
}
