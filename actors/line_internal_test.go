package actors

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// newLine returns a line and what tells that somebody should look at it.
func newLine(entries, bytes int, wait time.Duration) (*Group, <-chan struct{}) {
	look := make(chan struct{}, 1)
	g := &Group{credit: newCredit(entries, bytes)}
	g.credit.tell = func() { look <- struct{}{} }
	g.line = line{credit: g.credit, wait: wait, busy: func(r *request) { r.refuse(ErrBusy) }}
	return g, look
}

// waits joins a line and waits for the end, or until gone.
func (g *Group) waits(bytes int, gone <-chan time.Time) error {
	r := &request{kind: proposeRequest, data: make([]byte, bytes), handle: g, done: make(chan struct{}, 1)}
	if g.credit.wanted() || !r.takeCredit() {
		g.line.join(r)
		select {
		case <-r.done:
			return r.err
		case <-gone:
			if r.abandon() {
				return ErrStopped
			}
			<-r.done
			return r.err
		}
	}
	r.enter()
	r.Resolve(0, nil, nil)
	return nil
}

// admitAll is the group: whenever it is told to it lets in whom there is credit for, works for a while and answers.
func (g *Group) admitAll(look <-chan struct{}, end <-chan struct{}, work func() time.Duration) {
	for {
		select {
		case <-end:
			return
		case <-look:
		}
		g.credit.told.Store(false)
		for g.line.head() != 0 {
			r := g.line.admit((*request).takeCredit)
			if r == nil {
				break
			}
			if !r.take() {
				continue
			}
			r.enter()
			time.AfterFunc(work(), func() { r.Resolve(1, nil, nil) })
		}
	}
}

// Nobody waits while there is room: were a wake-up lost, virtual time would run to the end of the wait.
func TestNobodyWaitsWhileThereIsRoom(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			g, look := newLine(1+rng.IntN(4), 1+rng.IntN(40), time.Hour)
			end := make(chan struct{})
			work := make([]time.Duration, 100)
			for i := range work {
				work[i] = time.Duration(rng.IntN(5))
			}
			next := 0
			go g.admitAll(look, end, func() time.Duration { next++; return work[next%len(work)] })
			for range 30 {
				bytes, first := 1+rng.IntN(20), time.Duration(rng.IntN(5))
				leaves := rng.IntN(5) == 0
				go func() {
					time.Sleep(first)
					for range 10 {
						var gone <-chan time.Time
						if leaves {
							gone = time.After(7)
						}
						if err := g.waits(bytes, gone); err != nil && !(leaves && errors.Is(err, ErrStopped)) {
							t.Errorf("seed %d: %v", seed, err)
							return
						}
						if entries, sum := g.credit.inUse(); entries > g.credit.maxEntries || sum > g.credit.maxBytes && entries > 1 {
							t.Errorf("seed %d: %d entries and %d bytes are in use", seed, entries, sum)
						}
					}
				}()
			}
			time.Sleep(30 * 10 * 10) // more than all of them take, one after the other
			synctest.Wait()
			if entries, bytes := g.credit.inUse(); entries != 0 || bytes != 0 {
				t.Errorf("seed %d: %d entries and %d bytes are left over", seed, entries, bytes)
			}
			if n := g.credit.waiting.Load(); n != 0 || g.line.head() != 0 {
				t.Errorf("seed %d: %d still wait", seed, n)
			}
			close(end)
		})
	}
}

// Who has waited for long enough is answered, in order and at that moment, whatever the group does.
func TestWaitingInLineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, look := newLine(1, 100, time.Second)
		whole := &request{kind: proposeRequest, data: make([]byte, 1000), handle: g}
		if !whole.takeCredit() {
			t.Fatal("one may always go")
		}
		start := time.Now()
		for i := range 5 {
			go func() {
				time.Sleep(time.Duration(i) * 300 * time.Millisecond)
				came := time.Now()
				if i == 3 {
					if err := g.waits(1, time.After(time.Millisecond)); !errors.Is(err, ErrStopped) || time.Since(came) != time.Millisecond {
						t.Errorf("it left: %v after %v", err, time.Since(came))
					}
					return
				}
				err := g.waits(1, nil)
				if late := time.Since(came); !errors.Is(err, ErrBusy) || late != time.Second {
					t.Errorf("%v after %v", err, late)
				}
			}()
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if n := g.credit.waiting.Load(); n != 0 || g.line.first != nil || g.line.last != nil || g.line.timer != nil {
			t.Errorf("%d still wait after %v", n, time.Since(start))
		}
		if whole.giveBack(); len(look) != 0 {
			t.Error("the group is told although nobody waits")
		}
		if whole.giveBack(); g.credit.used.Load() != 0 {
			t.Errorf("given back twice: %d", g.credit.used.Load())
		}
	})
}

// A caller may leave at the moment in which the request gets its credit: it is given back, once.
func TestCreditOfWhoLeftMeanwhile(t *testing.T) {
	for seed := range 2000 {
		g, _ := newLine(1, 10, time.Hour)
		r := &request{kind: proposeRequest, data: []byte("x"), handle: g}
		left := make(chan bool)
		go func() { left <- r.abandon() }()
		if r.takeCredit(); !<-left {
			t.Fatal("it could not leave")
		}
		if entries, bytes := g.credit.inUse(); entries != 0 || bytes != 0 {
			t.Fatalf("try %d: %d entries and %d bytes are left over", seed, entries, bytes)
		}
	}
}
