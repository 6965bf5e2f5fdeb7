package actors_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
)

// A slowStore has compactions wait, once asked to.
type slowStore struct {
	actors.Store
	slow    atomic.Bool
	entered chan struct{}
	release chan struct{}
}

func (s *slowStore) Commit(ops []persister.Op, done func(error)) {
	for i := range ops {
		if ops[i].Compact != nil && s.slow.CompareAndSwap(true, false) {
			close(s.entered)
			<-s.release
		}
	}
	s.Store.Commit(ops, done)
}

// A panickyFS panics once when it lists two snapshots.
type panickyFS struct {
	vfs.FS
	panicked atomic.Int32
}

func (f *panickyFS) List(dir string) ([]string, error) {
	names, err := f.FS.List(dir)
	if strings.Count(strings.Join(names, "\n"), ".troupe") == 2 && f.panicked.CompareAndSwap(0, 1) {
		panic("disk driver")
	}
	return names, err
}

// The snapshotter restarts while a newer snapshot is not yet what the disk would start from: it keeps the older one's file until it is,
// or a process that ended now would come back to a store that names a file which is gone.
func TestRestartedSnapshotterKeepsWhatTheDiskStartsFrom(t *testing.T) {
	store := &slowStore{entered: make(chan struct{}), release: make(chan struct{})}
	fs := &panickyFS{FS: vfs.Default}
	c := newCluster(t, 1, func(c *testCluster) {
		c.host = func(id raft.NodeID, cfg *actors.HostConfig) {
			disk, err := persister.Open(persister.Config{Dir: filepath.Join(c.dir, "1"), Cluster: cfg.Cluster, Node: id, Log: cfg.Log})
			if err != nil {
				t.Fatal(err)
			}
			store.Store = disk
			cfg.Store, cfg.FS = store, fs
		}
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) { cfg.SnapshotEvery = actors.NoSnapshots }
	})
	c.propose("a")
	g := c.leader().group
	if _, err := g.Snapshot(withDeadline(t)); err != nil {
		t.Fatal(err)
	}
	older := findSnapshot(t, c.dir)
	c.propose("b") // behind the compaction, which is durable by then
	store.slow.Store(true)
	if _, err := g.Snapshot(withDeadline(t)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-store.entered:
	case <-withDeadline(t).Done():
		t.Fatal("the store was not told of the newer snapshot")
	}
	await(t, "the snapshotter panics", func() bool { return fs.panicked.Load() == 1 })
	// It answers this one when it has its orders and has tidied up by them.
	if _, err := g.Snapshot(withDeadline(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(older); err != nil {
		t.Errorf("the snapshot that the store names is gone: %v", err)
	}
	close(store.release)
	await(t, "the older file goes when the store names the newer", func() bool {
		_, err := os.Stat(older)
		return errors.Is(err, os.ErrNotExist)
	})
	if findSnapshot(t, c.dir) == older {
		t.Error("the wrong one went")
	}
}
