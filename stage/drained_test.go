package stage

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// A mailbox that never runs empty must not keep what its actor batched for ever: at the latest after so many messages *Drained comes all the same,
// between two of them, on the seeded stage as on the live one.
func TestDrainedComesThoughTheMailboxNeverRunsEmpty(t *testing.T) {
	const after = 10
	done := make(chan []int, 1)
	gaps, since := []int(nil), 0
	busy := func(ctx actor.Context) {
		if len(gaps) == 5 {
			return
		}
		switch ctx.Message().(type) {
		case int:
			since++
			if ctx.Send(ctx.Self(), 0); since > 10*after { // it is not coming
				gaps = append(gaps, since)
			}
		case *Drained:
			gaps = append(gaps, since)
			since = 0
		}
		if len(gaps) == 5 {
			done <- gaps
		}
	}
	check := func(t *testing.T, gaps []int) {
		t.Helper()
		for _, got := range gaps {
			if got > after {
				t.Errorf("messages before each *Drained: %v, want %d at most", gaps, after)
				return
			}
		}
	}
	t.Run("live", func(t *testing.T) {
		s, system := newLive(t), newSystem()
		system.Root.Send(system.Root.Spawn(Props(s, receiver(busy), WithDrained(after))), 0)
		check(t, <-done)
	})
	gaps, since = nil, 0
	t.Run("seeded", func(t *testing.T) {
		s, system := NewSeeded(1), newSystem()
		system.Root.Send(system.Root.Spawn(Props(s.Node("n"), receiver(busy), WithDrained(after))), 0)
		s.Run(nil, 1000)
		check(t, <-done)
	})
}

// Two *Drained never follow each other without a message between: one that was due by count is not repeated when the mailbox runs empty.
func TestDrainedIsNotRepeated(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	var heard []any
	pid := system.Root.Spawn(Props(s.Node("n"), receiver(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case int, *Drained:
			heard = append(heard, m)
		}
	}), WithDrained(3)))
	for i := range 6 {
		system.Root.Send(pid, i)
	}
	s.Run(nil, 100)
	drained := 0
	for i, m := range heard {
		if _, ok := m.(*Drained); ok {
			if drained++; i == 0 || m == heard[i-1] {
				t.Errorf("place %d of %v", i, heard)
			}
		}
	}
	if drained != 2 || len(heard) != 8 {
		t.Errorf("heard %v", heard)
	}
}
