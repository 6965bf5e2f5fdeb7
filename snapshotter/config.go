package snapshotter

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// Config is what one snapshotter needs. Zero values are the defaults named.
type Config struct {
	Group raft.GroupID
	Node  raft.NodeID
	Stage stage.Stage
	FS    vfs.FS // default the operating system's
	Dir   string // of this group alone
	Every uint64 // entries between snapshots; 0: only when asked

	ChunkBytes int                          // payload of one message; default 1 MiB
	RetryAfter time.Duration                // an unanswered chunk is sent again; default 500ms
	Retries    int                          // unanswered this often in a row, the transfer is given up; default 20
	Sender     func(raft.NodeID) *actor.PID // takes *remote.Post; nil: no way there now
	Log        *slog.Logger
}

var errStopped = errors.New("snapshotter stopped")

func (c Config) withDefaults() Config {
	if c.FS == nil {
		c.FS = vfs.Default
	}
	c.ChunkBytes = cmp.Or(c.ChunkBytes, 1<<20)
	c.RetryAfter = cmp.Or(c.RetryAfter, 500*time.Millisecond)
	c.Retries = cmp.Or(c.Retries, 20)
	c.Log = cmp.Or(c.Log, slog.Default())
	return c
}
