package logs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/troupe-raft/troupe/logs"
)

// A gate is a handler that blocks until it is opened, and remembers its lines.
type gate struct {
	mu    sync.Mutex
	lines []string
	open  chan struct{}
	fail  func(slog.Record) error
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) Enabled(context.Context, slog.Level) bool { return true }
func (g *gate) WithAttrs([]slog.Attr) slog.Handler       { return g }
func (g *gate) WithGroup(string) slog.Handler            { return g }

func (g *gate) Handle(_ context.Context, r slog.Record) error {
	<-g.open
	if g.fail != nil {
		if err := g.fail(r); err != nil {
			return err
		}
	}
	said := r.Message
	r.Attrs(func(a slog.Attr) bool { said += " " + a.String(); return true })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lines = append(g.lines, said)
	return nil
}

const missing = "log lines were dropped: the log's reader is slow or blocked dropped="

// Nobody who logs waits for the handler. What is too much is dropped, the oldest first, and a line in its place says how much.
func TestLinesThatOverflowAreDroppedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		q := logs.NewQueue(3)
		log := slog.New(q.Handler(g))
		log.Info("first")
		synctest.Wait() // the handler has it
		for i := range 10 {
			log.Info(fmt.Sprint(i))
		}
		if n := q.Dropped(); n != 7 {
			t.Errorf("%d dropped, want 7", n)
		}
		close(g.open)
		if err := q.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		log.Info("last")
		synctest.Wait()
		if want := []string{"first", missing + "7", "7", "8", "9", "last"}; !slices.Equal(g.lines, want) {
			t.Errorf("got %q, want %q", g.lines, want)
		}
	})
}

// Flush waits for what came before it and no longer than its context, and says what is left.
func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		q := logs.NewQueue(0)
		log := slog.New(q.Handler(g))
		if err := q.Flush(t.Context()); err != nil {
			t.Errorf("with nothing to write: %v", err)
		}
		log.Info("a")
		log.Info("b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := q.Flush(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("a handler that blocks: %v after %v", err, time.Since(began))
		}
		close(g.open)
		if err := q.Flush(t.Context()); err != nil || len(g.lines) != 2 {
			t.Errorf("%v with %q", err, g.lines)
		}
	})
}

// Lines of many handlers come in the order in which they were logged.
func TestHandlersShareTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		close(g.open)
		q := logs.NewQueue(100)
		a, b := slog.New(q.Handler(g)).With("who", "a"), slog.New(q.Handler(g)).WithGroup("b")
		var want []string
		for i := range 20 {
			[]*slog.Logger{a, b}[i%2].Info(fmt.Sprint(i))
			want = append(want, fmt.Sprint(i))
		}
		synctest.Wait()
		if !slices.Equal(g.lines, want) {
			t.Errorf("got %q", g.lines)
		}
	})
}

// A handler that fails or panics harms nobody: its line counts as dropped.
func TestHandlersThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		close(g.open)
		g.fail = func(r slog.Record) error {
			switch r.Message {
			case "panic":
				panic("a handler")
			case "error":
				return errors.New("a handler")
			}
			return nil
		}
		q := logs.NewQueue(10)
		log := slog.New(q.Handler(g))
		for _, word := range []string{"a", "panic", "error", "b"} {
			log.Info(word)
			synctest.Wait()
		}
		if want := []string{"a", missing + "1", missing + "1", "b"}; !slices.Equal(g.lines, want) || q.Dropped() != 2 {
			t.Errorf("got %q, %d dropped", g.lines, q.Dropped())
		}
	})
}

// A queue's handler is not queued again.
func TestHandlerOfAQueueStaysAsItIs(t *testing.T) {
	a, b := logs.NewQueue(1), logs.NewQueue(1)
	h := a.Handler(slog.DiscardHandler)
	if b.Handler(h) != h {
		t.Error("it was wrapped again")
	}
}

// The wrapper keeps what a handler must, by the standard library's own test.
func TestHandlerKeepsTheContract(t *testing.T) {
	var out bytes.Buffer
	q := logs.NewQueue(1000)
	err := slogtest.TestHandler(q.Handler(slog.NewJSONHandler(&out, nil)), func() (all []map[string]any) {
		if err := q.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(out.Bytes()) {
			var m map[string]any
			if err := json.Unmarshal(line, &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}
