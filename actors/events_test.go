package actors_test

import (
	"context"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// subscribe calls heard with every event of a system until the test ends.
func subscribe(t *testing.T, system *actor.ActorSystem, heard func(any)) {
	t.Helper()
	sub := system.EventStream.Subscribe(heard)
	t.Cleanup(func() { system.EventStream.Unsubscribe(sub) })
}

// A subscriber that blocks for ever on what all replicas tell stops none of them: somebody leads, writes go on.
func TestBlockedSubscriberStopsNobody(t *testing.T) {
	c := newCluster(t, 3)
	c.propose("a")
	var blocked atomic.Int32
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	on(c, func(*actors.RoleChanged) {
		blocked.Add(1)
		<-release
	})
	if err := c.leader().group.StepDown(withDeadline(t)); err != nil {
		t.Fatal(err)
	}
	await(t, "a subscriber blocks", func() bool { return blocked.Load() > 0 })
	c.propose("b")
	c.converge([]string{"a", "b"})
}

// A subscriber may ask the group that told it and wait for the answer, whatever it asks.
func TestSubscriberMayAskTheGroup(t *testing.T) {
	c := newCluster(t, 1)
	c.propose("a")
	g := c.leader().group
	answered := make(chan error, 3)
	var once sync.Once
	on(c, func(e *actors.RoleChanged) {
		if e.Role != raft.Leader {
			return
		}
		once.Do(func() {
			_, err := g.Propose(context.Background(), []byte("I lead"))
			answered <- err
			_, err = g.Read(context.Background())
			answered <- err
			_, err = g.Snapshot(context.Background())
			answered <- err
		})
	})
	if err := g.StepDown(withDeadline(t)); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"Propose", "Read", "Snapshot"} {
		select {
		case err := <-answered:
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		case <-withDeadline(t).Done():
			t.Fatalf("%s was never answered", what)
		}
	}
}

// An actor may be gone before its answer comes. That is no dead letter, whose subscribers would run on the turn that answers.
func TestAnswerToNobodyRunsNoSubscriber(t *testing.T) {
	c := newCluster(t, 1)
	c.propose("a")
	g := c.leader().group
	entered, release := make(chan struct{}), make(chan struct{})
	c.nodes[1].ledger.onApply = func(cmd actors.Command) {
		if string(cmd.Data) == "asked" {
			close(entered)
			<-release
		}
	}
	subscribe(t, c.system, func(e any) {
		if letter, ok := e.(*actor.DeadLetterEvent); ok {
			if _, answer := letter.Message.(*actors.Proposed); answer {
				t.Errorf("a dead letter: %T", letter.Message)
			}
		}
	})
	asker := c.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			ctx.Request(g.PID(), &actors.Propose{Data: []byte("asked")})
		}
	}))
	<-entered
	if err := c.system.Root.StopFuture(asker).Wait(); err != nil {
		t.Fatal(err)
	}
	close(release)
	c.propose("b")
	c.converge([]string{"a", "asked", "b"})
}

// What waits for a subscriber is bounded: the oldest is dropped, counted, and told of in its place; the rest comes in order.
func TestEventsThatOverflowAreDroppedAndCounted(t *testing.T) {
	const room, told = 3, 10
	system := newSystem()
	h, err := actors.StartHost(system, actors.HostConfig{
		Node: 1, Dir: "data", FS: vfs.NewMem(), Transport: onlyVotes(system), Log: quiet(), Tuning: actors.HostTuning{EventQueue: room},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	entered, release, heard := make(chan struct{}), make(chan struct{}), make(chan any, 2*told)
	subscribe(t, system, func(e any) {
		if e == 0 {
			close(entered)
			<-release
		}
		heard <- e
	})
	h.Announce(0)
	<-entered
	for i := range told {
		h.Announce(i + 1)
	}
	await(t, "the oldest are dropped", func() bool { return h.Stats().EventsDropped == told-room })
	close(release)
	for _, want := range []any{0, &actors.EventsDropped{Node: 1, Count: told - room}, 8, 9, 10} {
		select {
		case got := <-heard:
			if !reflect.DeepEqual(got, want) {
				t.Errorf("heard %+v, want %+v", got, want)
			}
		case <-withDeadline(t).Done():
			t.Fatalf("never heard of %v", want)
		}
	}
}

// A host stops although a subscriber blocks for ever, and waits for one that does not.
func TestHostStopsBesideSubscribers(t *testing.T) {
	system := newSystem()
	start := func(flush time.Duration) *actors.Host {
		h, err := actors.StartHost(system, actors.HostConfig{
			Node: 1, Dir: "data", FS: vfs.NewMem(), Transport: onlyVotes(system), Log: quiet(), Tuning: actors.HostTuning{FlushTime: flush},
		})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	release := make(chan struct{})
	defer close(release)
	var heard atomic.Int32
	subscribe(t, system, func(e any) {
		switch e {
		case "count":
			heard.Add(1)
		case "block":
			<-release
		}
	})
	h := start(limit)
	for range 100 {
		h.Announce("count")
	}
	if err := h.Stop(withDeadline(t)); err != nil || heard.Load() != 100 {
		t.Errorf("stopped with %v after %d events of 100", err, heard.Load())
	}
	h = start(20 * time.Millisecond)
	h.Announce("block")
	if err := h.Stop(withDeadline(t)); err != nil {
		t.Errorf("with a subscriber that blocks: %v", err)
	}
}
