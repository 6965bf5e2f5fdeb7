package actors_test

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// TestPersisterHasItsLogger: what the host's persister has to say goes where the host's configuration wants it, not to the process's default.
func TestPersisterHasItsLogger(t *testing.T) {
	said := make(chan struct{})
	system := newSystem()
	h, err := actors.StartHost(system, actors.HostConfig{
		Node: 1, Dir: "data", FS: vfs.NewMem(), Transport: onlyVotes(system),
		Loggers: func(module string) *slog.Logger {
			if module != "persister" {
				return quiet()
			}
			return slog.New(slog.NewTextHandler(heard(said), nil))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	system.Root.Send(h.Persister(), "nothing that it knows")
	select {
	case <-said:
	case <-withDeadline(t).Done():
		t.Error("it said nothing there")
	}
}

// heard closes once at the first word.
func heard(said chan struct{}) io.Writer {
	first := true
	return writerFunc(func(b []byte) (int, error) {
		if first {
			close(said)
		}
		first = false
		return len(b), nil
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// A blocker is a log handler that, once armed, takes a line and never returns.
type blocker struct {
	slog.Handler
	armed   *atomic.Bool
	blocked *atomic.Int32
	lines   *atomic.Int32 // written
	release chan struct{}
}

func newBlocker() blocker {
	return blocker{slog.DiscardHandler, new(atomic.Bool), new(atomic.Int32), new(atomic.Int32), make(chan struct{})}
}

// free lets all lines go.
func (b blocker) free() { close(b.release) }

func (b blocker) Enabled(context.Context, slog.Level) bool { return true }
func (b blocker) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b blocker) WithGroup(string) slog.Handler            { return b }

func (b blocker) Handle(context.Context, slog.Record) error {
	if b.armed.Load() {
		b.blocked.Add(1)
		<-b.release
	}
	b.lines.Add(1)
	return nil
}

// A log handler that blocks for ever, say a pipe that nobody reads, holds up no actor of the host: somebody leads, writes go on.
func TestBlockedLogStopsNobody(t *testing.T) {
	b := newBlocker()
	c := newCluster(t, 3, func(c *testCluster) {
		c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.Log = slog.New(b) }
	})
	t.Cleanup(b.free) // before the nodes stop
	c.propose("a")
	b.armed.Store(true)
	if err := c.leader().group.StepDown(withDeadline(t)); err != nil {
		t.Fatal(err)
	}
	await(t, "the log blocks", func() bool { return b.blocked.Load() > 0 })
	c.propose("b")
	c.converge([]string{"a", "b"})
}

// A host stops although its log blocks for ever; otherwise all that was logged is written when Stop returns.
func TestHostStopsBesideItsLog(t *testing.T) {
	for name, blocks := range map[string]bool{"written": false, "blocked": true} {
		t.Run(name, func(t *testing.T) {
			b := newBlocker()
			defer b.free()
			b.armed.Store(blocks)
			flush := limit
			if blocks {
				flush = 20 * time.Millisecond
			}
			system := newSystem()
			h, err := actors.StartHost(system, actors.HostConfig{
				Node: 1, Dir: "data", FS: vfs.NewMem(), Transport: onlyVotes(system), Tuning: actors.HostTuning{FlushTime: flush}, Log: slog.New(b),
			})
			if err != nil {
				t.Fatal(err)
			}
			before := b.lines.Load()
			for range 100 {
				system.Root.Send(h.Persister(), "nothing that it knows")
			}
			err = h.Stop(withDeadline(t))
			if written := b.lines.Load() - before; err != nil || !blocks && written < 100 {
				t.Errorf("stopped with %v, %d lines of 100 are written", err, written)
			}
		})
	}
}
