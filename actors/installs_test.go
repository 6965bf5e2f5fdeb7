package actors_test

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/snapshotter"
)

// A led node follows node 2, which the test plays, in term 1 and for good.
type led struct {
	net    *fakeNet
	dir    string
	group  *actors.Group
	ledger *ledger
}

func startLed(t *testing.T, l *ledger) *led {
	t.Helper()
	system := newSystem()
	f := &led{net: &fakeNet{system: system}, dir: filepath.Join(t.TempDir(), "1"), ledger: l}
	h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "t", Dir: f.dir, Transport: f.net, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Stop(withDeadline(t)); err != nil {
			t.Error(err)
		}
	})
	f.group, err = actors.StartGroup(h, actors.GroupConfig{
		Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: election.Timeout{Min: time.Hour, Max: 2 * time.Hour},
		SnapshotEvery: actors.NoSnapshots, StateMachine: func() actors.StateMachine { return l },
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "it follows", func() bool { return !f.group.Status().Stopped })
	return f
}

// append sends the entry at index, committed.
func (f *led) append(index raft.Index) {
	var b entry.Builder
	b.Append(raft.Command, 0, 0, 0, fmt.Append(nil, index))
	m := raft.AppendEntries{Term: 1, Leader: 2, Runs: []raft.Run{{First: index, Last: index, Term: 1}}, Commit: index}
	if index > 1 {
		m.Prev = raft.EntryID{Index: index - 1, Term: 1}
	}
	f.net.send(2, &remote.AppendBlocks{AppendEntries: m, Blocks: []*entry.Block{b.Seal(1, index)}})
}

// install sends a whole snapshot file and returns the index that it covers.
func (f *led) install(t *testing.T, path string) raft.Index {
	t.Helper()
	_, meta, err := snapshotter.Verify(vfs.Default, path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f.net.send(2, &remote.SnapshotChunk{
		Term: 1, Leader: 2, Meta: meta, Size: int64(len(data)), Sum: crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)), Data: data, Last: true,
	})
	return meta.Index
}

// files are the snapshots on the node's disk, oldest first.
func (f *led) files(t *testing.T) (found []string) {
	t.Helper()
	err := filepath.WalkDir(f.dir, func(path string, _ os.DirEntry, err error) error {
		if filepath.Ext(path) == ".troupe" {
			found = append(found, path)
		}
		if os.IsNotExist(err) {
			return nil // it went while we looked
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// snapshotsAt are files of snapshots that hold the commands so far, at each of the indices.
func snapshotsAt(t *testing.T, indices ...raft.Index) (paths []string) {
	t.Helper()
	source, dir := startLed(t, &ledger{}), t.TempDir()
	for i := raft.Index(1); i <= slices.Max(indices); i++ {
		source.append(i)
		if !slices.Contains(indices, i) {
			continue
		}
		await(t, "the source has applied it", func() bool { return len(source.ledger.all()) == int(i) })
		if index, err := source.group.Snapshot(withDeadline(t)); err != nil || index != i {
			t.Fatalf("snapshot at %d, want %d: %v", index, i, err)
		}
		files, path := source.files(t), filepath.Join(dir, fmt.Sprint(i))
		if err := os.Link(files[len(files)-1], path); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// A follower whose Apply hangs gets two snapshots, and the second removes the first's file before the applier comes to it. When Apply
// returns, the replica goes on from the second.
func TestTwoInstallsBehindAnApplyThatHangs(t *testing.T) {
	snapshots := snapshotsAt(t, 10, 20)
	entered, release := make(chan struct{}), make(chan struct{})
	l := &ledger{onApply: func(c actors.Command) {
		if c.Index == 1 {
			close(entered)
			<-release
		}
	}}
	f := startLed(t, l)
	f.append(1)
	<-entered
	for _, path := range snapshots {
		await(t, "its file is the only one", func() bool {
			index := f.install(t, path) // again and again, as a leader would: one that comes while another is verified is not taken
			files := f.files(t)
			return len(files) == 1 && contains(files[0], fmt.Sprintf("snap-%020d-", index))
		})
	}
	close(release)
	f.append(21)
	await(t, "it goes on", func() bool { return f.group.Status().Err != nil || f.group.Status().Applied == 21 })
	if err := f.group.Status().Err; err != nil {
		t.Fatal(err)
	}
	if got := l.all(); len(got) != 21 || got[0] != "1" || got[20] != "21" {
		t.Errorf("applied %q", got)
	}
	if l.restores != 2 {
		t.Errorf("the state was replaced %d times, want once at the start and once by the newer snapshot", l.restores)
	}
}
