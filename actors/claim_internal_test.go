package actors

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// Groups are started one after the other until the host stops, time and again. Each is refused, or the stop sees it and waits for its end:
// nothing runs on behind the stop's back.
func TestGroupSeesTheStopOrIsSeenByIt(t *testing.T) {
	const most = 500 // groups a round, should the stop be late
	for round := range 1000 {
		h := &Host{}
		var accepted atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for id := raft.GroupID(1); id <= most && h.claim(&Group{host: h, id: id, ended: make(chan struct{})}) == nil; id++ {
				accepted.Add(1)
			}
		}()
		for accepted.Load() < most/10 {
			runtime.Gosched()
		}
		h.stopping.Store(true)
		seen := len(h.running())
		<-done
		if int64(seen) < accepted.Load() {
			t.Fatalf("round %d: %d groups are on the host, and the stop saw %d", round, accepted.Load(), seen)
		}
	}
}
