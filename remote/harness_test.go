package remote

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// patience is how long a test waits for what must happen, before it fails.
const patience = 20 * time.Second

var (
	system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}))
	live = stage.NewLive()
)

// A node is a transport under test, with what it received and logged.
type node struct {
	*TCP
	t     testing.TB
	id    raft.NodeID
	inbox *flow[delivery]
	log   *flow[string]
}

type delivery struct {
	from raft.NodeID
	Envelope
}

// start runs a transport on a free port until the test ends. Change may alter its Config.
func start(t testing.TB, id raft.NodeID, change func(*Config)) *node {
	t.Helper()
	n := &node{t: t, id: id, inbox: newFlow[delivery](), log: newFlow[string]()}
	cfg := Config{System: system, Stage: live, Node: id, Cluster: "test", Listen: "127.0.0.1:0", Log: slog.New(logger{n.log})}
	if change != nil {
		change(&cfg)
	}
	tcp, err := NewTCP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.TCP = tcp
	if err := tcp.Start(n.deliver); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.stop)
	return n
}

func (n *node) deliver(from raft.NodeID, batch []Envelope) {
	for _, e := range batch {
		n.inbox.add(delivery{from, e})
	}
}

func (n *node) stop() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := n.Stop(ctx); err != nil {
		n.t.Error(err)
	}
}

// knows introduces the other nodes to n.
func (n *node) knows(others ...*node) *node {
	for _, o := range others {
		n.SetPeer(o.id, o.Addr())
	}
	return n
}

func (n *node) send(to raft.NodeID, envelopes ...Envelope) {
	pid := n.Sender(to)
	if pid == nil {
		n.t.Fatalf("node %d has no sender for node %d", n.id, to)
	}
	for _, e := range envelopes {
		system.Root.Send(pid, &Post{e})
	}
}

// sendUntil repeats a lossy send until done, because while there is no connection posts are dropped by design.
func (n *node) sendUntil(to raft.NodeID, e Envelope, done <-chan struct{}) {
	n.t.Helper()
	deadline := time.After(patience)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		n.send(to, e)
		select {
		case <-done:
			return
		case <-deadline:
			n.t.Fatalf("node %d does not reach node %d: %+v", n.id, to, n.Stats())
		case <-again.C:
		}
	}
}

// A flow is an unbounded queue that tests wait on.
type flow[T any] struct {
	mu    sync.Mutex
	items []T
	more  chan struct{} // closed, and replaced, by each add
}

func newFlow[T any]() *flow[T] { return &flow[T]{more: make(chan struct{})} }

func (f *flow[T]) add(v T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items = append(f.items, v)
	close(f.more)
	f.more = make(chan struct{})
}

// next removes the first item that match accepts, waiting for it if need be.
func (f *flow[T]) next(t testing.TB, what string, match func(T) bool) T {
	t.Helper()
	deadline := time.After(patience)
	for seen := 0; ; {
		f.mu.Lock()
		for ; seen < len(f.items); seen++ {
			if v := f.items[seen]; match == nil || match(v) {
				f.items = append(f.items[:seen], f.items[seen+1:]...)
				f.mu.Unlock()
				return v
			}
		}
		more := f.more
		f.mu.Unlock()
		select {
		case <-more:
		case <-deadline:
			f.mu.Lock()
			t.Fatalf("waited in vain for %s; there are %v", what, f.items)
		}
	}
}

// found is closed once an item that match accepts is there. It does not remove it.
func (f *flow[T]) found(match func(T) bool) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for seen, deadline := 0, time.After(patience); ; {
			f.mu.Lock()
			for ; seen < len(f.items); seen++ {
				if match(f.items[seen]) {
					f.mu.Unlock()
					return
				}
			}
			more := f.more
			f.mu.Unlock()
			select {
			case <-more:
			case <-deadline:
				return
			}
		}
	}()
	return done
}

func (f *flow[T]) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.items)
}

// logged waits for a line that contains all parts.
func (n *node) logged(parts ...string) string {
	n.t.Helper()
	return n.log.next(n.t, "log line with "+strings.Join(parts, ", "), func(line string) bool {
		for _, part := range parts {
			if !strings.Contains(line, part) {
				return false
			}
		}
		return true
	})
}

// logger is a slog.Handler that keeps lines in a flow.
type logger struct{ lines *flow[string] }

func (l logger) Enabled(context.Context, slog.Level) bool { return true }
func (l logger) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l logger) WithGroup(string) slog.Handler            { return l }

func (l logger) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.lines.add(line)
	if os.Getenv("REMOTE_TEST_LOG") != "" {
		_, _ = os.Stderr.WriteString(line + "\n")
	}
	return nil
}

// deaf listens, greets like node id, and then never reads.
func deaf(t testing.TB, id raft.NodeID) (addr string, greeted <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	var once sync.Once
	var conns sync.WaitGroup
	stop := make(chan struct{})
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				if h, _, err := readHello(conn, Speaks()); err != nil || h.to != id {
					t.Errorf("hello %+v: %v", h, err)
					return
				}
				if _, err := conn.Write(verdict{speaks: Speaks(), maxFrame: maxFrame}.append(nil)); err != nil {
					return
				}
				once.Do(func() { close(ready) })
				<-stop
			})
		}
	})
	t.Cleanup(func() {
		close(stop)
		_ = l.Close()
		conns.Wait()
	})
	return l.Addr().String(), ready
}
