package stage

import (
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

const (
	maxParked  = 64               // workers that wait for work; more end when they are done
	parkedIdle = 10 * time.Second // a worker that got nothing for this long ends
	throughput = 300              // messages before a mailbox lets others run
)

// A reuser is a dispatcher that hands each turn to a worker that waits, or else starts one. A fresh goroutine a turn, as
// protoactor's default has it, spends most of its time growing its stack.
type reuser struct {
	mu     sync.Mutex
	parked []*worker
	closed bool
}

type worker struct{ work chan func() }

var _ actor.Dispatcher = (*reuser)(nil)

// Schedule runs fn on another goroutine. It never blocks.
func (r *reuser) Schedule(fn func()) {
	r.mu.Lock()
	n := len(r.parked)
	if n == 0 {
		r.mu.Unlock()
		go r.run(fn)
		return
	}
	// The one that parked last has the warmest stack.
	w := r.parked[n-1]
	r.parked[n-1] = nil
	r.parked = r.parked[:n-1]
	r.mu.Unlock()
	w.work <- fn
}

// Throughput implements actor.Dispatcher.
func (r *reuser) Throughput() int { return throughput }

// run is a worker's life.
func (r *reuser) run(fn func()) {
	w := &worker{work: make(chan func(), 1)}
	timer := time.NewTimer(parkedIdle)
	defer timer.Stop()
	for {
		fn()
		if !r.park(w) {
			return
		}
		timer.Reset(parkedIdle)
		select {
		case fn = <-w.work:
		case <-timer.C:
			if r.leave(w) {
				return
			}
			fn = <-w.work // taken from the shelf in the meantime: work is on its way
		}
		if fn == nil {
			return
		}
	}
}

func (r *reuser) park(w *worker) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || len(r.parked) >= maxParked {
		return false
	}
	r.parked = append(r.parked, w)
	return true
}

// leave takes w off the shelf; false: somebody has taken it already.
func (r *reuser) leave(w *worker) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, p := range r.parked {
		if p == w {
			r.parked = append(r.parked[:i], r.parked[i+1:]...)
			return true
		}
	}
	return false
}

func (r *reuser) close() {
	r.mu.Lock()
	parked := r.parked
	r.parked, r.closed = nil, true
	r.mu.Unlock()
	for _, w := range parked {
		w.work <- nil
	}
}
