package snapshotter

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/internal/private"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// DefaultStall is how long a transfer, or a follower that has a snapshot, may make no progress.
const DefaultStall = 10 * time.Minute

// Config is what one snapshotter needs. Zero values are the defaults named.
type Config struct {
	Group raft.GroupID
	Node  raft.NodeID
	Stage stage.Stage
	FS    vfs.FS // default the operating system's
	Dir   string // of this group alone
	Every uint64 // entries between snapshots; 0: only when asked

	ChunkBytes  int           // payload of one message; default 1 MiB
	RetryAfter  time.Duration // an unanswered chunk is sent again; default 500ms
	Retries     int           // unanswered this often in a row, the transfer is given up; default 20
	StallAfter  time.Duration // without progress for this long, it is given up too; default DefaultStall
	PieceBytes  int           // that have a checksum of their own in a file; default 64 KiB, at most MaxPieceBytes
	BufferBytes int           // of files written and read at a time; default 256 KiB
	// PauseFirst follows a snapshot that failed; it doubles up to PauseMax while others fail, so that a full disk is not hammered. Defaults 1s and 5m.
	PauseFirst, PauseMax time.Duration

	Sender func(raft.NodeID) *actor.PID // takes *remote.Post; nil: no way there now
	Log    *slog.Logger
}

// Why a Take or a Send ended without success, when neither the disk nor user code is to blame.
var (
	ErrStopped    = errors.New("snapshotter stopped")
	ErrNoSnapshot = errors.New("there is no snapshot to send yet")
	ErrAborted    = errors.New("snapshot transfer was aborted: this node does not lead in its term any more")
)

// sizes are how a file is cut and moved: no reader depends on them.
type sizes struct{ piece, buffer int }

var usual = sizes{piece: 64 << 10, buffer: 256 << 10}

func (c *Config) sizes() sizes { return sizes{c.PieceBytes, c.BufferBytes} }

// Validate reports every fault at once, or nil. Zero means the default.
func (c Config) Validate() (err error) {
	fault := func(bad bool, format string, args ...any) {
		if bad {
			err = errors.Join(err, fmt.Errorf("snapshotter: "+format, args...))
		}
	}
	fault(c.Stage == nil || c.Sender == nil, "Stage and Sender are needed")
	fault(c.Dir == "", "Dir is not set")
	fault(c.ChunkBytes < 0, "ChunkBytes %d is negative", c.ChunkBytes)
	fault(c.PieceBytes < 0 || c.PieceBytes > MaxPieceBytes, "PieceBytes %d is negative or above %d", c.PieceBytes, MaxPieceBytes)
	fault(c.BufferBytes < 0, "BufferBytes %d is negative", c.BufferBytes)
	fault(c.PauseFirst < 0 || c.PauseMax < 0, "PauseFirst %v or PauseMax %v is negative", c.PauseFirst, c.PauseMax)
	fault(c.RetryAfter < 0 || c.StallAfter < 0, "RetryAfter %v or StallAfter %v is negative", c.RetryAfter, c.StallAfter)
	fault(c.Retries < 0, "Retries %d is negative", c.Retries)
	return err
}

func (c Config) withDefaults() Config {
	c.FS = private.Files(cmp.Or(c.FS, vfs.Default))
	c.ChunkBytes = cmp.Or(c.ChunkBytes, 1<<20)
	c.RetryAfter = cmp.Or(c.RetryAfter, 500*time.Millisecond)
	c.Retries = cmp.Or(c.Retries, 20)
	c.StallAfter = cmp.Or(c.StallAfter, DefaultStall)
	c.PieceBytes = cmp.Or(c.PieceBytes, usual.piece)
	c.BufferBytes = cmp.Or(c.BufferBytes, usual.buffer)
	c.PauseFirst = cmp.Or(c.PauseFirst, time.Second)
	c.PauseMax = cmp.Or(c.PauseMax, 5*time.Minute)
	c.Log = cmp.Or(c.Log, slog.Default())
	return c
}
