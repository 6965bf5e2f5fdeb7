package persister

import (
	"errors"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// The n-th sync of the log fails once. Nothing that it would have made durable is acknowledged, nor anything after it, a vote included,
// though the disk works again: what a failed sync left behind is unknown (fsyncgate; Rebello et al., ATC 2020; nats-server issue 8290).
func TestFailedSyncIsNeverAcknowledged(t *testing.T) {
	for nth := range int64(4) {
		mem := vfs.NewCrashableMem()
		bad := &saboteur{err: syscall.EIO}
		syncs := int64(0)
		isSync := on(".log", errorfs.OpFileSync, errorfs.OpFileSyncData)
		bad.fails = func(op errorfs.Op) bool {
			if !isSync(op) {
				return false
			}
			syncs++
			return syncs == nth+1
		}
		r := start(t, config(errorfs.Wrap(mem, bad), "d"))
		r.loaded(1)
		bad.armed.Store(true)
		acked := raft.Index(0)
		for i := raft.Index(1); i <= 8; i++ {
			done := make(chan error, 1)
			hard := raft.HardState{Term: raft.Term(i), Vote: 1}
			r.store.Commit([]Op{{Group: 1, Hard: &hard, Blocks: []*entry.Block{block(raft.Term(i), i, 1)}}}, func(err error) { done <- err })
			switch err := <-done; {
			case err == nil && acked != i-1:
				t.Fatalf("sync %d failed: entry %d is acknowledged, %d before it was not", nth, i, i-1)
			case err == nil:
				acked = i
			case !errors.Is(err, syscall.EIO):
				t.Fatalf("sync %d: %v", nth, err)
			}
		}
		if bad.hits.Load() != 1 {
			t.Fatalf("sync %d: %d syncs failed", nth, bad.hits.Load())
		}
		if acked != raft.Index(nth) {
			t.Errorf("sync %d failed: acknowledged through %d", nth, acked)
		}
		if r.store.Failed() == nil {
			t.Errorf("sync %d: the store does not know of its failure", nth)
		}
		if err := r.stop(); !errors.Is(err, syscall.EIO) {
			t.Errorf("sync %d: close says %v", nth, err)
		}
		r = start(t, config(mem.CrashClone(vfs.CrashCloneCfg{}), "d"))
		if st := r.loaded(1); acked > 0 && (len(st.Runs) == 0 || st.Runs[len(st.Runs)-1].Last < acked) || st.Hard.Term < raft.Term(acked) {
			t.Errorf("sync %d: acknowledged through %d, on disk is %+v", nth, acked, st)
		}
		r.stopped()
	}
}
