package remote

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A queue holds what waits for a goroutine: posts for a socket, or received envelopes under Chaos. It is bounded by bytes
// and refuses what does not fit. Many may push, one takes.
//
// A fair queue lets the groups that wait take turns, so that one that sends much delays itself, not the others (deficit round
// robin: Shreedhar and Varghese, 1996). Order is kept within each group, and in a queue that is not fair in all of it.
type queue struct {
	limit int
	fair  bool
	gauge *atomic.Int64 // bytes, for Stats; may be nil
	wake  chan struct{} // one token: there is something new

	mu     sync.Mutex
	lines  map[raft.GroupID]*line // those with something in them; only group 0's in a queue that is not fair
	active []*line
	turn   int     // in active
	spare  []*line // for the next that begin
	items  int     // waiting
	bytes  int     // waiting or taken and not yet released
	closed bool
}

// A line is what waits for one group.
type line struct {
	group   raft.GroupID
	items   []waiting
	taken   int // items[:taken] have left
	deficit int // bytes that it may still take in its turn
}

const (
	quantum    = 64 << 10 // bytes that a group is granted in its turn
	spareLines = 64       // kept for reuse
)

// waiting is an envelope with its cost and, for Chaos, when it came.
type waiting struct {
	Envelope
	cost int
	at   time.Time
}

func newQueue(limit int, fair bool, gauge *atomic.Int64) *queue {
	return &queue{limit: limit, fair: fair, gauge: gauge, wake: make(chan struct{}, 1), lines: map[raft.GroupID]*line{}}
}

// push adds batch and returns how many envelopes were refused. An empty queue takes any single one, so that the limit
// never makes a message impossible that MaxFrame allows.
func (q *queue) push(batch []waiting) (refused int) {
	q.mu.Lock()
	var l *line
	for _, w := range batch {
		if q.closed || (q.bytes > 0 && q.bytes+w.cost > q.limit) {
			refused++
			continue
		}
		q.count(w.cost)
		l = q.line(l, w.Group)
		l.items = append(l.items, w)
		q.items++
	}
	q.mu.Unlock()
	if refused < len(batch) {
		q.ring()
	}
	return refused
}

// line returns where what is for group waits, which last is likely to be.
func (q *queue) line(last *line, group raft.GroupID) *line {
	if !q.fair {
		group = 0
	}
	if last != nil && last.group == group {
		return last
	}
	l := q.lines[group]
	if l == nil {
		if n := len(q.spare); n > 0 {
			l, q.spare = q.spare[n-1], q.spare[:n-1]
		} else {
			l = &line{}
		}
		l.group, q.lines[group] = group, l
		q.active = append(q.active, l)
	}
	return l
}

func (q *queue) ring() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// takeLocked moves envelopes that came no later than delay ago to the end of batch, up to about target bytes and at least
// one. They count against the limit until released. When nothing is due, next is when something will be, or zero
// when the queue is empty; over says that it is empty and closed. The caller holds q.mu: see weather.take.
func (q *queue) takeLocked(batch []Envelope, target int, delay time.Duration) (_ []Envelope, bytes int, next time.Time, over bool) {
	if q.items == 0 {
		return batch, 0, time.Time{}, q.closed
	}
	for early := 0; q.items > 0 && early < len(q.active); {
		l := q.active[q.turn]
		w := &l.items[l.taken]
		if due := w.at.Add(delay); delay > 0 && time.Now().Before(due) {
			if next.IsZero() || due.Before(next) {
				next = due
			}
			q.pass()
			early++
			continue
		}
		if bytes > 0 && bytes+w.cost > target {
			break
		}
		if q.fair && l.deficit < w.cost {
			l.deficit += quantum
			q.pass()
			early = 0
			continue
		}
		early = 0
		bytes += w.cost
		batch = append(batch, w.Envelope)
		q.takeFrom(l)
	}
	if len(batch) > 0 {
		next = time.Time{}
	}
	return batch, bytes, next, false
}

// takeFrom removes the first of the line whose turn it is.
func (q *queue) takeFrom(l *line) {
	l.deficit -= l.items[l.taken].cost
	l.items[l.taken] = waiting{}
	l.taken++
	q.items--
	if l.trim(); len(l.items) > 0 {
		return
	}
	delete(q.lines, l.group)
	q.active = slices.Delete(q.active, q.turn, q.turn+1)
	if q.turn == len(q.active) {
		q.turn = 0
	}
	if l.deficit = 0; len(q.spare) < spareLines {
		q.spare = append(q.spare, l)
	}
}

func (q *queue) pass() { q.turn = (q.turn + 1) % len(q.active) }

// trim gives memory back: the array of a burst when it is over, and the taken half of one that never is.
func (l *line) trim() {
	if rest := len(l.items) - l.taken; rest == 0 {
		l.items, l.taken = l.items[:0], 0
		if cap(l.items) > 4096 {
			l.items = nil
		}
	} else if l.taken > 4096 && l.taken > rest {
		l.items = append([]waiting(nil), l.items[l.taken:]...)
		l.taken = 0
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
	n := q.items
	q.count(-q.bytes)
	q.items, q.closed = 0, true
	q.lines, q.active, q.spare, q.turn = nil, nil, nil, 0
	return n
}

func (q *queue) count(bytes int) {
	q.bytes += bytes
	if q.gauge != nil {
		q.gauge.Add(int64(bytes))
	}
}
