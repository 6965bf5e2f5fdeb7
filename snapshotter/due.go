package snapshotter

import (
	"time"

	"github.com/troupe-raft/troupe/internal/backoff"
	"github.com/troupe-raft/troupe/raft"
)

// due says whether enough was applied since the last snapshot.
func due(applied, last raft.Index, every uint64) bool {
	return every > 0 && applied > last && uint64(applied-last) >= every
}

// pauseAfter is how long to wait after so many failed attempts in a row.
func (c *Config) pauseAfter(failures int) time.Duration {
	return backoff.Doubling{First: c.PauseFirst, Max: c.PauseMax}.After(failures)
}
