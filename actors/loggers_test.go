package actors_test

import (
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/actors"
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
