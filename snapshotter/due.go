package snapshotter

import (
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// due says whether enough was applied since the last snapshot.
func due(applied, last raft.Index, every uint64) bool {
	return every > 0 && applied > last && uint64(applied-last) >= every
}

// The pause after failed attempts, so that a full disk is not hammered.
const (
	pauseFirst = time.Second
	pauseMax   = 5 * time.Minute
)

func pauseAfter(failures int) time.Duration {
	pause := pauseFirst
	for i := 1; i < failures && pause < pauseMax; i++ {
		pause *= 2
	}
	return min(pause, pauseMax)
}
