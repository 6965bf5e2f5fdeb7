package main

import "sync"

// A queue hands batches from many goroutines to one: what waits is taken at once, and the two slices take turns, so
// that it costs one short lock and no allocation. Unbounded; its users bound what they put.
type queue[T any] struct {
	mu    sync.Mutex
	items []T
	wake  chan<- struct{} // room for one token: something waits
}

// put adds items in order.
func (q *queue[T]) put(items ...T) {
	q.mu.Lock()
	first := len(q.items) == 0
	q.items = append(q.items, items...)
	q.mu.Unlock()
	if first {
		nudge(q.wake)
	}
}

// take returns all that waits; spent is the slice of the last take, to be filled anew.
func (q *queue[T]) take(spent []T) []T {
	clear(spent)
	q.mu.Lock()
	taken := q.items
	q.items = spent[:0]
	q.mu.Unlock()
	return taken
}

// nudge leaves a token unless one is there.
func nudge(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
