package election

import (
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/stage"
)

// A handStage runs every actor on the goroutine that sends to it and moves time by hand, so that a test
// chooses the order of every race.
type handStage struct {
	*stage.Live
	clock *handClock
	seed  uint64
}

func (s *handStage) Clock() stage.Clock           { return s.clock }
func (s *handStage) Rand(string) *rand.Rand       { return rand.New(rand.NewPCG(s.seed, 1)) }
func (s *handStage) Dispatcher() actor.Dispatcher { return actor.NewSynchronizedDispatcher(300) }

type handClock struct {
	now     time.Duration
	timers  []*handTimer
	started int
}

type handTimer struct {
	clock *handClock
	at    time.Duration
	f     func()
}

func (c *handClock) Now() time.Duration { return c.now }
func (c *handClock) Wall() time.Time    { return time.Unix(0, int64(c.now)) }

func (c *handClock) AfterFunc(d time.Duration, f func()) stage.Timer {
	c.started++
	t := &handTimer{clock: c, at: c.now + d, f: f}
	c.timers = append(c.timers, t)
	return t
}

// Stop implements stage.Timer.
func (t *handTimer) Stop() bool { return t.clock.remove(t) }

func (c *handClock) remove(t *handTimer) bool {
	for i := range c.timers {
		if c.timers[i] == t {
			c.timers = append(c.timers[:i:i], c.timers[i+1:]...)
			return true
		}
	}
	return false
}

// pop moves time to the next timer and returns its function, which is fired but has not run yet.
func (c *handClock) pop(t *testing.T) func() {
	t.Helper()
	if len(c.timers) != 1 {
		t.Fatalf("%d timers run, want 1", len(c.timers))
	}
	next := c.timers[0]
	c.now = max(c.now, next.at)
	c.remove(next)
	return next.f
}

// advance lets time pass and timers fire.
func (c *handClock) advance(d time.Duration) {
	end := c.now + d
	for len(c.timers) > 0 && c.timers[0].at <= end {
		next := c.timers[0]
		c.now = next.at
		c.remove(next)
		next.f()
	}
	c.now = end
}

// A bench is a timer under a parent that records what it says.
type bench struct {
	t      *testing.T
	clock  *handClock
	system *actor.ActorSystem
	parent *actor.PID
	timer  *actor.PID
	heard  []any
	logged strings.Builder
}

func newBench(t *testing.T, timeout Timeout) *bench {
	t.Helper()
	b := &bench{t: t, clock: &handClock{}}
	s := &handStage{Live: stage.NewLive(), clock: b.clock, seed: 7}
	t.Cleanup(s.Close)
	log := slog.New(slog.NewTextHandler(&b.logged, nil))
	b.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return log }))
	b.parent = b.system.Root.Spawn(stage.Props(s, func() actor.Actor { return actor.ReceiveFunc(b.receive(s, timeout, log)) }))
	if b.timer == nil {
		t.Fatal("the timer did not start")
	}
	t.Cleanup(func() { b.system.Root.Stop(b.parent) })
	return b
}

func (b *bench) receive(s stage.Stage, timeout Timeout, log *slog.Logger) actor.ReceiveFunc {
	return func(c actor.Context) {
		switch m := c.Message().(type) {
		case *actor.Started:
			b.timer = c.Spawn(Props(Config{Stage: s, Timeout: timeout, Log: log, Name: "g"}))
		case *OnDuty, Elapsed:
			b.heard = append(b.heard, m)
		case func(actor.Context):
			m(c)
		}
	}
}

func (b *bench) send(m any) { b.system.Root.Send(b.timer, m) }

// expect compares what the parent heard since last time.
func (b *bench) expect(want ...any) {
	b.t.Helper()
	if len(b.heard) != len(want) {
		b.t.Fatalf("heard %v, want %v", b.heard, want)
	}
	for i := range want {
		if _, duty := want[i].(*OnDuty); duty {
			if _, ok := b.heard[i].(*OnDuty); ok {
				continue
			}
		}
		if b.heard[i] != want[i] {
			b.t.Fatalf("heard %v, want %v", b.heard, want)
		}
	}
	b.heard = nil
}
