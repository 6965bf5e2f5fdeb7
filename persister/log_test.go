package persister

import (
	"errors"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

func TestFreshGroupIsFounded(t *testing.T) {
	fs := vfs.NewMem()
	r := start(t, config(fs, "d"))
	want := raft.State{Snapshot: raft.SnapshotMeta{Membership: founding}}
	if l := r.load(7); l.Err != nil || !l.Fresh || !reflect.DeepEqual(l.State, want) {
		t.Fatalf("got %+v", l)
	}
	r.stopped()
	r = start(t, config(fs, "d"))
	defer r.stopped()
	if l := r.load(7); l.Err != nil || l.Fresh || !reflect.DeepEqual(l.State, want) {
		t.Fatalf("after a restart: %+v", l)
	}
}

func TestFoundingMustBeOrdered(t *testing.T) {
	r := start(t, config(vfs.NewMem(), "d"))
	defer r.stopped()
	r.send(&Load{Group: 1, Founding: raft.Membership{Voters: []raft.NodeID{2, 1}}, ReplyTo: r.me})
	if l := expect[*Loaded](r); l.Err == nil {
		t.Fatalf("got %+v", l)
	}
	if l := r.load(1); l.Err != nil || !l.Fresh {
		t.Fatalf("with another founding: %+v", l)
	}
}

// TestLogSurvives writes a log with overlaps, a membership and a vote, and reads it before and after a restart.
func TestLogSurvives(t *testing.T) {
	fs := vfs.Default
	dir := t.TempDir() + "/store"
	r := start(t, config(fs, dir))
	r.loaded(1)
	r.loaded(2)
	m := raft.Membership{Voters: []raft.NodeID{1, 2}}
	change := func(term raft.Term, at raft.Index) *entry.Block {
		var b entry.Builder
		b.Append(raft.Reconfigure, 0, 0, 0, entry.AppendMembership(nil, m))
		return b.Seal(term, at)
	}
	r.write(1, block(1, 1, 5), block(1, 6, 5))
	r.write(1, block(2, 11, 3), change(2, 14))
	r.write(2, block(9, 1, 2))
	r.write(1, block(3, 8, 2), change(3, 10), block(4, 11, 1)) // into the middle of the second block
	check := func(r *rig) {
		t.Helper()
		s := r.loaded(1)
		want := raft.State{
			Hard:     raft.HardState{Term: 4, Vote: 1},
			Snapshot: raft.SnapshotMeta{Membership: founding},
			Runs:     []raft.Run{{First: 1, Last: 7, Term: 1}, {First: 8, Last: 10, Term: 3}, {First: 11, Last: 11, Term: 4}},
			Changes:  []raft.Change{{Index: 10, Membership: m}},
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("loaded\n%+v, want\n%+v", s, want)
		}
		if got := r.log(1, 1, 11); got != "1/1 2/1 3/1 4/1 5/1 6/1 7/1 8/3 9/3 10/3 11/4 " {
			t.Errorf("log is %s", got)
		}
	}
	check(r)
	r.stopped()
	r = start(t, config(fs, dir))
	check(r)
	r.stopped()
}

func TestTruncate(t *testing.T) {
	for name, c := range map[string]struct {
		blocks []*entry.Block
		want   string
	}{
		"everything":            {[]*entry.Block{block(5, 1, 2)}, "1/5 2/5 "},
		"a whole block":         {[]*entry.Block{block(5, 4, 1)}, "1/1 2/1 3/1 4/5 "},
		"inside the first":      {[]*entry.Block{block(5, 2, 1)}, "1/1 2/5 "},
		"the last entry":        {[]*entry.Block{block(5, 9, 1)}, "1/1 2/1 3/1 4/2 5/2 6/2 7/3 8/3 9/5 "},
		"nothing":               {[]*entry.Block{block(5, 10, 1)}, "1/1 2/1 3/1 4/2 5/2 6/2 7/3 8/3 9/3 10/5 "},
		"several for several":   {[]*entry.Block{block(4, 3, 1), block(5, 4, 2)}, "1/1 2/1 3/4 4/5 5/5 "},
		"the same term as kept": {[]*entry.Block{block(2, 6, 1)}, "1/1 2/1 3/1 4/2 5/2 6/2 "},
	} {
		for _, oneBatch := range []bool{false, true} {
			fs := vfs.NewMem()
			r := start(t, config(fs, "d"))
			r.loaded(1)
			seed := []*entry.Block{block(1, 1, 3), block(2, 4, 3), block(3, 7, 3)}
			last := c.blocks[len(c.blocks)-1].Last()
			if oneBatch { // the second change must see what the first one has in the same batch
				ops := []Op{{Group: 1, Hard: &raft.HardState{Term: 5}, Blocks: seed}, {Group: 1, Blocks: c.blocks}}
				commit(t, r.store, ops)
			} else {
				r.write(1, seed...)
				r.write(1, c.blocks...)
				hard := &raft.HardState{Term: 5}
				commit(t, r.store, []Op{{Group: 1, Hard: hard}})
			}
			if got := r.log(1, 1, last); got != c.want {
				t.Errorf("%s: log is %s, want %s", name, got, c.want)
			}
			if _, err := r.store.Blocks(1, last+1, last+1, 1); !errors.Is(err, ErrMissing) {
				t.Errorf("%s: beyond the end: %v", name, err)
			}
			r.stopped()
			r = start(t, config(fs, "d"))
			if s := r.loaded(1); s.Runs[len(s.Runs)-1].Last != last {
				t.Errorf("%s: loaded %+v", name, s)
			}
			if got := r.log(1, 1, last); got != c.want {
				t.Errorf("%s: after a restart the log is %s, want %s", name, got, c.want)
			}
			r.stopped()
		}
	}
}

// commit runs ops on a store and waits for them.
func commit(t testing.TB, s *Store, ops []Op) {
	t.Helper()
	done := make(chan error, 1)
	s.Commit(ops, func(err error) { done <- err })
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for _, o := range ops {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
	}
}

func TestCompact(t *testing.T) {
	m := raft.Membership{Voters: []raft.NodeID{4, 5}}
	meta := func(i raft.Index, term raft.Term) raft.SnapshotMeta {
		return raft.SnapshotMeta{Index: i, Term: term, Membership: m}
	}
	for name, c := range map[string]struct {
		meta    raft.SnapshotMeta
		through raft.Index
		prev    raft.EntryID
		runs    []raft.Run
		log     string
	}{
		"keeps trailing entries":   {meta(8, 3), 3, raft.EntryID{Index: 3, Term: 1}, []raft.Run{{First: 4, Last: 6, Term: 2}, {First: 7, Last: 9, Term: 3}}, "4/2 5/2 6/2 7/3 8/3 9/3 "},
		"ends inside a block":      {meta(5, 2), 5, raft.EntryID{Index: 5, Term: 2}, []raft.Run{{First: 6, Last: 6, Term: 2}, {First: 7, Last: 9, Term: 3}}, "6/2 7/3 8/3 9/3 "},
		"everything":               {meta(9, 3), 9, raft.EntryID{Index: 9, Term: 3}, nil, ""},
		"beyond the end":           {meta(20, 4), 20, raft.EntryID{Index: 20, Term: 4}, nil, ""},
		"nothing but the metadata": {meta(4, 2), 0, raft.EntryID{}, []raft.Run{{First: 1, Last: 3, Term: 1}, {First: 4, Last: 6, Term: 2}, {First: 7, Last: 9, Term: 3}}, "1/1 2/1 3/1 4/2 5/2 6/2 7/3 8/3 9/3 "},
	} {
		fs := vfs.NewMem()
		r := start(t, config(fs, "d"))
		r.loaded(1)
		r.write(1, block(1, 1, 3), block(2, 4, 3), block(3, 7, 3))
		commit(t, r.store, []Op{{Group: 1, Hard: &raft.HardState{Term: 4}}})
		r.send(&Compact{Group: 1, Meta: c.meta, Through: c.through, ReplyTo: r.me})
		if got := expect[*Compacted](r); got.Group != 1 || !reflect.DeepEqual(got.Meta, c.meta) {
			t.Fatalf("got %+v", got)
		}
		r.send(&Compact{Group: 1, Meta: meta(1, 1), Through: 1, ReplyTo: r.me}) // late, and older
		expect[*Compacted](r)
		check := func() {
			t.Helper()
			s := r.loaded(1)
			want := raft.State{Hard: raft.HardState{Term: 4}, Snapshot: c.meta, Prev: c.prev, Runs: c.runs}
			if !reflect.DeepEqual(s, want) {
				t.Errorf("%s: loaded\n%+v, want\n%+v", name, s, want)
			}
			if c.runs != nil {
				if got := r.log(1, c.prev.Index+1, 9); got != c.log {
					t.Errorf("%s: log is %s", name, got)
				}
			}
			if _, err := r.store.Blocks(1, c.prev.Index, 99, 1); c.prev.Index > 0 && !errors.Is(err, ErrCompacted) {
				t.Errorf("%s: below the log: %v", name, err)
			}
		}
		check()
		r.stopped()
		r = start(t, config(fs, "d"))
		check()
		next := max(c.prev.Index, 9) + 1
		r.write(1, block(4, next, 2)) // goes on
		check2 := r.loaded(1)
		if last := check2.Runs[len(check2.Runs)-1]; last.Last != next+1 {
			t.Errorf("%s: went on to %+v", name, last)
		}
		r.stopped()
	}
}

// TestTruncateToCompacted replaces everything that is left of a block whose beginning was compacted.
func TestTruncateToCompacted(t *testing.T) {
	fs := vfs.NewMem()
	r := start(t, config(fs, "d"))
	r.loaded(1)
	r.write(1, block(1, 1, 10))
	r.send(&Compact{Group: 1, Meta: raft.SnapshotMeta{Index: 7, Term: 1, Membership: founding}, Through: 7, ReplyTo: r.me})
	expect[*Compacted](r)
	r.write(1, block(2, 8, 1))
	want := []raft.Run{{First: 8, Last: 8, Term: 2}}
	if s := r.loaded(1); !reflect.DeepEqual(s.Runs, want) {
		t.Errorf("loaded %+v", s)
	}
	r.stopped()
}

// TestManyBlocks compacts more blocks than are removed one by one, and truncates many.
func TestManyBlocks(t *testing.T) {
	r := start(t, config(vfs.NewMem(), "d"))
	defer r.stopped()
	r.loaded(1)
	for i := range raft.Index(300) {
		r.send(&Write{Group: 1, Blocks: []*entry.Block{block(1, 2*i+1, 2)}})
	}
	r.write(1, block(1, 601, 1))
	r.send(&Compact{Group: 1, Meta: raft.SnapshotMeta{Index: 500, Term: 1}, Through: 499, ReplyTo: r.me})
	expect[*Compacted](r)
	r.write(1, block(2, 504, 1))
	if got := r.log(1, 500, 504); got != "500/1 501/1 502/1 503/1 504/2 " {
		t.Errorf("log is %s", got)
	}
	want := []raft.Run{{First: 500, Last: 503, Term: 1}, {First: 504, Last: 504, Term: 2}}
	if s := r.loaded(1); !reflect.DeepEqual(s.Runs, want) || s.Prev != (raft.EntryID{Index: 499, Term: 1}) {
		t.Errorf("loaded %+v", s)
	}
}

func TestReset(t *testing.T) {
	fs := vfs.NewMem()
	r := start(t, config(fs, "d"))
	r.loaded(1)
	r.write(1, block(1, 1, 10))
	snap := raft.SnapshotMeta{Index: 50, Term: 3, Membership: raft.Membership{Voters: []raft.NodeID{9}}}
	r.send(&Write{
		Group: 1, Hard: &raft.HardState{Term: 4}, Reset: &snap, Blocks: []*entry.Block{block(4, 51, 2)},
		Ack: &raft.Persisted{Last: 52}, ReplyTo: r.me,
	})
	expect[*Persisted](r)
	want := raft.State{
		Hard: raft.HardState{Term: 4}, Snapshot: snap, Prev: raft.EntryID{Index: 50, Term: 3},
		Runs: []raft.Run{{First: 51, Last: 52, Term: 4}},
	}
	if s := r.loaded(1); !reflect.DeepEqual(s, want) {
		t.Errorf("loaded %+v", s)
	}
	r.stopped()
	r = start(t, config(fs, "d"))
	if s := r.loaded(1); !reflect.DeepEqual(s, want) {
		t.Errorf("after a restart %+v", s)
	}
	r.stopped()
}

// TestBlocksLimits reads with every limit.
func TestBlocksLimits(t *testing.T) {
	r := start(t, config(vfs.NewMem(), "d"))
	defer r.stopped()
	r.loaded(1)
	big := padded(1, 4, 3, 1000)
	r.write(1, block(1, 1, 3), big, block(1, 7, 3), block(1, 10, 3))
	for _, c := range []struct {
		from, to raft.Index
		max      int
		want     []raft.Index // first indexes
	}{
		{1, 12, 1 << 20, []raft.Index{1, 4, 7, 10}},
		{2, 12, 1, []raft.Index{1}},
		{5, 12, 0, []raft.Index{4}},
		{5, 12, big.Size() + 100, []raft.Index{4, 7}},
		{3, 4, 1 << 20, []raft.Index{1, 4}},
		{3, 3, 1 << 20, []raft.Index{1}},
		{12, 99, 1 << 20, []raft.Index{10}},
	} {
		blocks, err := r.store.Blocks(1, c.from, c.to, c.max)
		if err != nil {
			t.Fatal(err)
		}
		var got []raft.Index
		for _, b := range blocks {
			got = append(got, b.First())
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%d-%d in %d bytes: %v, want %v", c.from, c.to, c.max, got, c.want)
		}
	}
	for _, g := range []raft.GroupID{1, 2} {
		if _, err := r.store.Blocks(g, 13, 14, 1); !errors.Is(err, ErrMissing) {
			t.Errorf("group %d beyond its end: %v", g, err)
		}
	}
}

// TestReadOvertakenByReset has a reader look at the log's bounds, and a snapshot from the leader replace the log before
// it looks at the blocks. What the reader wants is then compacted, not missing: that would look like damage.
func TestReadOvertakenByReset(t *testing.T) {
	r := start(t, config(vfs.NewMem(), "d"))
	defer r.stopped()
	for g, overtake := range map[raft.GroupID]any{
		1: &Write{Hard: &raft.HardState{Term: 3}, Reset: &raft.SnapshotMeta{Index: 20, Term: 3}},
		2: &Write{Hard: &raft.HardState{Term: 3}, Reset: &raft.SnapshotMeta{Index: 20, Term: 3}, Blocks: []*entry.Block{block(3, 21, 5)}},
		3: &Compact{Meta: raft.SnapshotMeta{Index: 10, Term: 1}, Through: 10},
	} {
		r.loaded(g)
		r.write(g, block(1, 1, 10))
		before, ok := r.store.known(g)
		if !ok {
			t.Fatalf("group %d is not known", g)
		}
		switch m := overtake.(type) {
		case *Write:
			m.Group, m.ReplyTo, m.Ack = g, r.me, &raft.Persisted{}
			r.send(m)
			expect[*Persisted](r)
		case *Compact:
			m.Group, m.ReplyTo = g, r.me
			r.send(m)
			expect[*Compacted](r)
		}
		if blocks, err := r.store.stored(g, before, 5, 10, 1000); !errors.Is(err, ErrCompacted) {
			t.Errorf("group %d: got %v, %v, want %v", g, blocks, err, ErrCompacted)
		}
	}
	// What is missing for another reason stays missing.
	r.loaded(4)
	r.write(4, block(1, 1, 3))
	g, _ := r.store.known(4)
	g.last.Index = 9
	if _, err := r.store.stored(4, g, 7, 9, 1000); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v, want %v", err, ErrMissing)
	}
	r.send(&Destroy{Group: 4, ReplyTo: r.me})
	expect[*Destroyed](r)
	if _, err := r.store.stored(4, g, 1, 3, 1000); !errors.Is(err, ErrMissing) {
		t.Errorf("got %v, want %v", err, ErrMissing)
	}
}

// The latest time that the log carries comes with it, as the sessions' clock goes on from there.
func TestLatestStampIsLoaded(t *testing.T) {
	r := start(t, config(vfs.NewCrashableMem(), "d"))
	stamped := func(first raft.Index, stamp int64) *entry.Block {
		var b entry.Builder
		b.Append(raft.NoOp, 0, entry.Timed, stamp, nil)
		b.Append(raft.Command, 0, 0, 0, []byte("x"))
		return b.Seal(1, first)
	}
	r.loaded(1)
	for i, want := range []int64{70, 90} {
		r.write(1, stamped(raft.Index(3*i+1), want), block(1, raft.Index(3*i+3), 1))
		if l := r.load(1); l.State.Stamp != want {
			t.Errorf("the stamp is %d, want %d", l.State.Stamp, want)
		}
	}
	r.stopped()
}
