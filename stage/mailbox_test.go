package stage

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// A numbered message is number n of its sender.
type numbered struct{ sender, n int }

func TestQueueKeepsOrder(t *testing.T) {
	var q queue
	pushed, popped := 0, 0
	for round := range 200 {
		for range round % 70 {
			q.push(pushed)
			pushed++
		}
		for range round % 50 {
			if q.empty() {
				break
			}
			if got := q.pop(); got != popped {
				t.Fatalf("popped %v, want %d", got, popped)
			}
			popped++
		}
	}
	for !q.empty() {
		if got := q.pop(); got != popped {
			t.Fatalf("popped %v, want %d", got, popped)
		}
		popped++
	}
	if popped != pushed || q.tail != nil {
		t.Fatalf("popped %d of %d, tail %v", popped, pushed, q.tail)
	}
}

// TestOrderAndNoLossUnderPanics sends from many goroutines to an actor that panics now and then: each sender's messages come in
// order, each exactly once, across restarts; what panicked is the only thing its instance did not finish.
func TestOrderAndNoLossUnderPanics(t *testing.T) {
	const senders, each = 8, 10_000
	live, system := newLive(t), newSystem()
	var next [senders]int // touched by the actor only
	var restarts, batched, flushed atomic.Int64
	done := make(chan struct{})
	total := 0
	produce := func() actor.Actor {
		restarts.Add(1)
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *numbered:
				if m.n != next[m.sender] {
					t.Errorf("sender %d: message %d came, want %d", m.sender, m.n, next[m.sender])
				}
				next[m.sender] = m.n + 1
				batched.Add(1)
				total++
				if total == senders*each {
					close(done)
				}
				if m.n%997 == 13 {
					panic("injected")
				}
			case *Drained:
				flushed.Store(batched.Load())
				if total%31 == 0 {
					panic("injected in Drained")
				}
			}
		})
	}
	_, pid := under(t, live, system, &always{actor.RestartDirective}, Props(live, produce, WithDrained(0), WithLogger(quiet())))
	var senderGroup sync.WaitGroup
	for s := range senders {
		senderGroup.Go(func() {
			for n := range each {
				system.Root.Send(pid, &numbered{s, n})
				if n%100 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	senderGroup.Wait()
	receive(t, done, "last message")
	if got := restarts.Load(); got < senders*each/997 {
		t.Errorf("%d incarnations: the panics did not restart", got)
	}
	stopAndWait(t, system, pid)
}

// TestDrainedSeesEverything checks the contract of batching: no message is left in a batch when the mailbox rests, and
// nothing runs beside the flush.
func TestDrainedSeesEverything(t *testing.T) {
	const senders, each = 4, 5000
	live, system := newLive(t), newSystem()
	var inside atomic.Int32
	var batch, flushed, signals int
	spurious := false
	done := make(chan struct{})
	pid := system.Root.Spawn(Props(live, receiver(func(ctx actor.Context) {
		if inside.Add(1) != 1 {
			t.Error("two handlers at once")
		}
		defer inside.Add(-1)
		switch ctx.Message().(type) {
		case *numbered:
			batch++
		case *Drained:
			spurious = spurious || batch == 0
			signals++
			flushed += batch
			batch = 0
			if flushed == senders*each {
				close(done)
			}
		}
	}), WithDrained(0)))
	var senderGroup sync.WaitGroup
	for s := range senders {
		senderGroup.Go(func() {
			for n := range each {
				system.Root.Send(pid, &numbered{s, n})
			}
		})
	}
	senderGroup.Wait()
	receive(t, done, "flush of all")
	stopAndWait(t, system, pid)
	if spurious {
		t.Error("Drained came with nothing delivered before")
	}
	if signals > senders*each {
		t.Errorf("%d signals for %d messages", signals, senders*each)
	}
}

func TestNoDrainedUnlessAsked(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	signals := 0
	pid := system.Root.Spawn(Props(s, receiver(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*Drained); ok {
			signals++
		}
	})))
	system.Root.Send(pid, "x")
	s.Run(nil, 100)
	if signals != 0 {
		t.Errorf("%d signals", signals)
	}
}

// TestNoDrainedWhileSuspended: between a failure and the restart nothing of the user's runs, and the queue is kept.
func TestNoDrainedWhileSuspended(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	var log []string
	child := Props(s, receiver(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			log = append(log, "started")
		case string:
			log = append(log, m)
			if m == "panic" {
				panic(m)
			}
		case *Drained:
			log = append(log, "drained")
		}
	}), WithDrained(0), WithLogger(quiet()))
	held := &holding{}
	_, pid := under(t, s, system, held, child)
	s.Run(nil, 100)
	system.Root.Send(pid, "panic")
	system.Root.Send(pid, "kept")
	s.Run(nil, 100)
	system.Root.Send(pid, "later")
	s.Run(nil, 100)
	if want := "[started panic]"; !equal(log, want) {
		t.Fatalf("while suspended: %v, want %s", log, want)
	}
	held.release()
	s.Run(nil, 100)
	if want := "[started panic started kept later drained]"; !equal(log, want) {
		t.Fatalf("after the restart: %v, want %s", log, want)
	}
}

// A holding strategy restarts when it is told to.
type holding struct{ release func() }

func (h *holding) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) {
	h.release = func() { supervisor.RestartChildren(child) }
}

// TestStartedComesFirst: whoever guesses a name may send before the actor has started.
func TestStartedComesFirst(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	var log []any
	props := Props(s, receiver(func(ctx actor.Context) { log = append(log, ctx.Message()) }))
	props.Configure(actor.WithOnInit(func(ctx actor.Context) { system.Root.Send(ctx.Self(), "early") }))
	system.Root.Spawn(props)
	s.Run(nil, 100)
	if len(log) != 2 || log[1] != "early" {
		t.Fatalf("came: %v", log)
	}
	if _, ok := log[0].(*actor.Started); !ok {
		t.Fatalf("came first: %T", log[0])
	}
}

// TestSupervisionThatPanics must neither crash the process nor leave the actor suspended for ever.
func TestSupervisionThatPanics(t *testing.T) {
	live, system := newLive(t), newSystem()
	stopped := make(chan struct{})
	props := Props(live, receiver(func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case string:
			panic("boom")
		case *actor.Stopped:
			close(stopped)
		}
	}), WithLogger(quiet()))
	props.Configure(actor.WithGuardian(&escalating{}))
	system.Root.Send(system.Root.Spawn(props), "x")
	receive(t, stopped, "stop")
}

type escalating struct{}

func (*escalating) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, _ *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	supervisor.EscalateFailure(reason, message)
}

// TestGoexitIsAFailure: a handler that ends its goroutine must not take the mailbox's turn with it.
func TestGoexitIsAFailure(t *testing.T) {
	live, system := newLive(t), newSystem()
	got := make(chan string, 2)
	_, pid := under(t, live, system, &always{actor.RestartDirective}, Props(live, receiver(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Restarting:
			got <- "restarting"
		case string:
			if m == "exit" {
				runtime.Goexit()
			}
			got <- m
		}
	}), WithLogger(quiet())))
	system.Root.Send(pid, "exit")
	system.Root.Send(pid, "after")
	if first, second := receive(t, got, "restart"), receive(t, got, "message"); first != "restarting" || second != "after" {
		t.Errorf("came: %s, %s", first, second)
	}
}

type parcel []any

func (p parcel) GetMessages() []any { return p }

func TestBatchIsTakenApart(t *testing.T) {
	s, system := NewSeeded(1), newSystem()
	var log []string
	pid := system.Root.Spawn(Props(s, receiver(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case string:
			log = append(log, m)
		case parcel:
			log = append(log, "parcel")
		}
	})))
	system.Root.Send(pid, parcel{"a", "b"})
	system.Root.Request(pid, parcel{"c"})
	s.Run(nil, 100)
	if want := "[a b parcel c parcel]"; !equal(log, want) {
		t.Errorf("came: %v, want %s", log, want)
	}
}

func TestCountOfWaitingMessages(t *testing.T) {
	s := NewSeeded(1)
	box := s.Mailbox(0)()
	box.RegisterHandlers(ignoring{}, s.Dispatcher())
	box.Start()
	for range 100 {
		box.PostUserMessage("x")
	}
	if got := box.UserMessageCount(); got != 100 {
		t.Errorf("%d wait, want 100", got)
	}
	for range 40 {
		s.Step()
	}
	if got := box.UserMessageCount(); got != 60 {
		t.Errorf("%d wait, want 60", got)
	}
}

type ignoring struct{}

func (ignoring) InvokeSystemMessage(any)  {}
func (ignoring) InvokeUserMessage(any)    {}
func (ignoring) EscalateFailure(any, any) {}

// TestRestHoldsNoMemory: after a burst the chunks are back in the pool.
func TestRestHoldsNoMemory(t *testing.T) {
	box := &mailbox{}
	box.RegisterHandlers(ignoring{}, actor.NewSynchronizedDispatcher(300))
	for range 10_000 {
		box.PostUserMessage("x")
		box.PostSystemMessage("y")
	}
	if box.UserMessageCount() != 10_000 {
		t.Fatalf("%d wait before the start", box.UserMessageCount())
	}
	box.Start()
	if !box.inbox.empty() || !box.batch.empty() || !box.system.empty() || box.scheduled || box.UserMessageCount() != 0 {
		t.Errorf("at rest: %+v", box)
	}
}
