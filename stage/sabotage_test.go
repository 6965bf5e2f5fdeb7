package stage

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// TestSabotage: the handler of a chosen message panics in its stead, once, and supervision restarts the actor.
func TestSabotage(t *testing.T) {
	s := NewSeeded(1)
	node, system := s.Node("n"), newSystem()
	var got []int
	restarts := 0
	child := Props(node, receiver(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case int:
			got = append(got, m)
		case *actor.Restarting:
			restarts++
		}
	}), WithLogger(quiet()))
	var pid *actor.PID
	system.Root.Spawn(Props(node, receiver(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			pid = ctx.Spawn(child)
		}
	}), WithSupervisor(&Backoff{Stage: node, Log: quiet()}), WithLogger(quiet())))
	s.Run(func() bool { return pid != nil }, 100)
	s.Run(nil, 100) // it has started
	s.Sabotage(func(d Delivery) any {
		if _, ok := d.To.(actor.ReceiveFunc); !ok {
			t.Errorf("%v goes to %T, want the actor itself", d.Message, d.To)
		}
		if d.Message == 2 {
			return "bomb"
		}
		return nil
	})
	for i := range 4 {
		system.Root.Send(pid, i)
	}
	if w := s.Waiting(); w != 4 {
		t.Errorf("%d messages wait, 4 were sent", w)
	}
	s.Run(nil, 1000)
	if w := s.Waiting(); len(got) != 3 || got[2] != 3 || restarts != 1 || w != 0 {
		t.Errorf("delivered %v after %d restarts, %d wait", got, restarts, w)
	}
	s.Sabotage(nil)
	system.Root.Send(pid, 2)
	s.Run(nil, 1000)
	if len(got) != 4 {
		t.Errorf("delivered %v after the sabotage ended", got)
	}
}
