package actors

import "github.com/asynkron/protoactor-go/actor"

// CrashPause is how long a replica pauses after its first crash.
var CrashPause = Tuning{}.withDefaults().Crashes.First

// A Posted is a proposal whose caller does not wait yet.
type Posted struct{ r *request }

// Post is Propose without the wait: the proposal lies in the group's mailbox when it returns.
func (g *Group) Post(data []byte) Posted {
	r := &request{kind: proposeRequest, data: data, handle: g}
	if !r.takeCredit() {
		panic(ErrBusy)
	}
	r.done = make(chan struct{}, 1)
	g.system.Root.Send(g.pid.Load(), r)
	return Posted{r}
}

// Done has a token once the proposal is answered; then Err is its outcome.
func (p Posted) Done() <-chan struct{} { return p.r.done }

// Err is the outcome; nil: it is applied.
func (p Posted) Err() error { return p.r.err }

// Announce tells subscribers something.
func (h *Host) Announce(event any) { h.announce(event) }

// Persister is the host's own actor that writes.
func (h *Host) Persister() *actor.PID { return h.persister }

// Waiting is how many requests wait for credit.
func (g *Group) Waiting() int { return int(g.credit.waiting.Load()) }
