package stage

import (
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// Hold keeps actors of the node from taking turns until release is called, as if each were stuck in the middle of one: what is sent to them
// waits, their own timers fire, and everything else of the node goes on. Which is asked of every actor that there is now, as Delivery.To
// has it. It is for the driver's goroutine; held says how many there are.
func (n *Node) Hold(which func(actor.Actor) bool) (held int, release func()) {
	s := n.stage
	s.mu.Lock()
	defer s.mu.Unlock()
	var boxes []*mailbox
	for _, box := range n.boxes {
		if _, a := box.owner(); a != nil && !box.held && which(a) {
			box.held = true
			boxes = append(boxes, box)
		}
	}
	take := func(turns []turn) []turn {
		return slices.DeleteFunc(turns, func(t turn) bool {
			out := t.box != nil && t.box.held && t.node == n
			if out {
				t.box.waits = true
			}
			return out
		})
	}
	s.turns, n.heldTurns = take(s.turns), take(n.heldTurns)
	return len(boxes), sync.OnceFunc(func() { n.letGo(boxes) })
}

// letGo gives held actors their turns back, in the order in which they were spawned.
func (n *Node) letGo(boxes []*mailbox) {
	for _, box := range boxes {
		n.stage.mu.Lock()
		waits := box.held && box.waits
		box.held, box.waits = false, false
		n.stage.mu.Unlock()
		if waits {
			n.ready(turn{box: box})
		}
	}
}
