package stage

import (
	"container/heap"
	"math"
	"time"
)

// wallOrigin is what the calendar says when a seeded stage begins.
var wallOrigin = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// longest bounds what a timer waits, so that no sum overflows.
const longest = 50 * 365 * 24 * time.Hour

// A nodeClock is the clock that a node sees.
type nodeClock struct{ node *Node }

func (c nodeClock) Now() time.Duration {
	s := c.node.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.node.local(s.now)
}

func (c nodeClock) Wall() time.Time {
	s := c.node.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	stood := time.Duration(0)
	if c.node.still > 0 {
		stood = s.now - c.node.at
	}
	return wallOrigin.Add(c.node.local(s.now) + c.node.ahead + stood)
}

// AfterFunc runs f on the driver's goroutine. Timers that are due at the same time fire in the order they were made.
func (c nodeClock) AfterFunc(d time.Duration, f func()) Timer {
	n, s := c.node, c.node.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created++
	t := &seededTimer{node: n, sequence: s.created, f: f, index: -1}
	t.due = n.local(s.now) + min(max(d, 0), longest)
	t.at = n.when(t.due, s.now)
	switch {
	case n.halted.Load():
	case n.frozen:
		t.held = true
		n.heldTimers = append(n.heldTimers, t)
	default:
		heap.Push(&s.timers, t)
	}
	return t
}

// local is what the node's monotonic clock shows at the stage's time t. It is called with the lock held.
func (n *Node) local(t time.Duration) time.Duration {
	switch {
	case n.still > 0:
		return n.shown
	case n.rate == 1:
		return n.shown + t - n.at
	}
	return n.shown + time.Duration(float64(t-n.at)*n.rate)
}

// when is the first time of the stage, from now on, at which the node's clock shows due or more: no timer fires early.
func (n *Node) when(due, now time.Duration) time.Duration {
	if n.still > 0 && due > n.shown {
		return now + longest
	}
	wait := math.Ceil(float64(due-n.shown) / n.rate)
	t := n.at + time.Duration(min(wait, float64(longest)))
	if n.rate == 1 {
		t = n.at + due - n.shown
	}
	for t-n.at < longest && n.local(t) < due {
		t++
	}
	return max(t, now)
}

// A seededTimer waits in the stage's heap.
type seededTimer struct {
	node     *Node
	due      time.Duration // by the node's clock
	at       time.Duration // by the stage's
	sequence uint64
	f        func()
	index    int  // in the heap; -1: not waiting there
	held     bool // until the node thaws
}

// Stop implements Timer.
func (t *seededTimer) Stop() bool {
	s := t.node.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.held {
		t.held = false
		return true
	}
	if t.index < 0 {
		return false
	}
	heap.Remove(&s.timers, t.index)
	return true
}

// A timerHeap orders timers by time, then by the order they were made in. It implements heap.Interface.
type timerHeap []*seededTimer

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].sequence < h[j].sequence
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *timerHeap) Push(x any) {
	t := x.(*seededTimer)
	t.index = len(*h)
	*h = append(*h, t)
}

func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.index = -1
	return t
}

// retime moves a node's timers after its rate changed.
func (h *timerHeap) retime(n *Node) {
	for _, t := range *h {
		if t.node == n {
			t.at = n.when(t.due, n.at)
		}
	}
	heap.Init(h)
}

// remove takes a node's timers out.
func (h *timerHeap) remove(n *Node) (removed []*seededTimer) {
	kept := (*h)[:0]
	for _, t := range *h {
		if t.node == n {
			t.index = -1
			removed = append(removed, t)
			continue
		}
		t.index = len(kept)
		kept = append(kept, t)
	}
	clear((*h)[len(kept):])
	*h = kept
	heap.Init(h)
	return removed
}
