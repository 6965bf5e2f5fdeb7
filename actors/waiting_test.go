package actors_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// An asker is an actor that sends requests and passes the answers on. With again set it sends each once more that was refused as busy, at once.
type asker struct {
	pid     *actor.PID
	answers chan any
}

// ask is what makes an asker send its requests.
type ask struct {
	to    *actor.PID
	what  []any
	again bool
}

func newAsker(c *testCluster, room int) *asker {
	a := &asker{answers: make(chan any, room)}
	var order *ask
	a.pid = c.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *ask:
			order = m
			for _, q := range m.what {
				ctx.Request(m.to, q)
			}
		case *actors.Refused:
			if order.again && errors.Is(m.Err, actors.ErrBusy) {
				ctx.Request(order.to, order.what[0])
				return
			}
			a.answers <- m
		case actor.SystemMessage, actor.AutoReceiveMessage:
		default:
			a.answers <- m
		}
	}))
	c.t.Cleanup(func() { c.system.Root.Stop(a.pid) })
	return a
}

func (a *asker) next(t *testing.T) any {
	t.Helper()
	select {
	case m := <-a.answers:
		return m
	case <-time.After(limit):
		t.Fatal("no answer")
		return nil
	}
}

// Actors that have far more outstanding than the group takes, and repeat at once what is refused, must not keep it from committing.
func TestActorsThatRepeatAtOnce(t *testing.T) {
	for name, wait := range map[string]time.Duration{"which wait": 0, "which are refused at once": -1} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 1, func(c *testCluster) {
				c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) { cfg.MaxInflightEntries, cfg.BusyWait = 16, wait }
			})
			to := c.leader().group.PID()
			var all []*asker
			for range 4 {
				a := newAsker(c, 100)
				all = append(all, a)
				c.system.Root.Send(a.pid, &ask{to: to, what: proposals(64, 1), again: true})
			}
			for _, a := range all {
				for range 64 {
					if m, ok := a.next(t).(*actors.Proposed); !ok {
						t.Fatalf("answered %v", m)
					}
				}
			}
		})
	}
}

func proposals(n, size int) (out []any) {
	for i := range n {
		out = append(out, &actors.Propose{Data: slices.Concat([]byte(fmt.Sprint(i)), make([]byte, size))})
	}
	return out
}

// A gatedCluster is one node whose state machine stands still until it is released.
func gatedCluster(t *testing.T, config func(*actors.GroupConfig)) (c *testCluster, release func()) {
	gate := make(chan struct{})
	release = sync.OnceFunc(func() { close(gate) })
	c = newCluster(t, 1, func(c *testCluster) {
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
			cfg.MaxInflightEntries, cfg.BusyWait = 4, limit
			config(cfg)
			cfg.StateMachine = func() actors.StateMachine { return &ledger{onApply: func(actors.Command) { <-gate }} }
		}
	})
	t.Cleanup(release)
	return c, release
}

func TestRequestsWaitForRoomInOrder(t *testing.T) {
	c, release := gatedCluster(t, func(*actors.GroupConfig) {})
	lead := c.leader().group
	a := newAsker(c, 100)
	c.system.Root.Send(a.pid, &ask{to: lead.PID(), what: append(proposals(10, 0), &actors.Read{}, &actors.Read{Lease: true})})
	await(t, "four are in the log", func() bool { return lead.Status().Last == 5 })
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			if _, err := lead.Propose(withDeadline(t), []byte("from a goroutine")); err != nil {
				t.Error(err)
			}
			if _, err := lead.Read(withDeadline(t)); err != nil {
				t.Error(err)
			}
		})
	}
	release()
	last, proposed, reads := raft.Index(0), 0, 0
	for range 12 {
		switch m := a.next(t).(type) {
		case *actors.Proposed:
			if proposed++; m.Index <= last {
				t.Errorf("entry %d was sent after the one at %d", m.Index, last)
			}
			last = m.Index
		case *actors.ReadPoint:
			reads++
		default:
			t.Errorf("answered %+v", m)
		}
	}
	if proposed != 10 || reads != 2 {
		t.Errorf("%d proposals and %d reads were answered", proposed, reads)
	}
	wait.Wait()
}

func TestWaitingEndsAsBusy(t *testing.T) {
	c, release := gatedCluster(t, func(cfg *actors.GroupConfig) { cfg.BusyWait, cfg.MaxWaiting = 20*time.Millisecond, 5 })
	lead := c.leader().group
	a := newAsker(c, 100)
	c.system.Root.Send(a.pid, &ask{to: lead.PID(), what: proposals(15, 0)})
	for range 11 { // six that need not wait since too many do, and the five that did
		if m, ok := a.next(t).(*actors.Refused); !ok || !errors.Is(m.Err, actors.ErrBusy) {
			t.Fatalf("answered %v", m)
		}
	}
	if _, err := lead.Propose(withDeadline(t), []byte("from a goroutine")); !errors.Is(err, actors.ErrBusy) {
		t.Errorf("a goroutine got %v", err)
	}
	release()
	for range 4 {
		if m, ok := a.next(t).(*actors.Proposed); !ok {
			t.Errorf("answered %v", m)
		}
	}
	if _, err := lead.Propose(withDeadline(t), []byte("afterwards")); err != nil {
		t.Error(err)
	}
}

// What waits is bounded in bytes as well: beyond that the data is let go of, and its sender is told to repeat it when there is room.
func TestWaitingHoldsBoundedData(t *testing.T) {
	c, release := gatedCluster(t, func(cfg *actors.GroupConfig) { cfg.MaxInflightEntries, cfg.MaxInflightBytes = 100, 1000 })
	lead := c.leader().group
	a := newAsker(c, 100)
	c.system.Root.Send(a.pid, &ask{to: lead.PID(), what: proposals(10, 400)})
	await(t, "two are in the log", func() bool { return lead.Status().Last == 3 })
	release()
	taken, refused := 0, 0
	for range 10 {
		switch m := a.next(t).(type) {
		case *actors.Proposed:
			taken++
		case *actors.Refused:
			if refused++; !errors.Is(m.Err, actors.ErrBusy) {
				t.Error(m.Err)
			}
		}
	}
	if taken != 4 || refused != 6 {
		t.Errorf("%d were taken and %d refused, want the 2 that had room and the 2 that waited with their data", taken, refused)
	}
}

func TestWaitingEndsWithTheLeadership(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *testCluster, *actors.Group) error{
		"step down": func(t *testing.T, c *testCluster, g *actors.Group) error {
			if err := g.StepDown(withDeadline(t)); err != nil {
				t.Error(err)
			}
			return actors.ErrNotLeader
		},
		"stop": func(t *testing.T, c *testCluster, g *actors.Group) error {
			c.system.Root.Stop(g.PID())
			return actors.ErrStopped
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, release := gatedCluster(t, func(*actors.GroupConfig) {})
			lead := c.leader().group
			a := newAsker(c, 100)
			c.system.Root.Send(a.pid, &ask{to: lead.PID(), what: proposals(10, 0)})
			await(t, "four are in the log", func() bool { return lead.Status().Last == 5 })
			want, refused := end(t, c, lead), 0
			for i := range 10 {
				switch m := a.next(t).(type) {
				case *actors.Refused:
					if errors.Is(m.Err, want) {
						refused++
					} else if !errors.Is(m.Err, actors.ErrIndeterminate) {
						t.Error(m.Err)
					}
				case *actors.Proposed:
				default:
					t.Errorf("answered %v", m)
				}
				if refused == 6 && i < 9 {
					release()
				}
			}
			if refused != 6 {
				t.Errorf("%d of those that waited were refused with %v", refused, want)
			}
		})
	}
}

// Goroutines and actors wait in one order: neither can keep the others out.
func TestGoroutinesAndActorsWaitInOneOrder(t *testing.T) {
	c, release := gatedCluster(t, func(*actors.GroupConfig) {})
	lead := c.leader().group
	a := newAsker(c, 100)
	c.system.Root.Send(a.pid, &ask{to: lead.PID(), what: proposals(4, 0)})
	await(t, "four are in the log", func() bool { return lead.Status().Last == 5 })
	var places [20]raft.Index
	var wait sync.WaitGroup
	for i := range places {
		if i%3 == 0 {
			c.system.Root.Send(a.pid, &ask{to: lead.PID(), what: proposals(1, 0)})
		} else {
			wait.Go(func() {
				r, err := lead.Propose(withDeadline(t), []byte("from a goroutine"))
				if err != nil {
					t.Error(err)
				}
				places[i] = r.Index
			})
		}
		await(t, "it waits", func() bool { return lead.Waiting() == i+1 })
	}
	release()
	wait.Wait()
	for i := range 4 + (len(places)+2)/3 {
		m, ok := a.next(t).(*actors.Proposed)
		if !ok {
			t.Fatalf("answered %v", m)
		}
		if i >= 4 {
			places[3*(i-4)] = m.Index
		}
	}
	if !slices.IsSorted(places[:]) || places[0] != 6 {
		t.Errorf("who came in turn got the places %v", places)
	}
}
