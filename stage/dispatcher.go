package stage

import (
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	maxParked  = 64              // workers that wait for work; more end when they are done
	trimEvery  = 5 * time.Second // workers that were not needed for this long end
	throughput = 300             // messages before a mailbox lets others run
)

// A reuser is a dispatcher that hands each turn to a worker that waits, or else starts one. A fresh goroutine a turn, as
// protoactor's default has it, spends most of its time growing its stack. Actors may block: a blocked worker is just not parked.
type reuser struct {
	mu     sync.Mutex
	parked []*worker // the last one parked last
	unused int       // how many of the first were parked since the last trim
	timer  *time.Timer
	closed bool
}

// A worker waits for its next turn; nil ends it. The channel has room for one, so handing over never blocks.
type worker struct{ work chan func() }

var _ actor.Dispatcher = (*reuser)(nil)

// Schedule runs fn on another goroutine. It never blocks.
func (r *reuser) Schedule(fn func()) {
	r.mu.Lock()
	n := len(r.parked) - 1
	if n < 0 {
		r.mu.Unlock()
		go r.run(fn)
		return
	}
	w := r.parked[n] // it has the warmest stack
	r.parked[n] = nil
	r.parked = r.parked[:n]
	r.unused = min(r.unused, n)
	r.mu.Unlock()
	w.work <- fn
}

// Throughput implements actor.Dispatcher.
func (r *reuser) Throughput() int { return throughput }

// run is a worker's life.
func (r *reuser) run(fn func()) {
	w := &worker{work: make(chan func(), 1)}
	for fn != nil {
		fn()
		if !r.park(w) {
			return
		}
		fn = <-w.work
	}
}

func (r *reuser) park(w *worker) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.parked) >= maxParked {
		return false
	}
	r.parked = append(r.parked, w)
	if r.timer == nil {
		r.timer = time.AfterFunc(trimEvery, r.trim)
	}
	return true
}

// trim ends the workers that were parked ever since the last trim. One timer for all: one each would cost every hop.
func (r *reuser) trim() {
	r.mu.Lock()
	idle := append([]*worker(nil), r.parked[:r.unused]...)
	rest := copy(r.parked, r.parked[r.unused:])
	clear(r.parked[rest:])
	r.parked = r.parked[:rest]
	r.unused = rest
	r.timer = nil
	if rest > 0 && !r.closed {
		r.timer = time.AfterFunc(trimEvery, r.trim)
	}
	r.mu.Unlock()
	end(idle)
}

func (r *reuser) close() {
	r.mu.Lock()
	idle := r.parked
	r.parked, r.unused, r.closed = nil, 0, true
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.mu.Unlock()
	end(idle)
}

func end(workers []*worker) {
	for _, w := range workers {
		w.work <- nil
	}
}
