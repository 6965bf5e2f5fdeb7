package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/kv"
)

// A question is a request to a node's group, and the process that it names as its sender.
type question struct {
	life    *life
	message any
	asked   time.Duration
	pid     *actor.PID
	reply   func(any)
}

// ask sends a request to the node's group; reply runs on the driver's goroutine, once, unless the node crashes before.
func (l *life) ask(message any, reply func(any)) { l.askOf(l.group.PID(), message, reply) }

// askOf is ask of another actor.
func (l *life) askOf(to *actor.PID, message any, reply func(any)) {
	q := &question{life: l, message: message, asked: l.node.sim.clock.Now(), reply: reply}
	pid, ok := l.system.ProcessRegistry.Add(q, l.system.ProcessRegistry.NextId())
	if !ok {
		panic("sim: actor id is taken")
	}
	q.pid = pid
	l.open = append(l.open, q)
	sent := false
	defer func() {
		if !sent { // an injected panic came amid it, from within Apply: nobody was asked
			l.open = slices.DeleteFunc(l.open, func(o *question) bool { return o == q })
			l.system.ProcessRegistry.Remove(pid)
		}
	}()
	if l.asked++; l.asked%5 == 0 {
		message = byValue(message)
	}
	l.system.Root.RequestWithCustomSender(to, message, pid)
	sent = true
}

// byValue is a request as programs may send it, too. Changes of members stay as they are: the checker looks for them.
func byValue(message any) any {
	switch m := message.(type) {
	case *actors.Propose:
		return *m
	case *actors.Read:
		return *m
	case *actors.OpenSession:
		return *m
	case *actors.CloseSession:
		return *m
	case *actors.TransferLeadership:
		return *m
	case *actors.TakeSnapshot:
		return *m
	case *actors.StepDown:
		return *m
	case *actors.GetStatus:
		return *m
	}
	return message
}

func (q *question) String() string {
	return fmt.Sprintf("%s of node %d since %v", q.life.node.sim.trace.name(q.message), q.life.node.id, q.asked)
}

// isOperators reports whether a client would not have asked this.
func isOperators(q *question) bool {
	switch q.message.(type) {
	case *actors.Propose, *actors.Read, *actors.OpenSession, *actors.CloseSession:
		return false
	}
	return true
}

func (q *question) SendUserMessage(_ *actor.PID, message any) {
	if q.life.node.life != q.life { // a handler that a crash has cut off answers nobody
		return
	}
	_, content, _ := actor.UnwrapEnvelope(message)
	q.life.system.ProcessRegistry.Remove(q.pid)
	q.life.open = slices.DeleteFunc(q.life.open, func(o *question) bool { return o == q })
	q.reply(content)
}

func (q *question) SendSystemMessage(*actor.PID, any) {}
func (q *question) Stop(*actor.PID)                   {}

var _ actor.Process = (*question)(nil)

// puts has a program write a value that nobody reads, and tells it what became of it: nil, an error, or nothing when the node crashes.
func (l *life) puts(key string, told func(error)) {
	s := l.node.sim
	s.called++
	cmd := kv.Command{Op: kv.Put, Key: key, Value: fmt.Appendf(nil, "c%d;", s.called)}
	data := cmd.Encode()
	l.ask(&actors.Propose{Data: data}, func(answer any) {
		switch m := answer.(type) {
		case *actors.Proposed:
			s.check.acknowledged(m.Index, data)
			told(nil)
		case *actors.Refused:
			if !errors.Is(m.Err, actors.ErrIndeterminate) {
				s.check.refuse(data, m.Err)
			}
			told(m.Err)
		default: // its actor is no more
			s.check.refuse(data, actors.ErrStopped)
			told(actors.ErrStopped)
		}
	})
}
