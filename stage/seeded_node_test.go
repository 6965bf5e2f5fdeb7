package stage

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

func TestSkewedClock(t *testing.T) {
	s := NewSeeded(1)
	n := s.Node("n")
	clock := n.Clock()
	start := clock.Now()
	s.Advance(time.Second)
	n.SetSkew(time.Hour, 2)
	if got := clock.Now() - start; got != time.Second {
		t.Fatalf("the monotonic clock jumped by %v", got-time.Second)
	}
	if got, want := clock.Wall(), wallOrigin.Add(time.Hour+time.Second); !got.Equal(want) {
		t.Fatalf("the calendar shows %v, want %v", got, want)
	}
	s.Advance(10 * time.Second)
	if got := clock.Now() - start; got != 21*time.Second {
		t.Errorf("it shows %v after 1s and 10s at double rate, want 21s", got)
	}
	if got, want := clock.Wall(), wallOrigin.Add(time.Hour+21*time.Second); !got.Equal(want) {
		t.Errorf("the calendar shows %v, want %v", got, want)
	}
	if s.Clock().Now() != 11*time.Second {
		t.Errorf("the stage's own clock shows %v", s.Clock().Now())
	}
	n.SetSkew(0, 1)
	if got, want := clock.Wall(), wallOrigin.Add(11*time.Second); !got.Equal(want) {
		t.Errorf("set right, the calendar shows %v, want %v", got, want)
	}
}

// TestTimersGoByTheNodesClock for many rates, changed while the timer runs: never early, and late by less than what the clock can show.
func TestTimersGoByTheNodesClock(t *testing.T) {
	for _, rate := range []float64{0.1, 0.5, 0.999, 1, 1.001, 3, 17.3} {
		s := NewSeeded(1)
		n := s.Node("n")
		n.SetSkew(0, rate)
		start := n.Clock().Now()
		var fired time.Duration
		n.Clock().AfterFunc(time.Second, func() { fired = n.Clock().Now() - start })
		s.Clock().AfterFunc(10*time.Millisecond, func() { n.SetSkew(0, 1/rate) })
		s.Run(nil, 10)
		if fired < time.Second || fired > time.Second+20*time.Nanosecond {
			t.Errorf("rate %v: a timer of 1s fired after %v", rate, fired)
		}
	}
}

// TestNoTimerIsEarly where rounding hurts: long after the rate was set, at rates that have no exact form.
func TestNoTimerIsEarly(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		n := &Node{at: time.Duration(random.Int64N(int64(time.Hour))), shown: time.Duration(random.Int64N(int64(time.Hour))), rate: math.Exp(4*random.Float64() - 2)}
		now := n.at + time.Duration(random.Int64N(int64(10*365*24*time.Hour)))
		due := n.local(now) + time.Duration(random.Int64N(int64(time.Hour)))
		at := n.when(due, now)
		if at < now || n.local(at) < due {
			t.Fatalf("rate %v, at %v, now %v: due %v, but at %v the clock shows %v", n.rate, n.at, now, due, at, n.local(at))
		}
		if late := n.local(at) - due; late > time.Microsecond && late > time.Duration(2*n.rate) {
			t.Fatalf("rate %v: %v late", n.rate, late)
		}
	}
}

func TestClocksOfNodesCannotBeCompared(t *testing.T) {
	s := NewSeeded(1)
	a, b, again := s.Node("a"), s.Node("b"), s.Node("a")
	if a.Clock().Now() == b.Clock().Now() || a.Clock().Now() == again.Clock().Now() {
		t.Error("two nodes show the same monotonic time")
	}
	if !a.Clock().Wall().Equal(b.Clock().Wall()) {
		t.Error("right calendars differ")
	}
	if a.Rand("x").Uint64() == again.Rand("x").Uint64() {
		t.Error("the next life draws the same numbers")
	}
}

func TestRateMustBePositive(t *testing.T) {
	for _, rate := range []float64{0, -1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("rate %v was taken", rate)
				}
			}()
			NewSeeded(1).Node("n").SetSkew(0, rate)
		}()
	}
}

// TestHalt crashes one of two nodes with messages and timers of both under way.
func TestHalt(t *testing.T) {
	s := NewSeeded(1)
	type machine struct {
		node   *Node
		system *actor.ActorSystem
		pid    *actor.PID
		got    int
		fired  int
		timer  Timer
	}
	machines := [2]*machine{}
	for i := range machines {
		m := &machine{node: s.Node("n"), system: newSystem()}
		m.pid = m.system.Root.Spawn(Props(m.node, receiver(func(ctx actor.Context) {
			if _, ok := ctx.Message().(*lastWord); ok {
				m.got++
			}
		}), WithDrained(0)))
		machines[i] = m
	}
	s.Run(nil, 100)
	send := func() {
		for _, m := range machines {
			m.system.Root.Send(m.pid, &lastWord{func() { t.Error("a crash answers nobody") }})
			m.timer = m.node.Clock().AfterFunc(time.Second, func() { m.fired++ })
		}
	}
	send()
	crashed, alive := machines[0], machines[1]
	crashed.node.Halt()
	crashed.node.Halt()
	if crashed.timer.Stop() {
		t.Error("a timer of a crashed node could be stopped")
	}
	send()
	crashed.system.Root.Stop(crashed.pid)
	crashed.node.Dispatcher().Schedule(func() { t.Error("a turn of a crashed node ran") })
	if !s.Run(nil, 100) {
		t.Error("something never ends")
	}
	box := crashed.node.Mailbox(0)()
	for range 10 {
		box.PostUserMessage("x")
	}
	if n := box.UserMessageCount(); n != 0 {
		t.Errorf("the crashed node still queues: %d", n)
	}
	if crashed.got != 0 || crashed.fired != 0 {
		t.Errorf("the crashed node got %d messages and %d timers", crashed.got, crashed.fired)
	}
	if alive.got != 2 || alive.fired != 2 {
		t.Errorf("the other got %d messages and %d timers, want 2 and 2", alive.got, alive.fired)
	}
}

// TestHaltWithin crashes the node from within its handler and its timer.
func TestHaltWithin(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	n := s.Node("n")
	got := 0
	pid := system.Root.Spawn(Props(n, receiver(func(ctx actor.Context) {
		if _, ok := ctx.Message().(string); ok {
			got++
			n.Clock().AfterFunc(0, func() { t.Error("fired") })
			n.Halt()
			n.Clock().AfterFunc(0, func() { t.Error("fired") })
			ctx.Send(ctx.Self(), "again")
		}
	})))
	system.Root.Send(pid, "x")
	system.Root.Send(pid, "y")
	if !s.Run(nil, 100) || got != 1 {
		t.Errorf("got %d messages", got)
	}
}
