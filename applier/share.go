package applier

import (
	"github.com/asynkron/protoactor-go/actor"
)

// User code may burn the processor. The appliers of a host share turns (stage.Turns), so that what is beside them, the groups' own actors, the disk
// and the network, always finds one that is free, and so that no applier gets less than its share.

// granted tells the applier that it has the turn that it waited for. Its address is its version: only the one waited for counts.
type granted struct{ _ byte }

// goOn makes the applier continue after other messages had their look.
type goOn struct{}

// takeTurn reports whether entries may be applied now. If not, granted will come.
func (a *applier) takeTurn(c actor.Context) bool {
	if a.turn == nil || a.has {
		return true
	}
	if a.awaited == nil {
		a.has = a.turn.Take() || a.waitForTurn(c)
	}
	return a.has
}

// waitForTurn gives back the turn that there is, and reports whether there is another at once.
func (a *applier) waitForTurn(c actor.Context) bool {
	root, self, g := c.ActorSystem().Root, c.Self(), &granted{}
	a.has = a.turn.Wait(func() { root.Send(self, g) })
	if !a.has {
		a.awaited = g
	}
	return a.has
}

// goOn lets other messages have their look, and other appliers a turn if one is due.
func (a *applier) goOn(c actor.Context) {
	if a.turn == nil || !a.turn.Due() || a.waitForTurn(c) {
		a.again = true
		c.Send(c.Self(), &goOn{})
	}
}

// giveTurn ends the applier's turn, or its wait for one.
func (a *applier) giveTurn() {
	if a.turn != nil && (a.has || a.awaited != nil) {
		a.turn.Give()
	}
	a.has, a.awaited = false, nil
}
