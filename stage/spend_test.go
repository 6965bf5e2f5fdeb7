package stage

import (
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// TestSpend: a handler that takes long makes what is due meanwhile late, everywhere.
func TestSpend(t *testing.T) {
	s := NewSeeded(1)
	var at []time.Duration
	look := func() { at = append(at, s.Clock().Now()) }
	s.Clock().AfterFunc(time.Second, func() {
		s.Spend(3 * time.Second)
		s.Spend(-time.Second)
		look()
	})
	s.Node("n").Clock().AfterFunc(2*time.Second, look)
	s.Run(nil, 10)
	if want := []time.Duration{4 * time.Second, 4 * time.Second}; !slices.Equal(at, want) {
		t.Errorf("%v, want %v", at, want)
	}
}

// TestEach: the actors of a node, not those of others, by their ids.
func TestEach(t *testing.T) {
	s := NewSeeded(1)
	n, other := s.Node("n"), s.Node("other")
	system := newSystem()
	var want []string
	for range 3 {
		want = append(want, system.Root.Spawn(Props(n, receiver(func(actor.Context) {}))).Id)
		system.Root.Spawn(Props(other, receiver(func(actor.Context) {})))
	}
	s.Run(nil, 100)
	var got []string
	n.Each(func(id string, a actor.Actor) {
		if got = append(got, id); a == nil {
			t.Errorf("%s is nobody", id)
		}
	})
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
