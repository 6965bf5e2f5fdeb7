package snapshotter

import (
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// TestRuaftStorage is the part of ruaft's storage tests that is about snapshots; the rest is in package persister.
func TestRuaftStorage(t *testing.T) {
	// A monitor with a limit says when the log is to be compacted: here by entries since the last snapshot, there by bytes.
	t.Run("test_monitor", func(t *testing.T) {
		for every, due := range map[uint64]bool{10: true, 157: true, 158: false, 160: false} {
			w := newWorld(t, 1)
			w.nodes[1] = &node{id: 1, fs: newFS(), every: every}
			w.start(1, raft.SnapshotMeta{})
			w.tell(1, &Applied{Index: 9})
			if got := said[*WantCapture](w, 1); len(got) != 0 {
				t.Errorf("every %d: due after 9", every)
			}
			w.tell(1, &Applied{Index: 157})
			if got := said[*WantCapture](w, 1); (len(got) == 1) != due {
				t.Errorf("every %d: %d captures wanted after 157", every, len(got))
			}
		}
	})
	// The size that is reported is that of the file, which holds a little more than the state.
	t.Run("test_snapshot_size", func(t *testing.T) {
		w := newTaker(t, plain)
		w.tell(1, &Applied{Index: 10})
		one[*WantCapture](w, 1)
		state := content(1, 5000)
		w.tell(1, &Captured{Meta: metaAt(10), Write: writes(state)})
		taken := one[*Taken](w, 1)
		info, err := w.nodes[1].fs.Stat(dir + "/" + fileName(10, 2))
		if err != nil {
			t.Fatal(err)
		}
		if taken.Err != nil || taken.Size != info.Size() || taken.Size < int64(len(state)) || taken.Size > int64(len(state))+500 {
			t.Errorf("%d bytes of state, reported %d, on disk %d", len(state), taken.Size, info.Size())
		}
	})
}
