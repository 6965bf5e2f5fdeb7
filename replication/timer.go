package replication

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/stage"
)

// A wakeUp is what the clock's timer sends. Its address is its version: only the one waited for counts.
type wakeUp struct{ _ byte } // not empty: empty structs may share an address

// A timer wakes the syncer when the earliest deadline passes. Deadlines usually move away before they pass, so one that
// moved leaves the clock's timer alone: it comes early, once, and finds nothing to do or waits for the rest.
type timer struct {
	running stage.Timer // nil when none runs
	at      time.Duration
	next    *wakeUp
}

// set makes sure to wake at the deadline, if there is one, or before.
func (t *timer) set(c actor.Context, clock stage.Clock, now, at time.Duration, wanted bool) {
	if !wanted || t.running != nil && t.at <= at {
		return
	}
	t.stop()
	w := new(wakeUp)
	root, self := c.ActorSystem().Root, c.Self()
	t.at, t.next = at, w
	t.running = clock.AfterFunc(max(at-now, 0), func() { root.Send(self, w) })
}

// fired reports whether w is the one waited for.
func (t *timer) fired(w *wakeUp) bool {
	if w != t.next {
		return false
	}
	t.running, t.next = nil, nil
	return true
}

func (t *timer) stop() {
	if t.running != nil {
		t.running.Stop()
		t.running, t.next = nil, nil
	}
}
