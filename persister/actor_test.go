package persister

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A paper is a Storage on which nothing becomes durable, and no load ends, before the test says so.
type paper struct {
	mu      sync.Mutex
	commits []paperCommit
	loads   []func(raft.State, bool, error)
	notify  func(error)
	called  chan string // what was called, in order
	reject  raft.GroupID
}

type paperCommit struct {
	ops  []Op
	done func(error)
}

func newPaper() *paper { return &paper{called: make(chan string, 1000), reject: 1 << 50} }

func (p *paper) Load(g raft.GroupID, done func(raft.State, bool, error)) {
	p.mu.Lock()
	p.loads = append(p.loads, done)
	p.mu.Unlock()
	p.called <- fmt.Sprint("load ", g)
}

func (p *paper) Commit(ops []Op, done func(error)) {
	p.mu.Lock()
	for i := range ops {
		if ops[i].Group == p.reject {
			ops[i].Err = errors.New("rejected")
		}
	}
	p.commits = append(p.commits, paperCommit{ops, done})
	p.mu.Unlock()
	p.called <- fmt.Sprint("commit ", len(ops))
}

func (p *paper) Forget(g raft.GroupID) { p.called <- fmt.Sprint("forget ", g) }

func (p *paper) OnFailure(notify func(error)) { p.notify = notify }

func (p *paper) Blocks(raft.GroupID, raft.Index, raft.Index, int) ([]*entry.Block, error) {
	return nil, ErrMissing
}

// rejects has the storage reject everything of g from now on.
func (p *paper) rejects(g raft.GroupID) {
	p.mu.Lock()
	p.reject = g
	p.mu.Unlock()
}

// flying takes the oldest commit away and returns what makes it durable, or fail.
func (p *paper) flying() func(error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.commits[0]
	p.commits = p.commits[1:]
	return c.done
}

// land makes the oldest commit durable, or fail.
func (p *paper) land(err error) {
	p.flying()(err)
}

func (p *paper) loaded(state raft.State, fresh bool, err error) {
	p.mu.Lock()
	done := p.loads[0]
	p.loads = p.loads[1:]
	p.mu.Unlock()
	done(state, fresh, err)
}

// next checks what the persister calls next.
func (p *paper) next(t testing.TB, want string) {
	t.Helper()
	select {
	case got := <-p.called:
		if got != want {
			t.Fatalf("the persister does %q, want %q", got, want)
		}
	case <-time.After(patience):
		t.Fatalf("the persister does nothing, want %q", want)
	}
}

// known loads a group that has something on the paper.
func (p *paper) known(r *rig, g raft.GroupID) {
	r.t.Helper()
	p.load(r, g, r.me)
	expect[*Loaded](r)
}

// load is known for whoever is to be told of it.
func (p *paper) load(r *rig, g raft.GroupID, to *actor.PID) {
	r.t.Helper()
	r.send(&Load{Group: g, ReplyTo: to})
	p.next(r.t, fmt.Sprint("load ", g))
	p.loaded(raft.State{}, false, nil)
}

// idle checks that the persister calls nothing before it has answered a write that stores and waits for nothing.
func (r *rig) idle(p *paper) {
	r.t.Helper()
	r.send(&Release{Group: 1 << 60})
	for {
		select {
		case got := <-p.called:
			if got == fmt.Sprint("forget ", 1<<60) {
				return
			}
			r.t.Fatalf("the persister does %q", got)
		case <-time.After(patience):
			r.t.Fatal("the persister hangs")
		}
	}
}

func hardWrite(r *rig, g raft.GroupID, last raft.Index, then ...Delivery) *Write {
	return &Write{Group: g, Hard: &raft.HardState{Term: 1}, Ack: &raft.Persisted{Last: last}, Then: then, ReplyTo: r.me}
}

func TestNothingLeavesBeforeItIsDurable(t *testing.T) {
	p := newPaper()
	r := serve(t, p)
	defer r.stopped()
	say := func(s string) Delivery { return Delivery{To: r.me, Message: s} }
	for g := range raft.GroupID(2) {
		p.known(r, g+1)
	}
	r.send(&Write{Group: 1, Then: []Delivery{say("idle")}, Ack: &raft.Persisted{Last: 1}, ReplyTo: r.me})
	if s := expect[string](r); s != "idle" { // nothing to wait for
		t.Errorf("got %s", s)
	}
	expect[*Persisted](r)
	r.idle(p) // nor was there anything to commit
	r.send(hardWrite(r, 1, 2, say("a"), say("b")))
	p.next(t, "commit 1")
	r.send(&Write{Group: 2, Then: []Delivery{say("c")}}) // stores nothing, but must not overtake
	p.next(t, "commit 1")                                // and the storage has a say in it
	p.mu.Lock()
	op := p.commits[1].ops[0]
	p.mu.Unlock()
	if !reflect.DeepEqual(op, Op{Group: 2}) {
		t.Errorf("what stores nothing became %+v", op)
	}
	r.send(hardWrite(r, 2, 3, say("d")))
	p.next(t, "commit 1")
	r.nothing()
	p.land(nil)
	for _, want := range []string{"a", "b"} {
		if s := expect[string](r); s != want {
			t.Errorf("got %s, want %s", s, want)
		}
	}
	if a := expect[*Persisted](r); a.Group != 1 || a.Ack.Last != 2 {
		t.Errorf("got %+v", a)
	}
	r.nothing()
	p.land(nil)
	if s := expect[string](r); s != "c" {
		t.Errorf("got %s", s)
	}
	p.land(nil)
	if s := expect[string](r); s != "d" {
		t.Errorf("got %s", s)
	}
	expect[*Persisted](r)
}

func TestWritesGatherWhileFlightsAreOut(t *testing.T) {
	p := newPaper()
	r := serve(t, p, WithInFlight(2), WithBatchBytes(1000))
	defer r.stopped()
	for i := range 2 {
		r.send(hardWrite(r, raft.GroupID(i), 1))
		p.next(t, "commit 1")
	}
	for i := range 50 {
		r.send(hardWrite(r, raft.GroupID(i), 2))
	}
	r.send(&Write{Group: 7, Blocks: []*entry.Block{padded(1, 1, 1, 2000)}}) // fills the flight
	for i := range 3 {
		r.send(hardWrite(r, raft.GroupID(i), 3))
	}
	p.land(nil)
	p.next(t, "commit 51")
	p.land(nil)
	p.next(t, "commit 3")
	p.land(nil)
	p.land(nil)
	for i, last := 0, raft.Index(1); i < 55; i++ {
		a := expect[*Persisted](r)
		if a.Ack.Last < last {
			t.Fatalf("%+v after one of %d", a, last)
		}
		last = a.Ack.Last
	}
	r.nothing()
}

func TestLoadWaitsForWhatItSaw(t *testing.T) {
	p := newPaper()
	r := serve(t, p)
	defer r.stopped()
	r.send(hardWrite(r, 9, 1))
	p.next(t, "commit 1")
	r.send(&Load{Group: 1, ReplyTo: r.me})
	p.next(t, "load 1")
	p.loaded(raft.State{Hard: raft.HardState{Term: 5}}, false, nil)
	p.next(t, "commit 0") // it may have seen the write, which is not durable yet
	r.nothing()
	p.land(nil)
	expect[*Persisted](r)
	p.land(nil)
	if l := expect[*Loaded](r); l.Err != nil || l.Fresh || l.State.Hard.Term != 5 {
		t.Errorf("got %+v", l)
	}
}

func TestLoadAgain(t *testing.T) {
	p := newPaper()
	r := serve(t, p)
	defer r.stopped()
	for range 2 {
		r.send(&Load{Group: 1, ReplyTo: r.me})
		p.next(t, "load 1")
	}
	p.loaded(raft.State{}, true, nil) // of the first, which is out of date
	r.idle(p)
	r.nothing()
	p.loaded(raft.State{Hard: raft.HardState{Term: 3}}, false, nil)
	if l := expect[*Loaded](r); l.State.Hard.Term != 3 {
		t.Errorf("got %+v", l)
	}
	r.send(&Load{Group: 2, ReplyTo: r.me})
	p.next(t, "load 2")
	r.send(&Release{Group: 2})
	p.next(t, "forget 2")
	p.loaded(raft.State{}, true, nil)
	r.idle(p)
	r.nothing() // released: no more answers are wanted
}

func TestFailureIsToldOnceAndEndsEverything(t *testing.T) {
	p := newPaper()
	r := serve(t, p)
	defer r.stopped()
	for g := range raft.GroupID(3) {
		p.known(r, g)
	}
	r.send(&Release{Group: 2})
	p.next(t, "forget 2")
	r.send(hardWrite(r, 0, 1, Delivery{To: r.me, Message: "promise"}))
	p.next(t, "commit 1")
	boom := errors.New("boom")
	p.notify(boom)
	for range 2 {
		if f := expect[*StoreFailed](r); !errors.Is(f.Err, boom) {
			t.Errorf("got %v", f.Err)
		}
	}
	p.land(boom)
	p.notify(errors.New("once more"))
	for _, m := range []any{
		hardWrite(r, 1, 2), &Load{Group: 5, ReplyTo: r.me}, &Compact{Group: 1, ReplyTo: r.me}, &Destroy{Group: 1, ReplyTo: r.me},
		&Write{Group: 1, Then: []Delivery{{r.me, "promise"}}, ReplyTo: r.me},
	} {
		r.send(m)
		if f := expect[*StoreFailed](r); !errors.Is(f.Err, boom) {
			t.Errorf("%T: got %v", m, f.Err)
		}
	}
	r.nothing()
}

// A listener is told at once, on the goroutine of whoever tells. It implements actor.Process.
type listener struct{ tell func(any) }

func (l *listener) SendUserMessage(_ *actor.PID, message any) {
	_, content, _ := actor.UnwrapEnvelope(message)
	l.tell(content)
}
func (l *listener) SendSystemMessage(*actor.PID, any) {}
func (l *listener) Stop(*actor.PID)                   {}

// TestFailureIsToldInOrder: of the groups' ids, whatever order they came in, so that a simulation repeats.
func TestFailureIsToldInOrder(t *testing.T) {
	p := newPaper()
	r := serve(t, p)
	defer r.stopped()
	told := make(chan raft.GroupID, 100)
	var want []raft.GroupID
	for i := range raft.GroupID(20) {
		g := 1 + 7*i%20
		pid, _ := r.system.ProcessRegistry.Add(&listener{func(m any) {
			if _, failed := m.(*StoreFailed); failed {
				told <- g
			}
		}}, fmt.Sprint("group ", g))
		p.load(r, g, pid)
		want = append(want, i+1)
	}
	p.notify(errors.New("boom"))
	r.send(&Compact{Group: 1, ReplyTo: r.me})
	expect[*StoreFailed](r) // by now all have been told
	close(told)
	var got []raft.GroupID
	for g := range told {
		got = append(got, g)
	}
	if !slices.Equal(got, want) {
		t.Errorf("told in the order %v", got)
	}
}

// TestFailureAnswersDestroy: nobody speaks for a group that is being destroyed, so that its Destroy must be answered.
func TestFailureAnswersDestroy(t *testing.T) {
	p := newPaper()
	r := serve(t, p)
	defer r.stopped()
	p.known(r, 1)
	r.send(&Destroy{Group: 1, ReplyTo: r.me})
	p.next(t, "commit 1")
	boom := errors.New("boom")
	p.notify(boom)
	r.send(&Compact{Group: 1, ReplyTo: r.me})
	expect[*StoreFailed](r)
	p.land(boom)
	if d := expect[*Destroyed](r); d.Group != 1 || !errors.Is(d.Err, boom) {
		t.Errorf("got %+v", d)
	}
}

func TestRejectedWriteStopsOneGroup(t *testing.T) {
	p := newPaper()
	p.reject = 1
	r := serve(t, p, WithInFlight(1))
	defer r.stopped()
	r.send(hardWrite(r, 9, 1))
	p.next(t, "commit 1")
	r.send(hardWrite(r, 1, 1, Delivery{To: r.me, Message: "promise"}))
	r.send(hardWrite(r, 2, 1))
	p.land(nil)
	expect[*Persisted](r)
	p.next(t, "commit 2")
	p.land(nil)
	if f := expect[*StoreFailed](r); f.Err == nil {
		t.Error("no error")
	}
	if a := expect[*Persisted](r); a.Group != 2 {
		t.Errorf("got %+v", a)
	}
	r.nothing()
}

func TestStoppingCommitsWhatIsGathered(t *testing.T) {
	p := newPaper()
	r := serve(t, p, WithInFlight(1))
	r.send(hardWrite(r, 0, 1))
	p.next(t, "commit 1")
	r.send(hardWrite(r, 1, 1))
	r.send(hardWrite(r, 2, 1))
	if err := r.system.Root.PoisonFuture(r.pid).Wait(); err != nil {
		t.Fatal(err)
	}
	p.next(t, "commit 2")
	r.pid = r.probe(make(chan any, 1))
	r.stopped()
}
