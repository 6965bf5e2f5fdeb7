package remote

import (
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

func item(term raft.Term, cost int) waiting {
	return waiting{Envelope: vote(term), cost: cost, at: time.Now()}
}

func (q *queue) take(batch []Envelope, target int, delay time.Duration) (_ []Envelope, bytes int, next time.Time, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.takeLocked(batch, target, delay)
}

func TestQueueKeepsOrderAndLimit(t *testing.T) {
	var gauge atomic.Int64
	q := newQueue(1000, false, &gauge)
	random := rand.New(rand.NewPCG(1, 2))
	var in, out raft.Term
	inFlight := 0
	for range 20_000 {
		if random.IntN(2) == 0 {
			size := 1 + random.IntN(300)
			room := int(gauge.Load()) == 0 || int(gauge.Load())+size <= 1000
			if refused := q.push([]waiting{item(in, size)}); (refused == 0) != room {
				t.Fatalf("%d of 1000 bytes, %d more: refused %d", gauge.Load(), size, refused)
			} else if refused == 0 {
				in++
			}
			continue
		}
		q.release(inFlight)
		batch, bytes, _, over := q.take(nil, 200, 0)
		if inFlight = bytes; over || len(batch) == 0 && out != in {
			t.Fatalf("%d of %d taken, then nothing", out, in)
		}
		for _, e := range batch {
			if e.Message.(*raft.RequestVote).Term != out {
				t.Fatalf("%+v in place of %d", e.Message, out)
			}
			out++
		}
	}
	if out == 0 || gauge.Load() > 1000 {
		t.Errorf("%d taken, %d bytes left", out, gauge.Load())
	}
}

// Groups that wait together get the same number of bytes, whatever they have waiting, each in its own order.
func TestFairQueueLetsGroupsTakeTurns(t *testing.T) {
	q := newQueue(1<<30, true, nil)
	put := func(group raft.GroupID, term raft.Term, size int) {
		w := item(term, size)
		w.Group = group
		q.push([]waiting{w})
	}
	sizes := map[raft.GroupID]int{1: 200 << 10, 2: 10 << 10, 3: 64 << 10, 4: 1 << 20}
	for i := range raft.Term(400) {
		for group, size := range sizes {
			put(group, i, size)
		}
	}
	got, next := map[raft.GroupID]int{}, map[raft.GroupID]raft.Term{}
	take := func() raft.GroupID {
		batch, bytes, _, _ := q.take(nil, 1, 0)
		q.release(bytes)
		e := batch[0]
		if term := e.Message.(*raft.RequestVote).Term; term != next[e.Group] {
			t.Fatalf("group %d: %d in place of %d", e.Group, term, next[e.Group])
		}
		next[e.Group]++
		got[e.Group] += bytes
		return e.Group
	}
	for got[2] < 2<<20 {
		take()
		for group := range sizes {
			for other := range sizes {
				if got[group] > got[other]+sizes[group]+sizes[other]+2*quantum {
					t.Fatalf("group %d has %d bytes, group %d only %d", group, got[group], other, got[other])
				}
			}
		}
	}
	put(5, 0, 100) // one that was quiet waits no longer than a turn of each other
	before := got[1] + got[2] + got[3] + got[4]
	for take() != 5 {
	}
	if waited := got[1] + got[2] + got[3] + got[4] - before; waited > 4*quantum+1<<20+300<<10 {
		t.Errorf("a quiet group waited for %d bytes", waited)
	}
	for q.items > 0 {
		take()
	}
	if len(q.lines) != 0 || len(q.active) != 0 || q.bytes != 0 {
		t.Errorf("an empty queue holds %d lines, %d of them active, and %d bytes", len(q.lines), len(q.active), q.bytes)
	}
}

// Under Chaos one group's message that is due does not wait for another's that is not.
func TestFairQueueDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1<<30, true, nil)
		for i, group := range []raft.GroupID{1, 2, 1} {
			w := item(raft.Term(i), 3*quantum)
			w.Group = group
			q.push([]waiting{w})
			time.Sleep(time.Second)
		}
		for _, c := range []struct {
			after time.Duration
			takes int
			next  time.Duration
		}{{0, 0, 57 * time.Second}, {57 * time.Second, 1, 0}, {0, 0, time.Second}, {2 * time.Second, 2, 0}, {0, 0, 0}} {
			time.Sleep(c.after)
			batch, bytes, next, _ := q.take(nil, 1<<30, time.Minute)
			if q.release(bytes); len(batch) != c.takes || (c.next > 0) != !next.IsZero() || c.next > 0 && time.Until(next) != c.next {
				t.Fatalf("took %d, want %d; next in %v, want %v", len(batch), c.takes, time.Until(next), c.next)
			}
		}
	})
}

func TestQueueTakesOneThatExceedsTheLimit(t *testing.T) {
	q := newQueue(10, false, nil)
	if q.push([]waiting{item(1, 11), item(2, 1)}) != 1 {
		t.Error("an empty queue takes any one message, and then no more")
	}
	if batch, bytes, _, _ := q.take(nil, 5, 0); len(batch) != 1 || bytes != 11 {
		t.Errorf("took %d messages of %d bytes", len(batch), bytes)
	}
	if q.push([]waiting{item(3, 1)}) != 1 {
		t.Error("what is being written does not count")
	}
	q.release(11)
	if q.push([]waiting{item(3, 1)}) != 0 {
		t.Error("release gives nothing back")
	}
}

func TestQueueCloseAndDrop(t *testing.T) {
	var gauge atomic.Int64
	q := newQueue(100, false, &gauge)
	q.push([]waiting{item(1, 10), item(2, 10)})
	q.close()
	if q.push([]waiting{item(3, 10)}) != 1 {
		t.Error("took something after close")
	}
	if batch, _, _, over := q.take(nil, 10, 0); len(batch) != 1 || over {
		t.Errorf("took %d, over: %v", len(batch), over)
	}
	if n := q.drop(); n != 1 {
		t.Errorf("dropped %d", n)
	}
	if _, _, _, over := q.take(nil, 10, 0); !over || gauge.Load() != 0 {
		t.Errorf("over: %v with %d bytes", over, gauge.Load())
	}
}

func TestQueueDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(100, false, nil)
		q.push([]waiting{item(1, 10)})
		begun := time.Now()
		f := &front{over: make(chan struct{})}
		batch, _, next, _ := q.take(nil, 100, time.Minute)
		if len(batch) != 0 || !next.Equal(begun.Add(time.Minute)) {
			t.Fatalf("took %d, next at %v", len(batch), next)
		}
		if err := idle(t.Context(), q.wake, f, next); err != nil {
			t.Fatal(err)
		}
		if batch, _, _, _ = q.take(nil, 100, time.Minute); len(batch) != 1 || time.Since(begun) != time.Minute {
			t.Errorf("took %d after %v", len(batch), time.Since(begun))
		}
	})
}

func TestBackoffDoublesWithJitter(t *testing.T) {
	c := Config{BackoffFirst: 50 * time.Millisecond, BackoffMax: 2 * time.Second}
	for failures, want := range []time.Duration{50, 100, 200, 400, 800, 1600, 2000, 2000} {
		want *= time.Millisecond
		low, high := want, time.Duration(0)
		for range 1000 {
			pause := c.backoff(failures)
			low, high = min(low, pause), max(high, pause)
		}
		if low < want/2 || low > want*6/10 || high > want || high < want*9/10 {
			t.Errorf("after %d failures from %v to %v, want half of %v to all of it", failures, low, high, want)
		}
	}
	if pause := c.backoff(1 << 30); pause < time.Second || pause > 2*time.Second {
		t.Errorf("after very many failures %v", pause)
	}
}

func TestLimiter(t *testing.T) {
	var l limiter
	now := time.Unix(1000, 0)
	allowed := 0
	for range 100 {
		if _, ok := l.allow(now); ok {
			allowed++
		}
	}
	if suppressed, ok := l.allow(now.Add(time.Second)); allowed != 5 || !ok || suppressed != 95 {
		t.Errorf("%d allowed at once; a second later %v, after %d suppressed", allowed, ok, suppressed)
	}
}

func TestConfigReportsEveryFault(t *testing.T) {
	err := Config{Cluster: strings.Repeat("x", 256), Listen: "nowhere", Peers: map[raft.NodeID]string{0: "x:1", 2: "y"},
		MaxFrame: 1, QueueBytes: -1, MaxConns: -1, MaxGreeting: -1, UnsentBytes: -1, FrameTime: -1, DialTimeout: -1, HandshakeTimeout: -1, WriteTimeout: -1, ReadTimeout: -1,
		KeepAlive: -1, BackoffFirst: 2, BackoffMax: 1}.Validate()
	for _, name := range []string{"System", "Stage", "Node", "Cluster", "Listen", "node zero", "node 2", "MaxFrame", "QueueBytes",
		"MaxConns", "MaxGreeting", "UnsentBytes", "FrameTime", "DialTimeout", "HandshakeTimeout", "WriteTimeout", "ReadTimeout", "KeepAlive", "BackoffMax"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("no word of %s in %v", name, err)
		}
	}
	if _, err := NewTCP(Config{}); err == nil {
		t.Error("NewTCP takes an invalid Config")
	}
	if err := (Config{System: system, Stage: live, Node: 1, Listen: ":0"}).Validate(); err != nil {
		t.Error(err)
	}
}

// Whatever ends a sender, the next one who asks gets another, and a restarted one goes on.
func TestSenderComesBack(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b).send(2, vote(1))
	b.inbox.next(t, "vote 1", isVote(1))
	first := a.Sender(2)
	system.Root.Send(first, &Post{Envelope{1, (*AppendBlocks)(nil)}}) // a fault of the caller: a panic
	a.sendUntil(2, vote(2), b.inbox.found(isVote(2)))
	if !a.Sender(2).Equal(first) {
		t.Error("a panic changed the sender")
	}
	if err := system.Root.StopFuture(first).Wait(); err != nil {
		t.Fatal(err)
	}
	a.sendUntil(2, vote(3), b.inbox.found(isVote(3)))
	if a.Sender(2).Equal(first) {
		t.Error("a stopped sender is still handed out")
	}
}
