//go:build !race

// sync.Pool forgets on purpose under the race detector, so allocations are counted without it.

package stage

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// TestNoAllocationPerMessage covers the wake too.
func TestNoAllocationPerMessage(t *testing.T) {
	box := &mailbox{drainedAfter: DefaultDrainedAfter}
	box.RegisterHandlers(ignoring{}, actor.NewSynchronizedDispatcher(300))
	box.Start()
	message := any(&numbered{})
	if got := testing.AllocsPerRun(10_000, func() { box.PostUserMessage(message) }); got != 0 {
		t.Errorf("%v allocations a message", got)
	}
}

func TestNoAllocationPerSchedule(t *testing.T) {
	var r reuser
	defer r.close()
	done := make(chan struct{})
	fn := func() { done <- struct{}{} }
	if got := testing.AllocsPerRun(1000, func() { r.Schedule(fn); <-done }); got > 0.1 {
		t.Errorf("%v allocations a turn", got)
	}
}
