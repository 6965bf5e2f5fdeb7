package stage_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/stage"
)

// A turnClock is moved by hand, and fires its timers as it passes them.
type turnClock struct {
	mu     sync.Mutex
	now    time.Duration
	timers []*turnTimer
}

type turnTimer struct {
	clock *turnClock
	at    time.Duration
	f     func()
}

func (c *turnClock) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *turnClock) Wall() time.Time { return time.Unix(0, 0).Add(c.Now()) }

func (c *turnClock) AfterFunc(d time.Duration, f func()) stage.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &turnTimer{c, c.now + d, f}
	c.timers = append(c.timers, t)
	return t
}

func (t *turnTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	n := len(t.clock.timers)
	t.clock.timers = slices.DeleteFunc(t.clock.timers, func(o *turnTimer) bool { return o == t })
	return len(t.clock.timers) < n
}

func (c *turnClock) move(d time.Duration) {
	c.mu.Lock()
	c.now += d
	var due []*turnTimer
	c.timers = slices.DeleteFunc(c.timers, func(t *turnTimer) bool {
		if t.at <= c.now {
			due = append(due, t)
		}
		return t.at <= c.now
	})
	c.mu.Unlock()
	for _, t := range due {
		t.f()
	}
}

// nobody is brief.
const nobody time.Duration = -1

// A table is some actors that share turns.
type table struct {
	t     *testing.T
	clock turnClock
	turns *stage.Turns
	all   map[string]*stage.Turn
	got   []string // who was granted a turn that it waited for
}

func newTable(t *testing.T, most int, brief time.Duration, names ...string) *table {
	b := &table{t: t, all: map[string]*stage.Turn{}}
	b.turns = stage.NewTurns(stage.TurnsConfig{Most: most, Stall: time.Second, Lead: time.Millisecond, Brief: brief, Clock: &b.clock})
	for _, name := range names {
		b.all[name] = b.turns.Join()
	}
	return b
}

func (b *table) takes(name string, want bool) {
	b.t.Helper()
	u := b.all[name]
	if has := u.Take() || u.Wait(func() { b.got = append(b.got, name) }); has != want {
		b.t.Fatalf("%s has a turn at once: %v", name, has)
	}
}

func (b *table) granted(want ...string) {
	b.t.Helper()
	if !slices.Equal(b.got, want) {
		b.t.Fatalf("granted %v, want %v", b.got, want)
	}
	b.got = nil
}

// No more than so many have a turn at a time, and what is given back goes to who waits.
func TestTurnsAreBounded(t *testing.T) {
	b := newTable(t, 2, nobody, "a", "b", "c", "d")
	b.takes("a", true)
	b.takes("b", true)
	b.takes("c", false)
	b.takes("d", false)
	b.granted()
	b.all["a"].Give()
	b.granted("c")
	b.all["d"].Give() // it waits no longer
	b.all["b"].Give()
	b.all["b"].Give()
	b.granted()
	b.takes("a", true)
	b.takes("b", false)
}

// Who has had less comes first, and of equals who came first. Nobody saves up while it wants nothing.
func TestTurnsAreFair(t *testing.T) {
	b := newTable(t, 1, nobody, "busy", "busier", "quiet")
	for range 3 {
		b.takes("busy", true)
		b.clock.move(10 * time.Millisecond)
		b.all["busy"].Give()
		b.takes("busier", true)
		b.clock.move(20 * time.Millisecond)
		b.all["busier"].Give()
	}
	b.takes("busier", true)
	b.takes("busy", false)
	b.takes("quiet", false)
	b.clock.move(time.Millisecond)
	if !b.all["busier"].Due() {
		t.Error("who has had most goes on while others wait")
	}
	b.takes("busier", false)
	b.granted("busy") // the quiet one has what the last had had by then, and came later
	b.all["busy"].Give()
	b.granted("quiet")
	b.all["quiet"].Give()
	b.granted("busier")
	if b.all["busier"].Due() {
		t.Error("it is to go although nobody waits")
	}
}

// Whoever has had more than one who waits is told when to stop, and is left some lead: else turns would change with every entry.
func TestTurnsEndForWhoHasHadLess(t *testing.T) {
	b := newTable(t, 1, nobody, "busy", "quiet")
	b.takes("busy", true)
	b.clock.move(5 * time.Millisecond)
	busy := b.all["busy"]
	if busy.Over() || busy.Due() {
		t.Error("it is over, and nobody waits")
	}
	busy.Give()
	b.takes("busy", true)
	b.takes("quiet", false)
	if busy.Over() {
		t.Error("it is over at once")
	}
	b.clock.move(time.Millisecond)
	if !busy.Over() || !busy.Due() {
		t.Error("it is not over although it has had a lead")
	}
}

// Who is brief waits for nobody, one at a time, until a turn turns out to be long.
func TestBriefTurnsComeAtOnce(t *testing.T) {
	b := newTable(t, 1, time.Microsecond, "busy", "brief", "other")
	for _, name := range []string{"brief", "other"} {
		b.takes(name, true)
		b.all[name].Give()
	}
	b.takes("busy", true)
	b.takes("brief", true)
	b.takes("other", false)
	b.all["other"].Give()
	b.clock.move(time.Millisecond)
	if !b.all["brief"].Over() || !b.all["brief"].Due() {
		t.Error("it goes on for as long as it likes")
	}
	b.takes("brief", false)
	b.takes("other", true)
	b.all["other"].Give()
	b.all["brief"].Give()
	b.takes("brief", false)
}

// Nobody waits longer for a turn that does not end than the limit, whoever else waits. It counts no more, also when it ends.
func TestTurnThatHangsIsReplaced(t *testing.T) {
	b := newTable(t, 1, nobody, "hung", "b", "c", "d")
	b.takes("hung", true)
	b.clock.move(time.Minute) // with nobody waiting it may
	b.takes("b", false)
	b.takes("c", false)
	b.clock.move(999 * time.Millisecond)
	b.takes("d", false)
	b.granted()
	b.clock.move(time.Millisecond)
	b.granted("b", "c") // of which one counts
	if !b.all["hung"].Due() {
		t.Error("it may go on as if nothing had been")
	}
	b.all["hung"].Give()
	b.all["c"].Give()
	b.granted() // b has its turn
	b.all["b"].Give()
	b.granted("d")
	b.takes("b", false)
	b.all["d"].Give()
	b.granted("b")
}

// Goroutines that take turns never have more than there are, and all get some.
func TestTurnsAmongGoroutines(t *testing.T) {
	turns := stage.NewTurns(stage.TurnsConfig{Most: 2})
	var mu sync.Mutex
	var wg sync.WaitGroup
	now, most := 0, 0
	for range 8 {
		wg.Go(func() {
			u, grants := turns.Join(), make(chan struct{}, 1)
			for range 200 {
				if !u.Take() && !u.Wait(func() { grants <- struct{}{} }) {
					select {
					case <-grants:
					case <-time.After(10 * time.Second):
						t.Error("never had a turn")
						return
					}
				}
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				mu.Lock()
				now--
				mu.Unlock()
				u.Give()
			}
		})
	}
	wg.Wait()
	if most > 2 {
		t.Errorf("%d turns at a time", most)
	}
}
