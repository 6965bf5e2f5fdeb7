package stage

import (
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// TestHold: an actor that is held takes no turn while all else of its node goes on, and then takes all that waited, in order. It may be
// held while its node is frozen, and the other way round.
func TestHold(t *testing.T) {
	r := newFrozenRig(t)
	everybody := func(actor.Actor) bool { return true }
	r.send("before")
	held, release := r.node.Hold(everybody)
	if again, _ := r.node.Hold(everybody); held != 1 || again != 0 {
		t.Errorf("held %d, and then %d", held, again)
	}
	r.send("meanwhile")
	r.timer(time.Second, "timer")
	r.Advance(time.Minute)
	if want := []string{"timer"}; !slices.Equal(r.events, want) {
		t.Fatalf("held, it did %v", r.events)
	}
	r.node.Freeze()
	release()
	release()
	r.Advance(time.Minute)
	if len(r.events) != 1 {
		t.Fatalf("frozen, it did %v", r.events)
	}
	_, release = r.node.Hold(everybody)
	r.node.Thaw()
	r.Advance(time.Minute)
	if len(r.events) != 1 {
		t.Fatalf("held again, it did %v", r.events)
	}
	release()
	r.Advance(time.Minute)
	if want := []string{"timer", "before", "meanwhile"}; !slices.Equal(r.events, want) {
		t.Errorf("it did %v, want %v", r.events, want)
	}
}

// TestHoldEndsWithItsNode: a node that is halted takes no turns, whoever lets go of what.
func TestHoldEndsWithItsNode(t *testing.T) {
	r := newFrozenRig(t)
	held, release := r.node.Hold(func(actor.Actor) bool { return true })
	if held != 1 {
		t.Errorf("held %d", held)
	}
	r.send("waits")
	r.node.Halt()
	release()
	if r.Run(nil, 100); len(r.events) > 0 {
		t.Errorf("it did %v", r.events)
	}
}
