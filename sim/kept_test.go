package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/sim/history"
)

// A snapshot takes longer than the leader, which is busy, takes to fill what it keeps of the log for anybody. The follower catches up all the same: the log
// behind the snapshot is kept for it.
func TestFollowerCatchesUpWithABusyLeader(t *testing.T) {
	stories(t, "busy", 3, setting{Nodes: 3, SnapshotEvery: 20, TrailingEntries: 1}, func(sc *scenario) {
		leader := sc.checkOneLeader()
		away := sc.other(leader, 1)
		sc.disconnect(away)
		busy, n := true, 0
		var clerks []*clerk
		for range 4 {
			k := sc.clerk()
			clerks = append(clerks, k)
			k.run(func() *history.Op {
				if n++; !busy {
					return nil
				}
				return &history.Op{Kind: history.Put, Key: key(k.id), Arg: fmt.Sprint(n)}
			})
		}
		last := func(of *life) int { return int(of.view.last.Index) }
		sc.await(5*time.Second, "the log behind it goes", func() bool { return last(sc.life(leader)) > last(sc.life(away))+100 })
		sc.intercept = func(_ Link, m any) fate {
			if _, ok := m.(*remote.SnapshotChunk); ok {
				return fate(300 * time.Millisecond)
			}
			return 0
		}
		sc.connect(away)
		sc.await(5*time.Second, "it catches up", func() bool { return last(sc.life(away))+40 > last(sc.life(leader)) })
		if sc.messages["remote.SnapshotChunk"] == 0 {
			sc.fatalf("it needed no snapshot: %v", sc.messages)
		}
		busy = false
		sc.await(time.Second, "every client finishes", idle(clerks))
		sc.end()
	})
}
