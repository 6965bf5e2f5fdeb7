package sim

import (
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// guarded lets f run. What panics in it and is no actor's, which supervision would have caught, is the end of the run and a violation
// like any other: it has a seed, and can be shrunk.
func (s *Sim) guarded(f func()) {
	defer func() {
		if reason := recover(); reason != nil {
			s.check.panicked("nothing panics outside of actors", reason, string(debug.Stack()))
		}
	}()
	f()
}

// panicked is fail with a stack, which the trace does not get: it names addresses, and those differ from run to run.
func (c *checker) panicked(property string, reason any, stack string) {
	if c.first == nil {
		c.fail(property, "%v", reason)
		c.first.Stack = stack
	}
}

// heard is told of every warning. Actors panic when a fault makes them: any other panic is a bug, though supervision mends it. A
// replica's own panics are its crashes and failures, of which it tells in events. Whatever else is an error names the fault behind it.
func (s *Sim) heard(r slog.Record) {
	said, stack := r.Message, ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "stack" {
			stack = a.Value.String()
		} else {
			said += " " + a.String()
		}
		return true
	})
	switch {
	case slices.ContainsFunc(excuses, func(why string) bool { return strings.Contains(said, why) }):
	case s.counts["fault rot in "+rotFile] > 0 && strings.Contains(said, damagedFile):
	case s.misled && strings.Contains(said, "replica failed") && mistaken(said):
	case strings.Contains(r.Message, "panicked") && r.Message != "replica panicked":
		s.check.panicked("actors panic only when something makes them", said, stack)
	case r.Level >= slog.LevelError:
		s.check.panicked("nothing fails unless something makes it", said, stack)
	}
}

// excuses are what the faults say of themselves, damagedDisk what is found of bits that rotted, and the last what operators hear who
// want a snapshot of a server that was added and knows nothing yet.
var excuses = []string{
	errSabotage.Error(), errInjected.Error(), errRead.Error(), errFull.Error(), damagedDisk, raft.ErrMembershipUnknown.Error(),
	"no correct node sends", // transport.HangUp judges that
}

// damagedFile is what the snapshotter says of a file of which a bit has rotted.
const damagedFile = "damaged: "

// Limits of what may happen in a time. Busy runs have a tenth of it.
const (
	maxStill  = 10_000  // steps while no time passes
	maxSecond = 300_000 // steps within a second; about 500,000 are one after the other without a pause
	// Several groups that are all asked again at once share the nodes' time, and may leave little of it.
	maxSecondOfGroups = 430_000
)

// A pace tells a cluster that works from one that turns in circles: messages that beget messages without end, or timers that do and
// let no time pass at all.
type pace struct {
	at, second  time.Duration // of the last step; when the second began
	still, busy int           // steps since then
}

// step is called at every step of the stage, those too that a start of a host takes while the run waits for it: there nothing
// looks at violations, and only a panic ends a circle.
func (p *pace) step(c *checker, d *stage.Delivery) {
	if d.At != p.at {
		p.at, p.still = d.At, 0
	}
	if d.At-p.second > time.Second {
		p.second, p.busy = d.At, 0
	}
	p.still++
	p.busy++
	most := maxSecond
	if len(c.sim.neighbours) > 0 {
		most = maxSecondOfGroups
	}
	if p.still < maxStill && p.busy < most {
		return
	}
	c.fail("work comes to an end", "%d steps while no time passes, %d within %v; the last one in %s %s: %T",
		p.still, p.busy, d.At-p.second, d.Node, d.Actor, d.Message)
	if p.still > 2*maxStill || p.busy > 2*most {
		panic("sim: a circle within one step")
	}
}
