package stage

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"
)

func (r *reuser) idle() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.parked)
}

// runTurns runs n turns at once, and returns when all have begun; release lets them end.
func runTurns(r *reuser, n int) (release func()) {
	begun := make(chan struct{}, n)
	hold := make(chan struct{})
	for range n {
		r.Schedule(func() { begun <- struct{}{}; <-hold })
	}
	for range n {
		<-begun
	}
	return func() { close(hold) }
}

func TestWorkersAreReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r reuser
		defer r.close()
		for range 100 {
			runTurns(&r, 3)()
			synctest.Wait()
			if got := r.idle(); got != 3 {
				t.Fatalf("%d workers are parked, want 3", got)
			}
		}
	})
}

func TestParkedWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r reuser
		defer r.close()
		release := runTurns(&r, 3*maxParked) // blocked turns hold nobody up
		if r.idle() != 0 {
			t.Fatalf("%d workers are parked while all are at work", r.idle())
		}
		release()
		synctest.Wait()
		if got := r.idle(); got != maxParked {
			t.Errorf("%d workers are parked, want %d", got, maxParked)
		}
	})
}

// TestIdleWorkersEnd keeps one worker busy: it stays, the others go after one to two periods.
func TestIdleWorkersEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r reuser
		defer r.close()
		runTurns(&r, 10)()
		for range 20 {
			synctest.Wait()
			r.Schedule(func() {})
			time.Sleep(trimEvery / 4) // of the bubble's time
		}
		synctest.Wait()
		if got := r.idle(); got != 1 {
			t.Fatalf("%d workers are parked, want the one that was used", got)
		}
		time.Sleep(2*trimEvery + 1)
		synctest.Wait()
		if got := r.idle(); got != 0 {
			t.Errorf("%d workers are parked after a silence", got)
		}
		runTurns(&r, 2)() // and it goes on
	})
}

// TestTrimWhileAtWork: a worker that is out when the idle ones end comes back to its place.
func TestTrimWhileAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r reuser
		defer r.close()
		runTurns(&r, 2)()
		synctest.Wait()
		time.Sleep(trimEvery + 1)
		release := runTurns(&r, 1)
		time.Sleep(trimEvery)
		synctest.Wait()
		if got := r.idle(); got != 0 {
			t.Errorf("%d workers are parked, want the idle one gone", got)
		}
		release()
		synctest.Wait()
		if got := r.idle(); got != 1 {
			t.Errorf("%d workers are parked, want the one that worked", got)
		}
	})
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	l := NewLive()
	r := &l.dispatcher
	release := runTurns(r, 20)
	release()
	late := runTurns(r, 5) // at work when the stage closes
	l.Close()
	l.Close()
	late()
	ran := make(chan struct{})
	l.Dispatcher().Schedule(func() { close(ran) })
	receive(t, ran, "turn after Close")
	goleak.VerifyNone(t, ignore)
}

func TestScheduleFromManyWhileClosing(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	var r reuser
	var turns, senders sync.WaitGroup
	turns.Add(8 * 1000)
	for range 8 {
		senders.Go(func() {
			for range 1000 {
				r.Schedule(turns.Done)
			}
		})
	}
	r.close()
	senders.Wait()
	turns.Wait()
	goleak.VerifyNone(t, ignore)
}

// TestIdleActorsHoldNoGoroutine: ten thousand actors that were all at work need no more goroutines than the parked workers.
func TestIdleActorsHoldNoGoroutine(t *testing.T) {
	const actors = 10_000
	live, system := newLive(t), newSystem()
	before := runtime.NumGoroutine()
	var worked sync.WaitGroup
	worked.Add(actors)
	props := Props(live, receiver(func(ctx actor.Context) {
		if _, ok := ctx.Message().(string); ok {
			worked.Done()
		}
	}))
	for range actors {
		system.Root.Send(system.Root.Spawn(props), "work")
	}
	worked.Wait()
	over := time.Now().Add(deadline)
	for runtime.NumGoroutine() > before+maxParked { // turns that are just ending
		if time.Now().After(over) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		runtime.Gosched()
	}
}
