package raft

import (
	"math"
	"time"
)

// A window bounds the payload that may be in flight to one follower by what the way to it carries: the rate at which answers come,
// times the least time that an answer takes, is what fills the way without a queue (the bandwidth-delay product, as in BBR:
// Cardwell et al., 2016). More only waits: in the sender's queue, in sockets and in routers, before everybody else's messages.
//
// A way that was not filled has not shown what it carries: then the window stays.
type window struct {
	pace Pace
	size int // bytes

	base      time.Duration // the least that an answer took lately; 0 while unknown
	measured  time.Duration // when
	slow      time.Duration // the most that recent answers took; each answer lets an older one fade by an eighth
	delivered int           // bytes answered so far
	at        time.Duration // when they were, or when something was sent after a time with nothing in flight
}

// start is how many times Pace.MinBytes a window has at first: enough for a first block, not for a queue on a slow way.
const start = 8

func newWindow(p Pace) window { return window{pace: p, size: min(start*p.MinBytes, p.MaxBytes)} }

// A departure is what the window knows about a message when it leaves.
type departure struct {
	at        time.Duration
	alone     bool // nothing else was in flight: its answer measures the way without a queue of ours
	filled    bool // half of the window and more was: its answer measures what the way carries
	delivered int  // of the window, then
	since     time.Duration
}

// sent notes that a message of so many bytes leaves while others are in flight.
func (w *window) sent(now time.Duration, bytes, messages, inFlight int) departure {
	if messages == 0 {
		w.at = now
	}
	return departure{at: now, alone: messages == 0, filled: 2*(inFlight+bytes) >= w.size, delivered: w.delivered, since: w.at}
}

// answered notes the answer to d, the latest of the messages that it answers, which carried so many bytes together.
func (w *window) answered(now time.Duration, d departure, bytes int) {
	if bytes == 0 {
		return // a probe tells nothing of the rate, and its answer may be that of an earlier one
	}
	took := now - d.at
	w.slow = max(took, w.slow-w.slow/8)
	switch {
	case w.base == 0 || took <= w.base || d.alone && w.stale(now):
		w.base, w.measured = took, now
	case d.alone: // it may just have been unlucky
		w.base += (took - w.base) / 8
	}
	w.delivered += bytes
	w.at = now
	if d.filled {
		carries := w.carries(w.delivered-d.delivered, now-d.since)
		if carries < w.size {
			carries = w.size - (w.size-carries)/8
		}
		w.size = min(max(carries, w.pace.MinBytes), 2*w.size)
	}
	if d.alone { // two messages tell whether the way carries more than one
		w.size = max(w.size, 2*bytes)
	}
	w.size = min(w.size, w.pace.MaxBytes)
}

// stale reports whether the way must be measured again. What is in flight is waited for then, and the next message travels alone:
// with others before it, a way that became longer looks like one with a queue.
func (w *window) stale(now time.Duration) bool {
	return w.base > 0 && now-w.measured >= w.pace.MeasureEvery
}

// message returns how large the next message may be.
func (w *window) message(now time.Duration) int {
	switch {
	case w.stale(now): // a large one would measure itself
		return min(w.pace.MinBytes, w.pace.MaxBytes) / 4
	case w.size < w.pace.MaxBytes:
		return w.size / 4
	}
	return math.MaxInt
}

// carries returns how many bytes in flight make no longer a queue than they may, on a way that delivers so many bytes in
// that time. The queue may always be as long as the way, since else a long one would be filled slowly.
func (w *window) carries(bytes int, in time.Duration) int {
	const most = 1 << 30
	within := min(w.base+max(w.base, w.pace.QueueDelay), 100*time.Second).Microseconds()
	return int(min(int64(min(bytes, most))*within/max(in.Microseconds(), 1), most))
}

// timeout is how long an answer may take: twice what recent ones took.
func (w *window) timeout() time.Duration { return min(2*w.slow, w.pace.AnswerMax) }
