package sim

import (
	"reflect"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/stage"
)

// victims are the actors that a bomb may hit, by their types: the group itself, every daemon, and the syncer's reader. Not the host's
// supervisor, which does nothing else, nor the snapshotter's workers, whose jobs answer a panic themselves.
var victims = []string{
	"actors.replica", "applier.applier", "election.timer", "heartbeat.pulser", "persister.persister",
	"replication.reader", "replication.syncer", "snapshotter.snapshotter",
}

// guardsItself is the victim that turns its own panics into its crash: nobody above it does, so they must begin in its handler.
const guardsItself = "actors.replica"

// A bomb panics in an actor.
type bomb struct {
	node   *node
	victim string
	at     string        // messages of this type alone; empty: of any
	left   int           // messages to it that are spared
	amid   int           // where in the handler: after so many things that it does, 0: before the first
	text   bool          // it panics with a text
	revive time.Duration // after which the node restarts, if this broke it
}

// armed is the bomb that goes off in the handler that runs at the moment, if that lives to do so many things.
type armed struct {
	*bomb
	life    *life
	message any
	foreign bool // of a package that is not the victim's
	left    int
}

// sabotage lets a bomb go off in place of a handler, or arms it for the middle of the handler. A handler that does less than that makes the
// bomb try its next message, a little earlier.
func (s *Sim) sabotage(d stage.Delivery) any {
	if d.To == nil || d.Message == nil {
		return nil
	}
	victim, pkg := typeName(d.To)
	for _, b := range s.bombs {
		if b.node.life == nil || d.Node != b.node.life.stage.Name() || b.victim != victim {
			continue
		}
		message, from := typeName(d.Message)
		if b.at != "" && b.at != message {
			continue
		}
		if b.left--; b.left > 0 {
			return nil
		}
		a := &armed{bomb: b, life: b.node.life, message: d.Message, foreign: from != pkg, left: b.amid}
		if b.amid == 0 && victim != guardsItself {
			return s.explode(a, false)
		}
		a.left = max(a.left, 1)
		b.amid = max(b.amid-1, 0)
		s.armed = a
		return nil
	}
	return nil
}

// typeName is a type as victims has it, and its package.
func typeName(v any) (name, pkg string) {
	name = strings.TrimPrefix(reflect.TypeOf(v).String(), "*")
	pkg, _, _ = strings.Cut(name, ".")
	return name, pkg
}

// touch is called at everything that a handler does beyond thinking.
func (s *Sim) touch(l *life) {
	if s.armed == nil || s.armed.life != l {
		return
	}
	if s.armed.left--; s.armed.left == 0 {
		panic(s.explode(s.armed, true))
	}
}

// explode is the end of a bomb: what its victim panics with.
func (s *Sim) explode(a *armed, amid bool) any {
	s.armed = nil
	for i, b := range s.bombs {
		if b == a.bomb {
			s.bombs = append(s.bombs[:i], s.bombs[i+1:]...)
			break
		}
	}
	s.trace.note("bomb: %s of n%d panics at %s", a.victim, a.node.id, s.trace.name(a.message))
	s.count("panic in " + a.victim)
	pkg, _, _ := strings.Cut(a.victim, ".")
	a.life.panics[pkg]++
	if a.foreign {
		s.count("panic in " + a.victim + " at another package's message")
	} else {
		s.count("panic in " + a.victim + " at a message of its own")
	}
	if amid {
		s.count("panic amid " + a.victim)
	}
	s.after(a.revive, func() { s.reviveBroken(a.node) })
	if a.text {
		return errSabotage.Error()
	}
	return errSabotage
}

// A rigged stage is a node's as its actors see it: each message sent, timer made and look at the clock may be the one at which a handler
// panics, like each operation on the disk.
type rigged struct {
	*stage.Node
	life *life
}

var _ stage.Stage = rigged{}

func (r rigged) touch() { r.life.node.sim.touch(r.life) }

// Clock implements stage.Stage.
func (r rigged) Clock() stage.Clock { return riggedClock{r.Node.Clock(), r} }

// Mailbox implements stage.Stage.
func (r rigged) Mailbox(drainedAfter int) actor.MailboxProducer {
	produce := r.Node.Mailbox(drainedAfter)
	return func() actor.Mailbox { return riggedMailbox{produce(), r} }
}

type riggedClock struct {
	stage.Clock
	stage rigged
}

func (c riggedClock) Now() time.Duration {
	c.stage.touch()
	return c.Clock.Now()
}

func (c riggedClock) AfterFunc(d time.Duration, f func()) stage.Timer {
	c.stage.touch()
	return c.Clock.AfterFunc(d, f)
}

type riggedMailbox struct {
	actor.Mailbox
	stage rigged
}

func (m riggedMailbox) PostUserMessage(message any) {
	m.stage.touch()
	m.Mailbox.PostUserMessage(message)
}
