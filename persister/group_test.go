package persister

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A turnstile counts the syncs of files and, while it is shut, holds them.
type turnstile struct {
	syncs atomic.Int64
	gate  sync.RWMutex
	held  chan struct{}
}

func (s *turnstile) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData:
		s.syncs.Add(1)
		if s.held != nil {
			select {
			case s.held <- struct{}{}:
			default:
			}
		}
		s.gate.RLock()
		s.gate.RUnlock() //nolint:staticcheck // passing is all there is to do
	}
	return nil
}

func (s *turnstile) String() string { return "turnstile" }

// TestGroupsShareSyncs has many groups write while a sync runs: all of them must ride on the next few.
func TestGroupsShareSyncs(t *testing.T) {
	const groups = 200
	s := &turnstile{held: make(chan struct{}, 1)}
	r := start(t, config(errorfs.Wrap(vfs.NewMem(), s), "d"), WithInFlight(2))
	defer r.stopped()
	for g := range raft.GroupID(groups) {
		r.loaded(g)
	}
	for len(s.held) > 0 {
		<-s.held
	}
	s.syncs.Store(0)
	s.gate.Lock()
	for round := range raft.Index(5) {
		for g := range raft.GroupID(groups) {
			r.send(&Write{Group: g, Hard: &raft.HardState{Term: 1}, Blocks: []*entry.Block{block(1, round+1, 1)}, Ack: &raft.Persisted{Last: round + 1}, ReplyTo: r.me})
		}
		if round == 0 {
			<-s.held // the disk is busy from here on
		}
	}
	r.nothing()
	s.gate.Unlock()
	for range groups * 5 {
		expect[*Persisted](r)
	}
	if n := s.syncs.Load(); n > 20 {
		t.Errorf("%d writes took %d syncs", groups*5, n)
	}
}

// TestBrokenInvariants offers what no correct group writes. Each must stop its group, change nothing, and leave others alone.
func TestBrokenInvariants(t *testing.T) {
	snap := func(i raft.Index, term raft.Term) *raft.SnapshotMeta { return &raft.SnapshotMeta{Index: i, Term: term} }
	for name, m := range map[string]any{
		"gap":                   &Write{Blocks: []*entry.Block{block(2, 12, 1)}},
		"gap between":           &Write{Blocks: []*entry.Block{block(2, 11, 1), block(2, 13, 1)}},
		"back between":          &Write{Blocks: []*entry.Block{block(2, 11, 2), block(2, 12, 1)}},
		"term back":             &Write{Blocks: []*entry.Block{block(1, 11, 1)}},
		"term back, replacing":  &Write{Blocks: []*entry.Block{block(1, 9, 1)}},
		"term back between":     &Write{Blocks: []*entry.Block{block(3, 11, 1), block(2, 12, 1)}},
		"compacted":             &Write{Blocks: []*entry.Block{block(3, 4, 1)}},
		"covered by a snapshot": &Write{Blocks: []*entry.Block{block(3, 5, 1)}},
		"reset back":            &Write{Reset: snap(4, 2)},
		"reset, then gap":       &Write{Reset: snap(20, 2), Blocks: []*entry.Block{block(2, 22, 1)}},
		"reset, then below":     &Write{Reset: snap(20, 2), Blocks: []*entry.Block{block(2, 20, 1)}},
		"compacted too far":     &Compact{Meta: *snap(8, 2), Through: 9},
		"snapshot of another":   &Compact{Meta: *snap(10, 3), Through: 10},
		"snapshot above":        &Compact{Meta: *snap(11, 3), Through: 7},
	} {
		fs := vfs.NewMem()
		r := start(t, config(fs, "d"))
		r.loaded(1)
		r.loaded(2)
		r.write(1, block(1, 1, 3), block(2, 4, 7))
		r.send(&Compact{Group: 1, Meta: *snap(5, 2), Through: 4, ReplyTo: r.me})
		expect[*Compacted](r)
		before := r.loaded(1)
		switch m := m.(type) {
		case *Write:
			m.Group, m.ReplyTo, m.Ack, m.Hard = 1, r.me, &raft.Persisted{}, &raft.HardState{Term: 77}
		case *Compact:
			m.Group, m.ReplyTo = 1, r.me
		}
		r.send(m)
		r.send(hardWrite(r, 1, 1)) // nothing that follows may be acknowledged either
		for range 2 {
			var broken *invariantError
			if f := expect[*StoreFailed](r); !errors.As(f.Err, &broken) || broken.group != 1 {
				t.Errorf("%s: got %v", name, f.Err)
			}
		}
		r.write(2, block(1, 1, 1))
		if after := r.loaded(1); after.Hard != before.Hard || len(after.Runs) != len(before.Runs) || after.Prev != before.Prev {
			t.Errorf("%s: log was %+v, is %+v", name, before, after)
		}
		r.stopped()
	}
}

// TestDestroyed groups leave nothing for a later group of the same id.
func TestDestroyed(t *testing.T) {
	fs := vfs.NewMem()
	r := start(t, config(fs, "d"))
	dir := r.store.SnapshotDir(1)
	r.loaded(1)
	r.loaded(2)
	if got := r.store.SnapshotDir(1); got != dir {
		t.Errorf("snapshots move from %s to %s when the group is loaded", dir, got)
	}
	r.write(1, block(1, 1, 10))
	r.write(2, block(1, 1, 10))
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.send(&Destroy{Group: 1, ReplyTo: r.me})
	if d := expect[*Destroyed](r); d.Group != 1 || d.Err != nil {
		t.Fatalf("got %+v", d)
	}
	r.send(hardWrite(r, 1, 1)) // a late one of the dead group
	expect[*StoreFailed](r)
	r.stopped()
	if _, err := fs.Stat(dir); err == nil {
		t.Error("its snapshots are still there")
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil { // as if they could not be removed
		t.Fatal(err)
	}
	r = start(t, config(fs, "d"))
	if _, err := fs.Stat(dir); err == nil {
		t.Error("its snapshots are still there after a restart")
	}
	if next := r.store.SnapshotDir(1); next == dir {
		t.Errorf("the next group of the id shares %s", dir)
	}
	if l := r.load(1); !l.Fresh || len(l.State.Runs) > 0 || l.State.Hard.Term > 0 {
		t.Errorf("the next group of the id found %+v", l)
	}
	r.loaded(2)
	if got := r.log(2, 1, 10); got != "1/1 2/1 3/1 4/1 5/1 6/1 7/1 8/1 9/1 10/1 " {
		t.Errorf("the other group has %s", got)
	}
	r.write(1, block(1, 1, 1))
	r.send(&Release{Group: 1})
	r.send(&Destroy{Group: 1, ReplyTo: r.me}) // not loaded
	r.send(&Destroy{Group: 99, ReplyTo: r.me})
	for range 2 {
		if d := expect[*Destroyed](r); d.Err != nil {
			t.Errorf("got %+v", d)
		}
	}
	if l := r.load(1); !l.Fresh {
		t.Errorf("got %+v", l)
	}
	r.stopped()
}
