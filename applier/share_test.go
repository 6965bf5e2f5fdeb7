package applier

import (
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// reached waits for what a test cannot go on without.
func reached(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
	}
}

// commit gives the applier so many entries.
func (r *rig) commit(n int) {
	r.send(&Committed{Through: raft.EntryID{Index: raft.Index(n), Term: 1}, Blocks: []*entry.Block{block(1, 1, letters(n)...)}})
}

// looked asks the applier for a capture: what was sent before, it has seen by the answer.
func (r *rig) looked() raft.Index {
	r.t.Helper()
	answer := make(chan raft.Index, 1)
	pid := r.system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		if m, ok := c.Message().(*Captured); ok {
			answer <- m.Meta.Index
		}
	}))
	r.send(&Capture{ReplyTo: pid})
	select {
	case i := <-answer:
		return i
	case <-time.After(patience):
		r.t.Fatal("the applier is stuck")
		return 0
	}
}

// two are appliers that share one turn. The Apply of the first is entered, and held until it may go on.
func two(t *testing.T, s handStage) (first, second *rig, goOn chan struct{}) {
	turns := stage.NewTurns(stage.TurnsConfig{Most: 1, Brief: -1, Clock: s.clock})
	entered, goOn := make(chan struct{}), make(chan struct{})
	slow := &recorder{}
	slow.before = func() {
		if len(slow.applied) == 0 {
			close(entered)
			<-goOn
		}
		s.clock.move(10 * time.Millisecond)
	}
	first, second = newRigAmong(t, slow, s, turns), newRigAmong(t, &recorder{}, handStage{stage.NewLive(), s.clock}, turns)
	release := func() {
		select {
		case <-goOn:
		default:
			close(goOn)
		}
	}
	t.Cleanup(release)
	first.begin()
	second.begin()
	first.commit(20)
	reached(t, "the first applies", entered)
	second.commit(3)
	if at := second.looked(); at != 0 {
		t.Fatalf("the second has applied %d entries beside the first", at)
	}
	return first, second, goOn
}

// One turn is for one applier: the other waits, by message, and has its own before the first has done all that it has to do.
func TestAppliersShareTurns(t *testing.T) {
	first, second, goOn := two(t, newHandStage())
	close(goOn)
	if a := expect[*Applied](second); a.Index != 3 {
		t.Errorf("%+v", a)
	}
	if a := expect[*Applied](first); a.Index != 20 || a.Entries != 20 {
		t.Errorf("%+v", a)
	}
	for i, got := range first.machine.applied {
		if want := fmt.Sprintf("%d:%d", i+1, i+1); got != want {
			t.Fatalf("entry %d is %s", i+1, got)
		}
	}
}

// An Apply that hangs has its turn taken from it, and goes on where it was once it comes back.
func TestApplyThatHangsKeepsNoTurn(t *testing.T) {
	s := newHandStage()
	first, second, goOn := two(t, s)
	select {
	case fire := <-s.clock.timers:
		fire()
	case <-time.After(patience):
		t.Fatal("nobody looks after the turn")
	}
	if a := expect[*Applied](second); a.Index != 3 {
		t.Errorf("%+v", a)
	}
	close(goOn)
	if a := expect[*Applied](first); a.Index != 20 {
		t.Errorf("%+v", a)
	}
}

// Who stops gives its turn, or its place among those who wait.
func TestApplierThatStopsGivesItsTurn(t *testing.T) {
	first, second, goOn := two(t, newHandStage())
	stopped := first.system.Root.StopFuture(first.applier)
	close(goOn)
	if err := stopped.Wait(); err != nil {
		t.Fatal(err)
	}
	expect[*Applied](second)
}
