package remote

import (
	"sync"
	"sync/atomic"
	"time"
)

// A queue holds what waits for a goroutine: posts for a socket, or received envelopes under Chaos. It is bounded by bytes
// and refuses what does not fit. Many may push, one takes.
type queue struct {
	limit int
	gauge *atomic.Int64 // bytes, for Stats; may be nil
	wake  chan struct{} // one token: there is something new

	mu     sync.Mutex
	items  []waiting
	taken  int // items[:taken] have left
	bytes  int // waiting or taken and not yet released
	closed bool
}

// waiting is an envelope with its cost and, for Chaos, when it came.
type waiting struct {
	Envelope
	cost int
	at   time.Time
}

func newQueue(limit int, gauge *atomic.Int64) *queue {
	return &queue{limit: limit, gauge: gauge, wake: make(chan struct{}, 1)}
}

// push adds batch and returns how many envelopes were refused. An empty queue takes any single one, so that the limit
// never makes a message impossible that MaxFrame allows.
func (q *queue) push(batch []waiting) (refused int) {
	q.mu.Lock()
	if q.taken > 0 && q.taken == len(q.items) {
		q.items, q.taken = q.items[:0], 0
	}
	for _, w := range batch {
		if q.closed || (q.bytes > 0 && q.bytes+w.cost > q.limit) {
			refused++
			continue
		}
		q.count(w.cost)
		q.items = append(q.items, w)
	}
	q.mu.Unlock()
	if refused < len(batch) {
		q.ring()
	}
	return refused
}

func (q *queue) ring() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// takeLocked moves envelopes that came no later than until to the end of batch, up to about target bytes and at least
// one. They count against the limit until released. When nothing is due, next is when something will be, or zero
// when the queue is empty; over says that it is empty and closed. The caller holds q.mu: see weather.take.
func (q *queue) takeLocked(batch []Envelope, target int, delay time.Duration) (_ []Envelope, bytes int, next time.Time, over bool) {
	if q.taken == len(q.items) {
		return batch, 0, time.Time{}, q.closed
	}
	if delay > 0 {
		if due := q.items[q.taken].at.Add(delay); time.Now().Before(due) {
			return batch, 0, due, false
		}
	}
	for q.taken < len(q.items) {
		w := &q.items[q.taken]
		if bytes > 0 && (bytes+w.cost > target || (delay > 0 && time.Since(w.at) < delay)) {
			break
		}
		bytes += w.cost
		batch = append(batch, w.Envelope)
		*w = waiting{}
		q.taken++
	}
	q.trim()
	return batch, bytes, time.Time{}, false
}

// trim gives memory back: the array of a burst when it is over, and the taken half of one that never is.
func (q *queue) trim() {
	if rest := len(q.items) - q.taken; rest == 0 {
		q.items, q.taken = q.items[:0], 0
		if cap(q.items) > 4096 {
			q.items = nil
		}
	} else if q.taken > 4096 && q.taken > rest {
		q.items = append([]waiting(nil), q.items[q.taken:]...)
		q.taken = 0
	}
}

// release gives back bytes that were taken.
func (q *queue) release(bytes int) {
	q.mu.Lock()
	q.count(-bytes)
	q.mu.Unlock()
}

// close lets nothing more in. What is there may still be taken.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.ring()
}

// drop empties the queue for good and returns how many envelopes waited. Nothing may be released after it.
func (q *queue) drop() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.items) - q.taken
	q.count(-q.bytes)
	q.items, q.taken, q.closed = nil, 0, true
	return n
}

func (q *queue) count(bytes int) {
	q.bytes += bytes
	if q.gauge != nil {
		q.gauge.Add(int64(bytes))
	}
}
