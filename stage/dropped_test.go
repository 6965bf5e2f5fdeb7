package stage

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// An errand is answered exactly once: done or dropped.
type errand struct {
	answers atomic.Int32
	dropped atomic.Bool
	pending *sync.WaitGroup
}

func (e *errand) answer() {
	e.answers.Add(1)
	e.pending.Done()
}

func (e *errand) Dropped() {
	e.dropped.Store(true)
	e.answer()
}

// TestEveryMessageIsAnsweredOnce stops an actor while many send to it: each message is delivered or dropped, once.
func TestEveryMessageIsAnsweredOnce(t *testing.T) {
	const senders, each = 4, 500
	for range 20 {
		live, system := newLive(t), newSystem()
		t.Cleanup(DropDeadLetters(system))
		pid := system.Root.Spawn(Props(live, receiver(func(ctx actor.Context) {
			if e, ok := ctx.Message().(*errand); ok {
				e.answer()
			}
		})))
		var pending, sending sync.WaitGroup
		errands := make([]*errand, senders*each)
		for i := range errands {
			errands[i] = &errand{pending: &pending}
			pending.Add(1)
		}
		for s := range senders {
			sending.Go(func() {
				for i, e := range errands[s*each : (s+1)*each] {
					if i%2 == 0 {
						system.Root.Send(pid, e)
					} else {
						system.Root.RequestWithCustomSender(pid, e, pid)
					}
					if s == 0 && i == each/2 {
						system.Root.Stop(pid)
					}
				}
			})
		}
		sending.Wait()
		answered := make(chan struct{})
		go func() { pending.Wait(); close(answered) }()
		receive(t, answered, "answer to every message")
		drops := 0
		for _, e := range errands {
			if n := e.answers.Load(); n != 1 {
				t.Fatalf("a message was answered %d times", n)
			}
			if e.dropped.Load() {
				drops++
			}
		}
		if drops == 0 {
			t.Fatal("nothing was dropped: the test shows nothing")
		}
	}
}

// TestDroppedAfterStopped fixes the order: the actor's own last words come first, children included.
func TestDroppedAfterStopped(t *testing.T) {
	s, system := NewSeeded(3), newSystem()
	var log []string
	pid := system.Root.Spawn(Props(s, receiver(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			ctx.Spawn(Props(s, receiver(func(actor.Context) {})))
		case string:
			log = append(log, m)
			if m == "stop" {
				ctx.Stop(ctx.Self())
				system.Root.Send(ctx.Self(), &lastWord{func() { log = append(log, "dropped") }})
				system.Root.Send(ctx.Self(), &lastWord{func() { panic("injected") }})
				system.Root.Send(ctx.Self(), &lastWord{func() { log = append(log, "dropped too") }})
			}
		case *lastWord:
			// User messages still come while the children wind down.
			log = append(log, "delivered")
		case *actor.Stopped:
			log = append(log, "stopped")
		}
	})))
	s.Run(nil, 100)
	system.Root.Send(pid, "stop")
	for s.Step() {
		if len(log) > 0 && log[len(log)-1] == "delivered" {
			// Keep some in the mailbox until it has stopped.
			system.Root.Send(pid, &lastWord{func() { log = append(log, "dropped late") }})
		}
	}
	stopped := false
	dropped := 0
	for _, entry := range log {
		switch entry {
		case "stopped":
			stopped = true
		case "dropped", "dropped too", "dropped late":
			dropped++
			if !stopped {
				t.Fatalf("dropped before the actor had stopped: %v", log)
			}
		case "delivered":
			if stopped {
				t.Fatalf("delivered after the actor had stopped: %v", log)
			}
		}
	}
	if dropped == 0 {
		t.Fatalf("nothing was dropped: %v", log)
	}
}

// TestWhoAskedIsTold: a request that was queued when the actor stopped, or came to its mailbox later, is answered like a dead letter. A
// message that answers for itself is not answered twice, and nobody is told of what nobody asked.
func TestWhoAskedIsTold(t *testing.T) {
	s, system := NewSeeded(3), newSystem()
	told, dropped := 0, 0
	var asked *actor.PID
	asker := system.Root.Spawn(Props(s, receiver(func(ctx actor.Context) {
		if m, ok := ctx.Message().(*actor.DeadLetterResponse); ok {
			if told++; !m.Target.Equal(asked) {
				t.Errorf("told of %v", m.Target)
			}
		}
	})))
	var held actor.Process // what a sender has that looked the actor up before it stopped
	asked = system.Root.Spawn(Props(s, receiver(func(ctx actor.Context) {
		if ctx.Message() == "stop" {
			held, _ = system.ProcessRegistry.Get(ctx.Self())
			ctx.Stop(ctx.Self())
			system.Root.RequestWithCustomSender(ctx.Self(), "queued", asker)
			system.Root.Send(ctx.Self(), "nobody asks")
			system.Root.RequestWithCustomSender(ctx.Self(), &lastWord{func() { dropped++ }}, asker)
		}
	})))
	s.Run(nil, 100)
	system.Root.Send(asked, "stop")
	s.Run(nil, 100)
	held.SendUserMessage(asked, &actor.MessageEnvelope{Message: "late", Sender: asker})
	s.Run(nil, 100)
	if told != 2 || dropped != 1 {
		t.Errorf("told %d times, dropped %d, want 2 and 1", told, dropped)
	}
}

type lastWord struct{ dropped func() }

func (l *lastWord) Dropped() { l.dropped() }

// TestNameReusedAtOnce: the mailbox must not take its successor under the same name for itself.
func TestNameReusedAtOnce(t *testing.T) {
	s, system := NewSeeded(3), newSystem()
	dropped := false
	var second *actor.PID
	props := Props(s, receiver(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Stopped); ok && second == nil {
			var err error
			if second, err = system.Root.SpawnNamed(Props(s, receiver(func(actor.Context) {})), "name"); err != nil {
				t.Error(err)
			}
		}
	}))
	first, err := system.Root.SpawnNamed(props, "name")
	if err != nil {
		t.Fatal(err)
	}
	s.Run(nil, 100)
	system.Root.Send(first, &lastWord{func() { dropped = true }})
	system.Root.Stop(first)
	s.Run(nil, 100)
	if second == nil || !dropped {
		t.Errorf("successor %v, dropped %v", second, dropped)
	}
}
