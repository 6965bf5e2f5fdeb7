package stage

import (
	"fmt"
	"slices"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// TestWaiting counts what lies in every mailbox that somebody may still empty: of actors that have a turn to take and of suspended ones, which
// have none, but not of those that stopped or crashed.
func TestWaiting(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	node := s.Node("n")
	child := Props(node, receiver(func(ctx actor.Context) {
		if m, ok := ctx.Message().(string); ok && m == "panic" {
			panic(m)
		}
	}), WithLogger(quiet()))
	held := &holding{}
	_, suspended := under(t, s, system, held, child)
	stopping := system.Root.Spawn(child)
	s.Run(nil, 100)
	expect := func(when string, want ...string) {
		t.Helper()
		var got []string
		s.EachWaiting(func(d Delivery) {
			if d.Node != "n" || d.Message == nil {
				t.Errorf("%s: %+v waits", when, d)
			}
			got = append(got, fmt.Sprintf("%s %v", map[string]string{suspended.Id: "suspended", stopping.Id: "stopping"}[d.Actor], d.Message))
		})
		if n := s.Waiting(); n != len(want) || !slices.Equal(got, want) {
			t.Errorf("%s: %d messages wait: %q, want %q", when, n, got, want)
		}
	}
	expect("at rest")
	system.Root.Send(suspended, "panic")
	s.Run(nil, 100)
	for i := range 3 {
		system.Root.Send(suspended, i)
	}
	system.Root.Send(stopping, "next")
	expect("one actor is suspended", "suspended 0", "suspended 1", "suspended 2", "stopping next")
	system.Root.Stop(stopping)
	expect("another is told to stop", "suspended 0", "suspended 1", "suspended 2", "stopping ", "stopping next")
	s.Run(nil, 100)
	expect("that one has stopped", "suspended 0", "suspended 1", "suspended 2")
	held.release()
	s.Run(nil, 100)
	expect("it runs again")
	other := system.Root.Spawn(child)
	system.Root.Send(other, "lost")
	node.Halt()
	expect("the node has crashed")
}
