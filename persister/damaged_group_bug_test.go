package persister

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// spoil removes the block of group 1 that begins at an index behind the store's back, or flips a bit of it.
func (r *rig) spoil(first raft.Index, missing bool) {
	r.t.Helper()
	key := appendBlockKey(nil, 1, 1, first)
	if missing {
		if err := r.store.db.Delete(key, pebble.Sync); err != nil {
			r.t.Fatal(err)
		}
		return
	}
	var raw []byte
	if err := r.store.get(key, func(value []byte) error { raw = append(raw, value...); return nil }); err != nil {
		r.t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	if err := r.store.db.Set(key, raw, pebble.Sync); err != nil {
		r.t.Fatal(err)
	}
}

// commit has ops applied in one batch.
func (r *rig) commit(ops []Op) error {
	done := make(chan error, 1)
	r.store.Commit(ops, func(err error) { done <- err })
	return <-done
}

// damaged checks that an error names damage of group 1.
func damaged(t *testing.T, what string, err error) {
	t.Helper()
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.Group != 1 || corrupt.Dir != "d" {
		t.Errorf("%s: got %v, want damage of group 1", what, err)
	}
}

// What is damaged of one group's log fails that group and no other. Nothing of the write that meets it is stored, and
// what others wrote in the same batch is durable once it is acknowledged.
func TestDamagedGroupFailsAlone(t *testing.T) {
	hard := &raft.HardState{Term: 9, Vote: 2}
	for name, c := range map[string]struct {
		at      raft.Index // of the damaged block
		missing bool
		meets   Op
	}{
		"missing, its end replaced":            {4, true, Op{Hard: hard, Blocks: []*entry.Block{block(9, 5, 1)}}},
		"rotten, its end replaced":             {4, false, Op{Hard: hard, Blocks: []*entry.Block{block(9, 5, 1)}}},
		"missing, before what is new":          {4, true, Op{Hard: hard, Blocks: []*entry.Block{block(9, 7, 1)}}},
		"rotten, before what is new":           {4, false, Op{Hard: hard, Blocks: []*entry.Block{block(9, 7, 1)}}},
		"missing, compacted":                   {4, true, Op{Hard: hard, Compact: &raft.SnapshotMeta{Index: 8, Term: 1}, Through: 5}},
		"rotten, compacted":                    {4, false, Op{Hard: hard, Compact: &raft.SnapshotMeta{Index: 8, Term: 1}, Through: 5}},
		"first missing, what follows replaced": {1, true, Op{Hard: hard, Blocks: []*entry.Block{block(9, 3, 1)}}},
		"first missing, before what is new":    {1, true, Op{Hard: hard, Blocks: []*entry.Block{block(9, 4, 1)}}},
		"missing after a compaction":           {7, true, Op{Hard: hard, Compact: &raft.SnapshotMeta{Index: 6, Term: 1}, Through: 6}},
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			r := start(t, config(mem, "d"))
			defer r.stopped()
			r.loaded(1)
			r.loaded(2)
			for _, first := range []raft.Index{1, 4, 7, 10} {
				r.write(1, block(1, first, 3))
			}
			r.spoil(c.at, c.missing)
			c.meets.Group = 1
			ops := []Op{
				{Group: 2, Hard: hard, Blocks: []*entry.Block{block(9, 1, 2)}}, c.meets, {Group: 2, Blocks: []*entry.Block{block(9, 3, 2)}},
				{Group: 1, Hard: hard}, {Group: 1},
			}
			if err := r.commit(ops); err != nil || r.store.Failed() != nil || ops[0].Err != nil || ops[2].Err != nil {
				t.Fatalf("the others' writes failed: %v, %v, %v, %v", err, r.store.Failed(), ops[0].Err, ops[2].Err)
			}
			damaged(t, "its write", ops[1].Err)
			_, err := r.store.Blocks(1, 1, 1, 1)
			damaged(t, "reading", err)
			damaged(t, "loading again", r.load(1).Err)
			if ops[3].Err == nil || ops[4].Err == nil {
				t.Error("what came after the write that failed was taken")
			}
			left := start(t, config(mem.CrashClone(vfs.CrashCloneCfg{}), "d")) // a power cut
			defer left.stopped()
			if st := left.loaded(2); st.Hard != *hard || len(st.Runs) != 1 || st.Runs[0].Last != 4 {
				t.Errorf("acknowledged was term 9 and a log up to 4, after a power cut there is %+v", st)
			}
			damaged(t, "loading", left.load(1).Err)
			var g group
			var st raft.State
			g.gen = 1
			if err := left.store.readHead(1, &g, &st); err != nil || st.Hard.Term != 1 || st.Snapshot.Index != 0 {
				t.Errorf("a part of the write that failed is stored: %+v %v", st, err)
			}
		})
	}
}

// A write that meets damage is answered with its group and place, and the next write of another group goes on.
func TestDamagedGroupIsTold(t *testing.T) {
	r := start(t, config(vfs.NewMem(), "d"))
	defer r.stopped()
	r.loaded(1)
	r.loaded(2)
	r.write(1, block(1, 1, 3), block(1, 4, 3))
	r.spoil(4, true)
	r.send(&Write{Group: 1, Blocks: []*entry.Block{block(2, 5, 1)}, Then: []Delivery{{r.me, "promise"}}, ReplyTo: r.me})
	damaged(t, "its write", expect[*StoreFailed](r).Err)
	r.write(2, block(1, 1, 1))
	damaged(t, "loading again", r.load(1).Err)
	r.send(&Destroy{Group: 1, ReplyTo: r.me})
	if d := expect[*Destroyed](r); d.Err != nil {
		t.Errorf("a damaged group cannot be destroyed: %v", d.Err)
	}
	if l := r.load(1); l.Err != nil || !l.Fresh {
		t.Errorf("after it was destroyed: %+v", l)
	}
	r.nothing()
}

// A group whose record is damaged keeps no other from starting, and its files stay.
func TestDamagedRecordStopsOneGroup(t *testing.T) {
	mem := vfs.NewMem()
	r := start(t, config(mem, "d"))
	r.loaded(1)
	r.loaded(2)
	dir := r.store.SnapshotDir(1)
	if err := mem.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := r.store.db.Set(appendRecordKey(nil, 1), []byte("no record"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	r.stopped()
	r = start(t, config(mem, "d"))
	defer r.stopped()
	damaged(t, "loading", r.load(1).Err)
	r.send(&Destroy{Group: 1, ReplyTo: r.me})
	damaged(t, "destroying", expect[*Destroyed](r).Err)
	r.write(2, r.next(2))
	if _, err := mem.Stat(dir); err != nil {
		t.Errorf("its snapshots: %v", err)
	}
}

// next loads a group and makes a block that follows its log.
func (r *rig) next(g raft.GroupID) *entry.Block {
	r.t.Helper()
	st := r.loaded(g)
	last := st.Prev.Index
	if n := len(st.Runs); n > 0 {
		last = st.Runs[n-1].Last
	}
	return block(max(st.Hard.Term, 1), last+1, 1)
}
