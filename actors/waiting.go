package actors

import (
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A waitingRoom holds proposals and reads that a leader has no room for at the moment, until it has, until BusyWait has passed, or until it
// leads no more. Refused at once, senders that repeat at once would take the processor from the work that makes room.
type waitingRoom struct {
	uncredited []waitingRequest // of actors: they wait for credit, in order
	credited   []waitingRequest // they wait until what this leader inherited, or its disk, leaves room
	bytes      int              // of their data
	timer      bool             // a wake is on its way
	leaving    bool             // the one that is being taken up comes from here, so that it need not queue
}

// A waitingRequest is refused with ErrBusy when its time has come.
type waitingRequest struct {
	*request
	until time.Duration
	empty bool // its data was let go of: when there is room its sender is told to repeat it
}

// needsCredit: what operators ask for needs none, since it must get through when the group is busy.
func (k requestKind) needsCredit() bool { return k <= leaseReadRequest }

// takeCredit takes the credit of a request that has none yet, since it came from an actor.
func (r *replica) takeCredit(q *request) bool {
	return q.held.Load() > 0 || q.takeCredit()
}

// awaitCredit lets an actor's request wait for those before it.
func (r *replica) awaitCredit(q *request) {
	e, ok := r.await(q)
	if !ok {
		return
	}
	if q.done == nil && r.room.bytes+len(q.data) > r.cfg.MaxInflightBytes { // the data of a goroutine that waits is there in any case
		e.empty, q.data = true, nil
	}
	r.room.bytes += len(q.data)
	r.room.uncredited = append(r.room.uncredited, e)
	r.handle.credit.wait(q)
	r.watchRoom()
}

// awaitRoom lets a request that has its credit wait until leaveRoom says so.
func (r *replica) awaitRoom(q *request) {
	if e, ok := r.await(q); ok {
		r.room.bytes += len(q.data)
		r.room.credited = append(r.room.credited, e)
		r.watchRoom()
	}
}

// await refuses a request when too many wait already.
func (r *replica) await(q *request) (waitingRequest, bool) {
	if len(r.room.uncredited)+len(r.room.credited) >= r.cfg.MaxWaiting || r.cfg.BusyWait < 0 {
		q.refuse(ErrBusy)
		return waitingRequest{}, false
	}
	return waitingRequest{request: q, until: r.now() + r.cfg.BusyWait}, true
}

// watchRoom has the replica look again when the first has waited long enough.
func (r *replica) watchRoom() {
	w := &r.room
	if w.timer || len(w.uncredited)+len(w.credited) == 0 {
		return
	}
	until := time.Duration(1<<63 - 1)
	for _, queue := range [...][]waitingRequest{w.uncredited, w.credited} {
		if len(queue) > 0 {
			until = min(until, queue[0].until)
		}
	}
	w.timer = true
	r.wakeAfter(max(until-r.now(), time.Millisecond), &wake{room: true})
}

// admit takes up those that there is room for by now, in the order of their tickets, and refuses those that have waited long enough.
func (r *replica) admit() {
	w := &r.room
	r.handle.credit.told.Store(false) // before the looks below: what is given back after them is told again
	for len(w.credited) > 0 && (r.now() >= w.credited[0].until || r.leaveRoom() || r.leader.Role != raft.Leader) {
		r.leaveQueue(&w.credited)
	}
	for r.handle.credit.wanted() && r.admitNext() {
	}
	r.watchRoom()
}

// admitNext takes up, or refuses, the one that has waited longest. False: it has to wait on, or nobody waits.
func (r *replica) admitNext() bool {
	w, line := &r.room, &r.handle.line
	outside := line.head()
	switch {
	case outside == 0 && len(w.uncredited) == 0:
		return false
	case outside != 0 && (len(w.uncredited) == 0 || outside < w.uncredited[0].ticket):
		return line.admitTo(r)
	case w.uncredited[0].over() || r.now() >= w.uncredited[0].until || r.mayLeave(w.uncredited[0].request):
		r.leaveQueue(&w.uncredited)
	default:
		return false
	}
	return true
}

// mayLeave says whether a request need not wait for credit any longer: it has got it, or there is nothing to wait for.
func (r *replica) mayLeave(q *request) bool {
	if r.leader.Role != raft.Leader {
		return true
	}
	return len(r.room.credited) == 0 && (q.kind.changesNothing() || r.leaveRoom()) && r.takeCredit(q)
}

// leaveQueue takes the first of a queue up, or refuses it. It leaves the queue last of all that could panic before it is taken up: a crash answers
// those that are still in it.
func (r *replica) leaveQueue(queue *[]waitingRequest) {
	e := (*queue)[0]
	refused := e.empty || r.now() >= e.until
	(*queue)[0] = waitingRequest{}
	if *queue = (*queue)[1:]; len(*queue) == 0 {
		*queue = nil
	}
	r.room.bytes -= len(e.data)
	if e.ticket != 0 {
		e.ticket = 0
		r.handle.credit.waiting.Add(-1)
	}
	if refused {
		e.refuse(ErrBusy)
		return
	}
	r.takeUpWaiting(e.request)
}

func (r *replica) takeUpWaiting(q *request) {
	r.room.leaving = true
	defer func() { r.room.leaving = false }()
	r.request(q)
}

// refuseWaiting answers all that wait.
func (r *replica) refuseWaiting(refusal error) {
	w := &r.room
	for _, queue := range [...][]waitingRequest{w.credited, w.uncredited} {
		for _, e := range queue {
			e.refuse(refusal)
		}
	}
	r.handle.credit.waiting.Add(-int64(len(w.uncredited)))
	w.uncredited, w.credited, w.bytes = nil, nil, 0
	r.handle.line.refuse(refusal)
}
