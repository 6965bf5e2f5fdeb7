package remote

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// Chaos disturbs a node's traffic, out and in, for tests and demonstrations. The zero Chaos heals: what was
// only delayed arrives at once. Connections stay up, as they do when a network loses packets.
type Chaos struct {
	Drop  float64       // the share of envelopes lost, on the way out and again on the way in; 0 to 1
	Delay time.Duration // added on the way out and again on the way in; order is kept
	Block []raft.NodeID // these nodes neither hear us nor are heard
}

// weather publishes the current Chaos to all goroutines. Most of the time there is none.
type weather struct{ now atomic.Pointer[front] }

type front struct {
	Chaos
	over chan struct{} // closed when another Chaos is set
}

func (w *weather) set(c Chaos) {
	c.Block = slices.Clone(c.Block)
	next := &front{Chaos: c, over: make(chan struct{})}
	if c.Drop <= 0 && c.Delay <= 0 && len(c.Block) == 0 {
		next = nil
	}
	if last := w.now.Swap(next); last != nil {
		close(last.over)
	}
}

// take empties q as far as the weather lets it, which is looked at under the queue's lock: what is pushed after a change of
// weather feels it. It returns what takeLocked does, and the weather there was.
func (w *weather) take(q *queue, batch []Envelope, target int) (taken []Envelope, bytes int, f *front, next time.Time, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f = w.now.Load()
	taken, bytes, next, over = q.takeLocked(batch, target, f.delay())
	return taken, bytes, f, next, over
}

// loses decides the fate of one envelope to or from node.
func (f *front) loses(node raft.NodeID) bool {
	return f != nil && (slices.Contains(f.Block, node) || (f.Drop > 0 && rand.Float64() < f.Drop))
}

// delay is zero in fair weather.
func (f *front) delay() time.Duration {
	if f == nil {
		return 0
	}
	return max(f.Delay, 0)
}

// A delayLine stands between a reading goroutine and Deliver while there is Chaos. Only once something was to be
// delayed does it take a goroutine, which then stays for the rest of the connection, to keep order.
type delayLine struct {
	in      *inbound
	from    raft.NodeID
	peer    *peer
	queue   *queue
	done    chan struct{}
	waiting []waiting
}

func (l *delayLine) running() bool { return l.queue != nil }

// pass takes on what survives f.
func (l *delayLine) pass(batch []Envelope, f *front) {
	now, t := time.Now(), l.in.t
	kept := l.waiting[:0]
	for _, e := range batch {
		if f.loses(l.from) {
			l.peer.dropped.Add(1)
			continue
		}
		kept = append(kept, waiting{Envelope: e, cost: cost(e), at: now})
	}
	l.waiting = kept
	if f.delay() == 0 && !l.running() {
		lucky := batch[:0]
		for _, w := range kept {
			lucky = append(lucky, w.Envelope)
		}
		l.peer.received.Add(uint64(len(lucky)))
		l.in.deliver(l.from, lucky)
	} else {
		if !l.running() {
			l.queue, l.done = newQueue(t.cfg.QueueBytes, false, nil), make(chan struct{})
			go l.run()
		}
		l.peer.dropped.Add(uint64(l.queue.push(kept)))
	}
	clear(kept)
}

func (l *delayLine) run() {
	defer close(l.done)
	defer l.in.survive()
	t := l.in.t
	var batch []Envelope
	for {
		taken, bytes, f, next, over := t.weather.take(l.queue, batch[:0], frameTarget)
		if over {
			return
		}
		if batch = taken; len(batch) == 0 {
			if idle(l.in.ctx, l.queue.wake, f, next) != nil {
				return
			}
			continue
		}
		l.peer.received.Add(uint64(len(batch)))
		l.in.deliver(l.from, batch)
		clear(batch)
		l.queue.release(bytes)
	}
}

// close waits for the goroutine. What is still delayed then is lost with the connection.
func (l *delayLine) close() {
	if l.running() {
		l.in.cancel(nil)
		l.queue.close()
		<-l.done
	}
}
