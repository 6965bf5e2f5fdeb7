package actors_test

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A readStore counts the bytes that are read back from the log.
type readStore struct {
	*persister.Store
	read atomic.Int64
}

func (s *readStore) Blocks(g raft.GroupID, from, to raft.Index, maxBytes int) ([]*entry.Block, error) {
	blocks, err := s.Store.Blocks(g, from, to, maxBytes)
	for _, b := range blocks {
		s.read.Add(int64(b.Size()))
	}
	return blocks, err
}

// A follower whose Apply hangs takes part on, and keeps no more in memory than its limit: the rest it reads back from the disk when
// Apply returns.
func TestFollowerWhoseApplyHangsKeepsABoundedTail(t *testing.T) {
	const most, size, entries = 64 << 10, 8 << 10, 100
	system := newSystem()
	net := &fakeNet{system: system}
	dir := filepath.Join(t.TempDir(), "1")
	disk, err := persister.Open(persister.Config{Dir: dir, FS: vfs.Default, Cluster: "t", Node: 1, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	store := &readStore{Store: disk}
	h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "t", Transport: net, Store: store, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	entered, release := make(chan struct{}, 1), make(chan struct{})
	l := &ledger{onApply: func(c actors.Command) {
		if c.Index == 1 {
			entered <- struct{}{}
			<-release
		}
	}}
	g, err := actors.StartGroup(h, actors.GroupConfig{
		Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: election.Timeout{Min: time.Hour, Max: 2 * time.Hour}, MaxInflightBytes: most,
		StateMachine: func() actors.StateMachine { return l },
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "it follows", func() bool { return !g.Status().Stopped })
	lead := func(index, commit raft.Index) {
		var b entry.Builder
		b.Append(raft.Command, 0, 0, 0, make([]byte, size))
		m := raft.AppendEntries{Term: 1, Leader: 2, Runs: []raft.Run{{First: index, Last: index, Term: 1}}, Commit: commit}
		if index > 1 {
			m.Prev = raft.EntryID{Index: index - 1, Term: 1}
		}
		net.send(2, &remote.AppendBlocks{AppendEntries: m, Blocks: []*entry.Block{b.Seal(1, index)}})
	}
	lead(1, 1)
	<-entered
	for i := raft.Index(2); i <= entries; i++ {
		lead(i, i-1) // the leader hears of the quorum after it sent
		await(t, "what the leader sends is durable", func() bool { return g.Status().Durable == i })
	}
	if n := store.read.Load(); n != 0 {
		t.Fatalf("%d bytes were read back while Apply hung", n)
	}
	close(release)
	await(t, "it catches up", func() bool { return len(l.all()) == entries-1 })
	// In memory were the tail, one block above the limit at most, and what had been handed over before Apply hung.
	const handed = 8
	if kept := entries*size - store.read.Load(); kept > most+(1+handed)*size {
		t.Errorf("it kept %d bytes of %d in memory, with a limit of %d", kept, entries*size, most)
	}
}
