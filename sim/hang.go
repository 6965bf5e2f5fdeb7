package sim

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/stage"
)

// hangable are the actors whose handler may not return for a while, but for the group's own (stuck.go): the other victims of bombs; who runs the subscribers of events, any of whom may
// block; and whoever writes and reads snapshot files.
var hangable = append(slices.DeleteFunc(slices.Clone(victims), func(v string) bool { return v == guardsItself }), "actors.publisher", "snapshotter.worker", "snapshotter.worker")

// A lurkingHang waits for an actor that is not there yet.
type lurkingHang struct {
	life *life
	name string
	time time.Duration
}

// lurks lets a hang begin that has waited for the actor that is about to get a message.
func (s *Sim) lurks(d stage.Delivery) {
	if d.To == nil {
		return
	}
	name := nameOf(d.To)
	for i, h := range s.hangs {
		if h.name == name && h.life.stage.Name() == d.Node {
			s.hangs = slices.Delete(s.hangs, i, i+1)
			if h.life.node.life == h.life {
				s.hang(h.life.node, name, h.time)
			}
			return
		}
	}
}

// hang keeps everything from an actor of a node, as if its handler blocked: on the disk, on a full pipe, in the user's code. Its node goes on.
func (s *Sim) hang(n *node, name string, d time.Duration) {
	l := n.life
	if l == nil || n.starting {
		return
	}
	held, release := l.stage.Hold(func(a actor.Actor) bool { return nameOf(a) == name })
	if held == 0 {
		s.hangs = append(s.hangs, &lurkingHang{l, name, d}) // as a worker, which is there for a moment only
		return
	}
	s.count("hang of " + name)
	l.paused++ // who else is stuck meanwhile may not be found out, or nobody may hear of it
	l.hung = true
	s.after(d, l.hold(release))
}

// hold notes that something of a life does not go on until the function that it returns is called, or the life is freed of all that holds it.
func (l *life) hold(release func()) (end func()) {
	l.held++
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		l.held--
		l.freed = l.node.sim.clock.Now()
		release()
	}
	l.holds = append(l.holds, end)
	return end
}

// free ends all that holds a life.
func (l *life) free() {
	for _, end := range l.holds {
		end()
	}
	l.holds = nil
}

// slow reports whether a life had no chance to do all that it wanted within the time that ends now.
func (l *life) slow(within time.Duration) bool {
	return l.held > 0 || l.node.sim.clock.Now()-l.freed < within
}

// toil lets every Apply of a node take a while of its processor, which nothing else has meanwhile.
func (s *Sim) toil(n *node, each, d time.Duration) {
	if n.life == nil {
		return
	}
	s.count("fault toil")
	n.toil = each
	s.after(d, func() { n.toil = 0 })
}
