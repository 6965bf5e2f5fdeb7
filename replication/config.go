package replication

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// The defaults of a Config.
const (
	DefaultMaxMessageBytes = 1 << 20
	DefaultCacheBytes      = 8 << 20
	DefaultInflightBytes   = 16 << 20
	DefaultInflight        = 256
	DefaultSettleAfter     = 64
	DefaultTellEvery       = 100 * time.Millisecond
	DefaultRestarts        = 10
	DefaultRetryFirst      = 150 * time.Millisecond
	DefaultRetryMax        = time.Second
)

// A Config fixes the syncer of one group.
type Config struct {
	Group  raft.GroupID
	Stage  stage.Stage
	Sender func(raft.NodeID) *actor.PID // as in remote.Transport
	Reader persister.Reader
	// Pace bounds each follower. Defaults: 16 MiB and 256 messages in flight, retries after 150ms doubling up to 1s.
	// MaxBytes is kept strictly, but for a message that is alone in flight; below it, what may be in flight follows what the way carries.
	Pace            raft.Pace
	MaxMessageBytes int           // blocks in one message, and in one read; one block may always go. Default 1 MiB
	CacheBytes      int           // recent blocks kept in memory until the followers that answer have them. Default 8 MiB
	SettleAfter     int           // messages that a never empty mailbox may hold up sending and reporting. Default 64
	TellEvery       time.Duration // how often Feeding tells of numbers that moved, at most. Default 100ms
	Restarts        int           // of the reader within Window, before the next read gets a new one. Default 10
	Window          time.Duration // default a minute
	Log             *slog.Logger  // default slog.Default()
}

// Validate reports every fault at once, or nil. Zero means the default.
func (c Config) Validate() (err error) {
	if c.Stage == nil || c.Sender == nil || c.Reader == nil {
		err = errors.Join(err, errors.New("replication: Stage, Sender and Reader are needed"))
	}
	for name, v := range map[string]int{
		"MaxMessageBytes": c.MaxMessageBytes, "CacheBytes": c.CacheBytes, "SettleAfter": c.SettleAfter, "Restarts": c.Restarts,
		"Pace.MaxBytes": c.Pace.MaxBytes, "Pace.MaxMessages": c.Pace.MaxMessages,
		"Pace.MinBytes": c.Pace.MinBytes,
	} {
		if v < 0 {
			err = errors.Join(err, fmt.Errorf("replication: %s %d is negative", name, v))
		}
	}
	if c.TellEvery < 0 {
		err = errors.Join(err, fmt.Errorf("replication: TellEvery %v is negative", c.TellEvery))
	}
	if c.Pace.RetryFirst < 0 || c.Pace.RetryMax < 0 {
		err = errors.Join(err, fmt.Errorf("replication: Pace retries %v to %v: negative", c.Pace.RetryFirst, c.Pace.RetryMax))
	}
	if p := c.Pace; p.QueueDelay < 0 || p.MeasureEvery < 0 || p.AnswerMax < 0 {
		err = errors.Join(err, fmt.Errorf("replication: Pace.QueueDelay %v, MeasureEvery %v or AnswerMax %v is negative",
			p.QueueDelay, p.MeasureEvery, p.AnswerMax))
	}
	return err
}

func (c Config) withDefaults() Config {
	c.MaxMessageBytes = cmp.Or(c.MaxMessageBytes, DefaultMaxMessageBytes)
	c.CacheBytes = cmp.Or(c.CacheBytes, DefaultCacheBytes)
	c.SettleAfter = cmp.Or(c.SettleAfter, DefaultSettleAfter)
	c.Restarts = cmp.Or(c.Restarts, DefaultRestarts)
	c.TellEvery = cmp.Or(c.TellEvery, DefaultTellEvery)
	c.Window = cmp.Or(c.Window, time.Minute)
	c.Pace.MaxBytes = cmp.Or(c.Pace.MaxBytes, DefaultInflightBytes)
	c.Pace.MaxMessages = cmp.Or(c.Pace.MaxMessages, DefaultInflight)
	c.Pace.RetryFirst = cmp.Or(c.Pace.RetryFirst, DefaultRetryFirst)
	c.Pace.RetryMax = max(cmp.Or(c.Pace.RetryMax, DefaultRetryMax), c.Pace.RetryFirst)
	c.Log = cmp.Or(c.Log, slog.Default())
	return c
}

// Props makes the syncer of one group, to be spawned as the group's child.
func Props(cfg Config) *actor.Props {
	cfg = cfg.withDefaults()
	restarts := &stage.Backoff{
		Stage: cfg.Stage, First: cfg.Pace.RetryFirst, Max: cfg.Pace.RetryMax, Jitter: 0.2, Limit: cfg.Restarts, Window: cfg.Window, Log: cfg.Log,
	}
	return stage.Props(cfg.Stage, func() actor.Actor { return newSyncer(cfg) },
		stage.WithDrained(0), stage.WithSupervisor(restarts), stage.WithLogger(cfg.Log))
}
