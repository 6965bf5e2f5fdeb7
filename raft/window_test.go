package raft

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// A way is a link to followers that serves them in turns: it delivers one message after the other, at its rate, and delays
// what it delivers.
type way struct {
	rate  int           // bytes a second
	delay time.Duration // there and back, and the follower's sync: up to half of it more, at random
	now   time.Duration
	seed  *rand.Rand
	flows []*flow
	busy  *flow
	turn  int

	repeated int // messages with entries that were sent before
}

// A flow is a follower that lacks everything.
type flow struct {
	*Progress
	entry   int      // bytes of the least message
	waiting []answer // for their turn on the link
	begun   time.Duration
	answers []answer
	total   int           // bytes delivered
	queue   time.Duration // the longest wait for the link since it was last read
	sent    Index
}

type answer struct {
	at    time.Duration
	match Index
	size  int
}

func newWay(rate int, delay time.Duration) *way {
	return &way{rate: rate, delay: delay, seed: rand.New(rand.NewPCG(1, 1))}
}

func (w *way) join(entry int) *flow {
	p := Pace{MaxBytes: 16 << 20, MaxMessages: 256, RetryFirst: 150 * ms, RetryMax: 1200 * ms}
	f := &flow{Progress: NewProgress(p, 0), entry: entry}
	w.flows = append(w.flows, f)
	return f
}

func (w *way) windows() (bytes int) {
	for _, f := range w.flows {
		bytes += f.Window()
	}
	return bytes
}

// run lets time pass and returns the bytes delivered and the longest wait.
func (w *way) run(d time.Duration) (delivered int, queue time.Duration) {
	for _, f := range w.flows {
		f.total, f.queue = 0, 0
	}
	for end := w.now + d; w.now < end; w.now += ms / 10 {
		for _, f := range w.flows {
			w.serve(f)
		}
		w.carry()
	}
	for _, f := range w.flows {
		delivered, queue = delivered+f.total, max(queue, f.queue)
	}
	return delivered, queue
}

func (w *way) carry() {
	for {
		if f := w.busy; f != nil {
			m := f.waiting[0]
			end := f.begun + time.Duration(float64(m.size+50)/float64(w.rate)*1e9)
			if end > w.now {
				return
			}
			f.waiting = f.waiting[1:]
			f.total += m.size
			f.queue = max(f.queue, f.begun-m.at)
			m.at = end + w.delay + time.Duration(w.seed.Int64N(int64(w.delay/2+1)))
			if n := len(f.answers); n > 0 { // in order
				m.at = max(m.at, f.answers[n-1].at)
			}
			f.answers = append(f.answers, m)
			w.busy = nil
			w.next(end)
			continue
		}
		if w.next(w.now); w.busy == nil {
			return
		}
	}
}

func (w *way) next(at time.Duration) {
	for range w.flows {
		w.turn = (w.turn + 1) % len(w.flows)
		if f := w.flows[w.turn]; len(f.waiting) > 0 {
			f.begun = max(at, f.waiting[0].at)
			w.busy = f
			return
		}
	}
}

func (w *way) serve(f *flow) {
	for len(f.answers) > 0 && f.answers[0].at <= w.now {
		f.Acked(w.now, f.answers[0].match)
		f.answers = f.answers[1:]
	}
	f.Expire(w.now)
	for {
		switch f.Advise(w.now, 1, f.Next()+10) {
		case SendEntries:
			messages, inFlight := f.Inflight()
			size := max(min(f.MessageBytes(w.now), 1<<20), f.entry)
			if messages > 0 && size > f.Window()-inFlight {
				return
			}
			w.send(f, size)
		case SendProbe:
			w.send(f, 0)
		default:
			return
		}
	}
}

func (w *way) send(f *flow, size int) {
	through := f.Next()
	switch {
	case size == 0:
		through--
	case through <= f.sent:
		w.repeated++
	default:
		f.sent = through
	}
	f.Sent(w.now, through, size)
	f.waiting = append(f.waiting, answer{w.now, through, size})
}

// The window finds what a way carries, keeps it busy, and makes no long queue; nothing is sent twice, however slow the answers.
func TestWindowFollowsTheWay(t *testing.T) {
	for _, c := range []struct {
		rate  int
		delay time.Duration
		flows int
		entry int
		queue time.Duration
	}{
		{12.5e6, 5 * ms, 1, 64 << 10, 150 * ms},
		{12.5e6, 5 * ms, 2, 64 << 10, 200 * ms},
		{12.5e6, 5 * ms, 8, 64 << 10, 250 * ms},
		{12.5e6, 5 * ms, 2, 1 << 20, 350 * ms}, // two messages each: they cannot be cut
		{12.5e6, 200 * ms, 1, 1000, 500 * ms},
		{1e6, ms / 2, 1, 1000, 250 * ms},
		{1e6, ms / 2, 8, 1000, 2500 * ms}, // MinBytes each, and what they begin with
		{125e6, ms / 2, 8, 1000, 150 * ms},
		{125e6, 50 * ms, 1, 1 << 20, 150 * ms},
	} {
		t.Run(fmt.Sprintf("%d flows of %d bytes at %.1f MB per s with %v", c.flows, c.entry, float64(c.rate)/1e6, c.delay), func(t *testing.T) {
			w := newWay(c.rate, c.delay)
			for range c.flows {
				w.join(c.entry)
			}
			w.run(5 * time.Second)
			bytes, queue := w.run(3 * time.Second)
			if share := float64(bytes) / 3 / float64(c.rate); share < 0.9 || queue > c.queue {
				t.Errorf("%.0f%% of the rate, a queue of %v; %d bytes of windows", 100*share, queue, w.windows())
			}
			if w.repeated > 0 {
				t.Errorf("%d messages were sent twice", w.repeated)
			}
		})
	}
}

// A way may become narrower or longer under load.
func TestWindowFollowsAChange(t *testing.T) {
	w := newWay(125e6, 5*ms)
	w.join(10_000)
	w.join(10_000)
	w.run(5 * time.Second)
	before := w.windows()
	w.rate = 2e6
	w.run(40 * time.Second)
	if bytes, queue := w.run(3 * time.Second); w.windows() > before/10 || queue > 300*ms || bytes < 5.4e6 {
		t.Errorf("narrower: %d bytes of windows after %d, a queue of %v, %d bytes", w.windows(), before, queue, bytes)
	}
	w.rate, w.delay = 12.5e6, 150*ms
	w.run(15 * time.Second)
	if bytes, queue := w.run(3 * time.Second); bytes < 30e6 || queue > 500*ms {
		t.Errorf("longer: %d bytes of windows, a queue of %v, %d bytes", w.windows(), queue, bytes)
	}
	if w.repeated > 0 {
		t.Errorf("%d messages were sent twice", w.repeated)
	}
}

// A way that was never filled has not shown what it carries.
func TestWindowOfAQuietFollowerStays(t *testing.T) {
	p := NewProgress(Pace{MaxBytes: 16 << 20, MaxMessages: 256}, 0)
	first := p.Window()
	if first != 256<<10 {
		t.Fatalf("begins with %d bytes", first)
	}
	now := time.Duration(0)
	for range 1000 {
		p.Sent(now, p.Next(), 100)
		now += 10 * ms
		p.Acked(now, p.Next()-1)
		now += time.Second
	}
	if p.Window() != first {
		t.Errorf("%d bytes became %d", first, p.Window())
	}
	small := NewProgress(Pace{MaxBytes: 100, MinBytes: 1000}, 0)
	if small.Window() != 100 {
		t.Errorf("a window of %d bytes, at most 100 are allowed", small.Window())
	}
}

// What was taken for lost and is answered after all was only slow: it is in flight again, and not sent a second time.
func TestProgressRecallsWhatWasSlow(t *testing.T) {
	p := NewProgress(Pace{MaxBytes: 1 << 20, MaxMessages: 10, RetryFirst: 10 * ms, RetryMax: 40 * ms}, 0)
	p.Sent(0, 0, 0)
	p.Acked(ms, 0)
	for i := range Index(4) {
		p.Sent(ms, 1+i, 1000)
	}
	lose := func(now time.Duration) {
		t.Helper()
		if !p.Expire(now) {
			t.Fatal("nothing is lost")
		}
		p.expect(t, Probe, p.Match(), p.Match()+1, 0)
	}
	lose(11 * ms)
	p.Sent(11*ms, 0, 0)
	lose(31 * ms) // the probe is slow as well
	p.Sent(31*ms, 0, 0)
	p.Acked(50*ms, 2)
	p.expect(t, Stream, 2, 5, 2)
	if _, bytes := p.Inflight(); bytes != 2000 {
		t.Fatalf("%d bytes in flight", bytes)
	}
	if at, _ := p.Deadline(); at != 50*ms+98*ms {
		t.Fatalf("answers took 49ms, and the next is waited for until %v", at)
	}
	p.Acked(51*ms, 0) // the answers to the probes
	p.expect(t, Stream, 2, 5, 2)
	lose(150 * ms)
	p.Sent(150*ms, 2, 0)
	p.Acked(151*ms, 2) // nothing after 2 has come: it was lost indeed
	p.expect(t, Stream, 2, 3, 0)
	p.Sent(151*ms, 3, 1000) // again
	p.Acked(152*ms, 3)
	p.expect(t, Stream, 3, 4, 0)
	p.Sent(152*ms, 4, 1000)
	at, _ := p.Deadline()
	lose(at)
	p.SnapshotStarted(9)
	p.Acked(at, 4)
	p.expect(t, Snapshot, 4, 4, 0)
}
