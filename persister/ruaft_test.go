package persister

import (
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// TestRuaftStorage is ruaft's tests of its storage in memory and of storage/internal.rs, on the store. test_monitor and
// test_snapshot_size are in package snapshotter, which keeps the snapshots' bytes and says when one is due.
func TestRuaftStorage(t *testing.T) {
	for name, test := range map[string]func(*rig){
		"test_append": func(r *rig) {
			r.write(1, transaction(1, "a"))
			r.write(1, transaction(2, "test"), transaction(3, "another"), transaction(4, "test"))
			r.write(1, blockOf(2, cell{2, []byte("")})) // an entry in the middle takes what follows with it
			r.verify(raft.EntryID{}, cell{1, []byte("a")}, cell{2, []byte("")})
			if s := r.loaded(1); s.Snapshot.Index != 0 || s.Prev.Index != 0 {
				r.t.Errorf("%+v", s)
			}
		},
		"test_save_term_vote": func(r *rig) {
			r.hard(raft.HardState{})
			r.setHard(raft.HardState{Term: 9, Vote: 7})
			r.hard(raft.HardState{Term: 9, Vote: 7})
		},
		"test_update_snapshot": updateSnapshot,
		// Entries written again and again, some with what follows, and a snapshot: what was written last stands.
		"test_read_state": func(r *rig) {
			for _, i := range []raft.Index{1, 2, 3, 4} {
				r.write(1, transaction(i, "old"))
			}
			r.write(1, blockOf(3, cell{4, []byte("hi")}))
			for range 3 {
				r.write(1, blockOf(4, cell{5, []byte("4")}))
			}
			r.write(1, blockOf(5, cell{5, []byte("5")}, cell{5, []byte("6")}))
			r.setHard(raft.HardState{Term: 7, Vote: 3})
			meta := raft.SnapshotMeta{Index: 2, Term: 1, Membership: founding}
			r.send(&Compact{Group: 1, Meta: meta, Through: 2, ReplyTo: r.me})
			expect[*Compacted](r)
			r.write(1, blockOf(6, cell{7, []byte("last")}))
			r.setHard(raft.HardState{Term: 7, Vote: 3})
			r.verify(raft.EntryID{Index: 2, Term: 1}, cell{4, []byte("hi")}, cell{5, []byte("4")}, cell{5, []byte("5")}, cell{7, []byte("last")})
			want := raft.State{
				Hard: raft.HardState{Term: 7, Vote: 3}, Snapshot: meta, Prev: raft.EntryID{Index: 2, Term: 1},
				Runs: []raft.Run{{First: 3, Last: 3, Term: 4}, {First: 4, Last: 5, Term: 5}, {First: 6, Last: 6, Term: 7}},
			}
			if s := r.loaded(1); !reflect.DeepEqual(s, want) {
				r.t.Errorf("%+v, want %+v", s, want)
			}
		},
		"test_total_size": totalSize,
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, config(vfs.NewMem(), "d"))
			defer r.stopped()
			r.loaded(1)
			test(r)
		})
	}
	t.Run("test_save_restore", func(t *testing.T) { ruaftRestore(t, nil) })
	t.Run("test_restore_log_array", func(t *testing.T) {
		ruaftRestore(t, &raft.SnapshotMeta{Index: 5, Term: 1, Membership: founding})
	})
}

// ruaftRestore closes a store, perhaps with a snapshot before its log, and requires that another one opened there is in every way equal.
func ruaftRestore(t *testing.T, reset *raft.SnapshotMeta) {
	t.Helper()
	fs := vfs.NewMem()
	r := start(t, config(fs, "d"))
	r.loaded(1)
	prev := raft.EntryID{}
	if reset != nil {
		prev = raft.EntryID{Index: reset.Index, Term: reset.Term}
		r.send(&Write{Group: 1, Hard: &raft.HardState{Term: 8}, Reset: reset, Ack: &raft.Persisted{}, ReplyTo: r.me})
		expect[*Persisted](r)
	}
	one, seven := cell{1, []byte("1")}, cell{3, []byte("7")}
	r.write(1, blockOf(prev.Index+1, one), blockOf(prev.Index+2, seven))
	r.setHard(raft.HardState{Term: 8, Vote: 1})
	before := r.loaded(1)
	r.stopped()
	r = start(t, config(fs, "d"))
	defer r.stopped()
	if after := r.loaded(1); !reflect.DeepEqual(after, before) || after.Hard != (raft.HardState{Term: 8, Vote: 1}) {
		t.Errorf("%+v, was %+v", after, before)
	}
	r.verify(prev, one, seven)
}

// blocksStored counts the blocks of group 1 that the database holds.
func (r *rig) blocksStored() (n int) {
	r.t.Helper()
	it, err := r.store.db.NewIter(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for it.First(); it.Valid(); it.Next() {
		if _, err := entry.Decode(it.Value()); err == nil {
			n++
		}
	}
	if err := it.Close(); err != nil {
		r.t.Fatal(err)
	}
	return n
}

func updateSnapshot(r *rig) {
	meta := raft.SnapshotMeta{Index: 7, Term: 3, Membership: founding}
	r.setHard(raft.HardState{Term: 3})
	r.send(&Compact{Group: 1, Meta: meta, Through: 7, ReplyTo: r.me})
	expect[*Compacted](r)
	if s := r.loaded(1); !reflect.DeepEqual(s.Snapshot, meta) || s.Prev != (raft.EntryID{Index: 7, Term: 3}) {
		r.t.Errorf("%+v", s)
	}
}

// totalSize: what counts for a log's size is its blocks' bytes: compaction gives them back.
func totalSize(r *rig) {
	size := func(from, to raft.Index) (bytes int) {
		blocks, err := r.store.Blocks(1, from, to, 1<<20)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, b := range blocks {
			bytes += len(b.Bytes())
		}
		return bytes
	}
	one := len(transaction(9, "hello").Bytes())
	for i := raft.Index(1); i <= 9; i++ {
		r.write(1, blockOf(i, cell{4, []byte("hello")}))
	}
	whole := size(1, 9)
	if whole < 8*one || whole > 10*one {
		r.t.Errorf("nine entries of %d bytes are %d", one, whole)
	}
	r.send(&Compact{Group: 1, Meta: raft.SnapshotMeta{Index: 8, Term: 4}, Through: 8, ReplyTo: r.me})
	expect[*Compacted](r)
	if rest := size(9, 9); rest*9 != whole {
		r.t.Errorf("one entry is %d bytes, nine are %d", rest, whole)
	}
	if keys := r.blocksStored(); keys != 1 {
		r.t.Errorf("%d blocks are stored after the compaction", keys)
	}
}

// transaction is an entry of ruaft's tests: its term is half its index.
func transaction(i raft.Index, text string) *entry.Block {
	return blockOf(i, cell{max(1, raft.Term(i/2)), []byte(text)})
}
