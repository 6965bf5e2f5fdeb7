package stage

import (
	"cmp"
	"container/heap"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// TurnsConfig says how turns are dealt out. Zero values are the defaults named.
type TurnsConfig struct {
	Most int // held at a time; default one less than GOMAXPROCS, at least 1, so that one processor stays free for everything else
	// Stall is how long anybody waits for a turn that does not end, as where user code hangs: then it has one all the same. Default 500ms.
	Stall time.Duration
	// Lead is how much more of the processors than somebody who waits an actor may have had before it is to give its turn up. Default 1ms.
	Lead time.Duration
	// Brief is how long a turn may be after which the actor's next comes at once, beside those that count; one such at a time. Default 250µs; negative: none is.
	Brief time.Duration
	Clock Clock // default the machine's
}

// Turns bound how many of the actors that share them run what may take long, as user code may, at the same time. Whoever waits does so by
// message, in the order of what each has had so far (start-time fair queueing). An actor that wants little waits for nobody, or no longer than for
// the end of what is running, however many others want much. Safe for concurrent use. Seeded stages stay deterministic.
type Turns struct {
	cfg TurnsConfig

	mu      sync.Mutex
	holders []*Turn // of turns that count
	brief   *Turn   // who has its turn beside them
	queue   turnQueue
	floor   time.Duration // what the one who got the last turn had had by then: nobody saves up more while it wants none
	arrived uint64
}

// NewTurns makes turns for whoever joins.
func NewTurns(cfg TurnsConfig) *Turns {
	cfg.Most = cmp.Or(cfg.Most, max(1, runtime.GOMAXPROCS(0)-1))
	cfg.Stall = cmp.Or(cfg.Stall, 500*time.Millisecond)
	cfg.Lead = cmp.Or(cfg.Lead, time.Millisecond)
	cfg.Brief = cmp.Or(cfg.Brief, 250*time.Microsecond)
	if cfg.Clock == nil {
		cfg.Clock = liveClock{origin: time.Now()}
	}
	return &Turns{cfg: cfg}
}

// A turnState is what an actor has to do with turns at the moment.
type turnState uint8

const (
	noTurn turnState = iota
	queuedTurn
	heldTurn
	besideTurn // held, and does not count: brief, or too late or too long for it to count
)

// A Turn is one actor's, which has it or not. Only that actor calls its methods.
type Turn struct {
	turns *Turns
	until atomic.Int64 // when somebody else should have it who has had less, in ns

	// Under the lock of turns.
	state turnState
	used  time.Duration // of the processors, so far
	began time.Duration // what is not counted yet
	took  time.Duration // what the last turn was, or the present one so far
	short bool          // the last one was brief
	count uint64        // turns had, so that one is told from the next
	// While it waits.
	grant   func()
	arrival uint64
	place   int
	timer   Timer
	before  []blocker // who kept it waiting when its timer was set
}

type blocker struct {
	turn  *Turn
	count uint64
}

// Join makes an actor's share in the turns.
func (t *Turns) Join() *Turn { return &Turn{turns: t} }

// Take reports whether the actor has its turn at once. Otherwise it has to wait.
func (u *Turn) Take() bool {
	t := u.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take(u)
}

// Wait gives back the turn that the actor may have, and reports whether it has another at once. If not, grant is called once it has, on some goroutine;
// it should only send a message. After Give it is not called any more, or was in vain.
func (u *Turn) Wait(grant func()) bool {
	has, next := u.wait(grant)
	call(next)
	return has
}

func (u *Turn) wait(grant func()) (has bool, next []func()) {
	t := u.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	u.account()
	t.release(u)
	next = t.deal() // those who have waited
	if has = t.take(u); !has {
		t.enqueue(u, grant)
	}
	return has, next
}

// Due reports whether the actor that has its turn should give it back, because somebody waits who has had less.
func (u *Turn) Due() bool {
	t := u.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	u.account()
	if u.state == heldTurn && (len(t.queue) == 0 || t.queue[0].used >= u.used) {
		u.until.Store(math.MaxInt64)
		return false
	}
	return true
}

// Give ends the actor's turn, or its wait for one. It may have neither.
func (u *Turn) Give() { call(u.give()) }

func (u *Turn) give() []func() {
	t := u.turns
	t.mu.Lock()
	defer t.mu.Unlock()
	if u.state == queuedTurn {
		t.dequeue(u)
		u.state = noTurn
	}
	u.account()
	t.release(u)
	return t.deal()
}

// Over reports whether somebody else should have the turn by now who has had less. Unlike Due it costs next to nothing.
func (u *Turn) Over() bool {
	until := u.until.Load()
	return until < math.MaxInt64 && u.turns.cfg.Clock.Now() >= time.Duration(until)
}

func call(grants []func()) {
	for _, grant := range grants {
		grant()
	}
}

// account adds what the actor had of its turn. Like all that follows it is called with the lock held.
func (u *Turn) account() {
	if u.state == heldTurn || u.state == besideTurn {
		now := u.turns.cfg.Clock.Now()
		had := max(now-u.began, 0)
		u.used, u.took, u.began = u.used+had, u.took+had, now
	}
}

// take gives u a turn if one is free and nobody waits for it, or if it is brief.
func (t *Turns) take(u *Turn) bool {
	u.used = max(u.used, t.floor)
	if len(t.holders) < t.cfg.Most && len(t.queue) == 0 {
		t.hold(u)
		return true
	}
	if b := t.brief; !u.short || b != nil && t.cfg.Clock.Now()-b.began < t.cfg.Stall {
		return false
	}
	t.brief = u
	u.begin(besideTurn, u.turns.cfg.Clock.Now()+t.cfg.Brief)
	return true
}

func (t *Turns) hold(u *Turn) {
	t.floor = max(t.floor, u.used)
	u.begin(heldTurn, math.MaxInt64)
	t.holders = append(t.holders, u)
}

func (u *Turn) begin(state turnState, until time.Duration) {
	u.state, u.began, u.took = state, u.turns.cfg.Clock.Now(), 0
	u.count++
	u.until.Store(int64(until))
}

// release takes the actor's turn, if it has one.
func (t *Turns) release(u *Turn) {
	if u.state == noTurn {
		return
	}
	if t.brief == u {
		t.brief = nil
	}
	t.holders = slices.DeleteFunc(t.holders, func(h *Turn) bool { return h == u })
	u.state, u.short = noTurn, u.took <= t.cfg.Brief
}

func (t *Turns) enqueue(u *Turn, grant func()) {
	t.arrived++
	u.state, u.grant, u.arrival = queuedTurn, grant, t.arrived
	heap.Push(&t.queue, u)
	t.press(u)
	t.watch(u)
}

func (t *Turns) dequeue(u *Turn) {
	heap.Remove(&t.queue, u.place)
	u.timer.Stop()
	u.grant, u.timer, u.before = nil, nil, nil
}

// deal gives free turns to those who wait.
func (t *Turns) deal() (grants []func()) {
	for len(t.holders) < t.cfg.Most && len(t.queue) > 0 {
		u := t.queue[0]
		grants = append(grants, u.grant)
		t.dequeue(u)
		t.hold(u)
	}
	if len(grants) > 0 && len(t.queue) > 0 {
		t.press(t.queue[0])
	}
	return grants
}

// press has the holder who has had most end its turn in time for u.
func (t *Turns) press(u *Turn) {
	var most *Turn
	var had time.Duration
	for _, h := range t.holders {
		if now := h.used + t.cfg.Clock.Now() - h.began; most == nil || now > had {
			most, had = h, now
		}
	}
	if most == nil {
		return
	}
	until := most.began + u.used + t.cfg.Lead - most.used
	most.until.Store(min(most.until.Load(), int64(until)))
}

// watch sets a look at those who keep u waiting.
func (t *Turns) watch(u *Turn) {
	u.before = u.before[:0]
	for _, h := range t.holders {
		u.before = append(u.before, blocker{h, h.count})
	}
	arrival := u.arrival
	u.timer = t.cfg.Clock.AfterFunc(t.cfg.Stall, func() { t.look(u, arrival) })
}

// look gives u a turn that does not count if it has waited all the time for one that does not end. That one does not count any more either.
func (t *Turns) look(u *Turn, arrival uint64) { call(t.relieve(u, arrival)) }

func (t *Turns) relieve(u *Turn, arrival uint64) []func() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if u.state != queuedTurn || u.arrival != arrival {
		return nil
	}
	hangs := false
	for _, b := range u.before {
		if h := b.turn; h.count == b.count && (h.state == heldTurn || h.state == besideTurn) {
			t.holders = slices.DeleteFunc(t.holders, func(o *Turn) bool { return o == h })
			h.state, hangs = besideTurn, true
		}
	}
	next := t.deal()
	switch {
	case u.state != queuedTurn:
	case hangs:
		next = append(next, u.grant)
		t.dequeue(u)
		u.begin(besideTurn, math.MaxInt64)
	default:
		t.watch(u)
	}
	return next
}

// A turnQueue is a heap of those who wait: who has had least comes first, and of equals who came first.
type turnQueue []*Turn

func (q turnQueue) Len() int { return len(q) }
func (q turnQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].used, q[j].used), cmp.Compare(q[i].arrival, q[j].arrival)) < 0
}
func (q turnQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}
func (q *turnQueue) Push(x any) {
	u := x.(*Turn)
	u.place = len(*q)
	*q = append(*q, u)
}
func (q *turnQueue) Pop() any {
	last := len(*q) - 1
	u := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return u
}
