package actors

import (
	"sync"
	"time"
)

// A line is where requests of goroutines wait for credit, in order. Callers join it, the group lets them in, and whoever has waited for long enough
// leaves by a timer, so that a group that is stuck need not say so. Callers sleep meanwhile: refused at once, those that repeat at once would take the
// processor from the work that makes room.
type line struct {
	credit *credit
	wait   time.Duration  // how long a request waits at most
	busy   func(*request) // answers one that has

	mu          sync.Mutex
	first, last *request
	timer       *time.Timer // set while somebody waits
}

// join puts a request at the end. False: nobody is to wait. Any number may: a goroutine that sleeps costs less than one that is refused at once and
// comes again.
func (l *line) join(r *request) bool {
	if l.wait <= 0 {
		return false
	}
	l.mu.Lock()
	l.credit.wait(r)
	r.until = time.Now().Add(l.wait)
	if l.last == nil {
		l.first = r
	} else {
		l.last.next = r
	}
	l.last = r
	if l.timer == nil {
		l.timer = time.AfterFunc(l.wait, l.expire)
	}
	l.mu.Unlock()
	if l.credit.fits(l.credit.used.Load(), len(r.data)) { // what came back before it waited was told to nobody
		l.credit.look()
	}
	return true
}

// head returns the ticket of the first that still waits; 0: nobody does.
func (l *line) head() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.first != nil && l.first.over() {
		l.leave()
	}
	if l.first == nil {
		return 0
	}
	return l.first.ticket
}

// admit takes the first out of the line if may says so; nil: nobody waits, or it does not.
func (l *line) admit(may func(*request) bool) *request {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == nil || !l.first.over() && !may(l.first) {
		return nil
	}
	return l.leave()
}

// admitTo has a replica take up the first if it may leave. False: it may not.
func (l *line) admitTo(r *replica) bool {
	q := l.admit(r.mayLeave)
	if q != nil {
		r.takeUpWaiting(q)
	}
	return q != nil
}

// refuse answers all that wait.
func (l *line) refuse(refusal error) {
	for q := l.admit(func(*request) bool { return true }); q != nil; q = l.admit(func(*request) bool { return true }) {
		q.refuse(refusal)
	}
}

// leave takes the first out. The caller holds mu.
func (l *line) leave() *request {
	r := l.first
	if l.first, r.next = r.next, nil; l.first == nil {
		l.last = nil
	}
	r.ticket = 0
	l.credit.waiting.Add(-1)
	return r
}

// expire answers those that have waited for long enough.
func (l *line) expire() {
	l.mu.Lock()
	var tired *request
	end := &tired
	now := time.Now()
	for l.first != nil && (l.first.over() || !now.Before(l.first.until)) {
		r := l.leave()
		*end, end = r, &r.next
	}
	l.timer = nil
	if l.first != nil {
		l.timer = time.AfterFunc(l.first.until.Sub(now), l.expire)
	}
	l.mu.Unlock()
	for r := tired; r != nil; {
		next := r.next
		l.busy(r)
		r = next
	}
}
