package election

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

var short = Timeout{Min: 150 * time.Millisecond, Max: 300 * time.Millisecond}

func TestElapsesOnceWithinTheRange(t *testing.T) {
	b := newBench(t, short)
	b.expect(&OnDuty{})
	b.clock.advance(time.Hour)
	b.expect() // no order yet

	b.send(Arm{Seq: 1})
	b.clock.advance(short.Min - 1)
	b.expect()
	b.clock.advance(short.Max - short.Min)
	b.expect(Elapsed{Seq: 1})
	b.clock.advance(time.Hour)
	b.expect()
	if len(b.clock.timers) != 0 {
		t.Fatal("a timer runs though nothing is waited for")
	}
}

func TestRepeatedArmMovesTheDeadlineButNoTimer(t *testing.T) {
	b := newBench(t, short)
	b.expect(&OnDuty{})
	const beats, every = 2000, 10 * time.Millisecond
	for i := range uint64(beats) {
		b.send(Arm{Seq: i})
		if len(b.clock.timers) != 1 {
			t.Fatalf("%d timers run, want 1", len(b.clock.timers))
		}
		b.clock.advance(every)
	}
	b.expect()
	if most := int(beats * every / short.Min); b.clock.started > most+1 {
		t.Errorf("%d timers were started for %d Arms, want at most one every Min, %d", b.clock.started, beats, most)
	}
	b.clock.advance(short.Max)
	b.expect(Elapsed{Seq: beats - 1}) // superseded Arms stay silent
}

// No Elapsed may ever come sooner than Min or later than Max after the last Arm, however Arms fall.
func TestEveryWaitIsWithinTheRange(t *testing.T) {
	b := newBench(t, short)
	b.expect(&OnDuty{})
	r := rand.New(rand.NewPCG(3, 4))
	for seq := range uint64(500) {
		b.send(Arm{Seq: seq})
		armed := b.clock.now
		if gap := time.Duration(r.Int64N(int64(short.Min))); r.IntN(4) > 0 {
			b.clock.advance(gap)
			b.expect()
			continue
		}
		for len(b.heard) == 0 {
			b.clock.pop(t)()
		}
		b.expect(Elapsed{Seq: seq})
		if waited := b.clock.now - armed; waited < short.Min || waited >= short.Max {
			t.Fatalf("waited %v", waited)
		}
	}
}

// fireAtDeadline lets early wake-ups pass and returns the function of the timer that is due at the deadline.
func fireAtDeadline(t *testing.T, b *bench) func() {
	t.Helper()
	b.clock.pop(t)() // Min: too early
	b.expect()
	return b.clock.pop(t)
}

func TestResetAndFireTogether(t *testing.T) {
	b := newBench(t, short)
	b.expect(&OnDuty{})
	b.send(Arm{Seq: 1})
	fired := fireAtDeadline(t, b)
	b.send(Arm{Seq: 2}) // gets to the mailbox before what the timer sends
	fired()
	b.expect()
	b.clock.advance(short.Max)
	b.expect(Elapsed{Seq: 2})
}

func TestBecameLeaderBetweenFireAndWake(t *testing.T) {
	b := newBench(t, short)
	b.expect(&OnDuty{})
	b.send(Arm{Seq: 1})
	fired := fireAtDeadline(t, b)
	b.send(Disarm{Seq: 2})
	fired()
	b.clock.advance(time.Hour)
	b.expect()
	if len(b.clock.timers) != 0 {
		t.Fatal("a timer runs after Disarm")
	}
}

// The parent cannot tell a wish that crossed with Elapsed but by its Seq.
func TestResetBetweenFireAndStart(t *testing.T) {
	b := newBench(t, short)
	b.expect(&OnDuty{})
	b.send(Arm{Seq: 1})
	fireAtDeadline(t, b)()
	b.expect(Elapsed{Seq: 1}) // on its way when the parent sends the next Arm: old Seq, dropped there
	b.send(Arm{Seq: 2})
	b.clock.advance(short.Max)
	b.expect(Elapsed{Seq: 2})
}

func TestSpuriousWakeUps(t *testing.T) {
	b := newBench(t, short)
	b.expect(&OnDuty{})
	b.send(Arm{Seq: 1})
	stale := b.clock.pop(t)
	b.send(Disarm{Seq: 2})
	b.send(Arm{Seq: 3})
	armed := b.clock.now
	for range 3 {
		stale() // of a timer that was stopped
		b.send(new(wakeUp))
	}
	b.expect()
	if len(b.clock.timers) != 1 {
		t.Fatalf("%d timers run, want 1", len(b.clock.timers))
	}
	for len(b.heard) == 0 {
		stale()
		b.clock.pop(t)()
	}
	b.expect(Elapsed{Seq: 3})
	if waited := b.clock.now - armed; waited < short.Min || waited >= short.Max {
		t.Fatalf("waited %v", waited)
	}
}

// A clock that fires early, as one that is slewed may, must not shorten the wait.
func TestTimerThatComesEarly(t *testing.T) {
	b := newBench(t, short)
	b.expect(&OnDuty{})
	b.send(Arm{Seq: 1})
	fired := b.clock.pop(t)
	b.clock.now -= 100 * time.Millisecond
	fired()
	b.expect()
	b.clock.advance(short.Max)
	b.expect(Elapsed{Seq: 1})
}

func TestStoppedJustBeforeTheWait(t *testing.T) {
	b := newBench(t, short)
	b.expect(&OnDuty{})
	b.send(Arm{Seq: 1})
	b.system.Root.Stop(b.timer)
	if len(b.clock.timers) != 0 {
		t.Fatal("a timer outlives its actor")
	}
	b.send(Arm{Seq: 2})
	b.clock.advance(time.Hour)
	b.expect()
}

func TestStoppedWhileTheTimerFires(t *testing.T) {
	b := newBench(t, short)
	b.expect(&OnDuty{})
	b.send(Arm{Seq: 1})
	fired := fireAtDeadline(t, b)
	b.system.Root.Stop(b.timer)
	fired()
	b.expect()
}

func TestRestartWaitsForOrders(t *testing.T) {
	b := newBench(t, short)
	b.expect(&OnDuty{})
	b.send(Arm{Seq: 1})
	stale := b.clock.pop(t)
	b.system.Root.Send(b.parent, func(c actor.Context) { c.(actor.Supervisor).RestartChildren(b.timer) })
	b.expect(&OnDuty{})
	stale() // the earlier incarnation's
	b.clock.advance(time.Hour)
	b.expect()
	b.send(Arm{Seq: 2})
	stale()
	b.clock.advance(short.Max)
	b.expect(Elapsed{Seq: 2})
}

func TestUnknownMessagesAreLogged(t *testing.T) {
	b := newBench(t, short)
	b.send("what")
	if got := b.logged.String(); !strings.Contains(got, "unexpected message") || !strings.Contains(got, "string") {
		t.Fatalf("logged %q", got)
	}
}

func TestDrawIsUniform(t *testing.T) {
	const draws, bins = 60_000, 15
	r := rand.New(rand.NewPCG(1, 2))
	var count [bins]int
	width := (short.Max - short.Min) / bins
	for range draws {
		d := short.draw(r)
		if d < short.Min || d >= short.Max {
			t.Fatalf("drew %v", d)
		}
		count[(d-short.Min)/width]++
	}
	var chi float64
	for _, n := range count {
		diff := float64(n) - draws/bins
		chi += diff * diff / (draws / bins)
	}
	if chi > 36.1 { // 14 degrees of freedom, 0.1%; the seed is fixed, so this never flickers
		t.Errorf("chi-square %.1f: not uniform, %v", chi, count)
	}
	one := Timeout{Min: 5, Max: 6}
	if d := one.draw(r); d != 5 {
		t.Errorf("drew %d from [5,6)", d)
	}
}

func TestValidate(t *testing.T) {
	if err := short.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := (Timeout{}).withDefaults().Validate(); err != nil {
		t.Fatal(err)
	}
	err := Timeout{Min: -1, Max: -2}.Validate()
	if err == nil || !strings.Contains(err.Error(), "not positive") || !strings.Contains(err.Error(), "not above") {
		t.Fatalf("%v names not every fault", err)
	}
}

func BenchmarkArm(b *testing.B) {
	x := &timer{timeout: short, clock: &handClock{}, draws: rand.New(rand.NewPCG(1, 2)), running: &handTimer{}}
	b.ReportAllocs()
	for b.Loop() {
		x.arm(nil, Arm{Seq: 1})
	}
}
