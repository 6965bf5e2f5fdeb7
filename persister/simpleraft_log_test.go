package persister

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A cell is one entry of a log that the seeds' tests describe: its place follows from where it is in the list.
type cell struct {
	term raft.Term
	data []byte
}

// blockOf packs cells of one term.
func blockOf(first raft.Index, cells ...cell) *entry.Block {
	var b entry.Builder
	for _, c := range cells {
		b.Append(raft.Command, 0, 0, 0, c.data)
	}
	return b.Seal(cells[0].term, first)
}

// cells reads entries first to last.
func (r *rig) cells(first, last raft.Index) (out []cell) {
	r.t.Helper()
	for at := first; at <= last; {
		blocks, err := r.store.Blocks(1, at, last, 1<<20)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, b := range blocks {
			for e := range b.All() {
				if e.Index == at && at <= last {
					out = append(out, cell{e.Term, slices.Clone(e.Data)})
					at++
				}
			}
		}
	}
	return out
}

// verify requires that the log is want after prev, and that there is nothing on either side. It is simple_raft's verify_log and
// Hoverbear's assert_entries_equal.
func (r *rig) verify(prev raft.EntryID, want ...cell) {
	r.t.Helper()
	s, last := r.loaded(1), prev.Index
	if k := len(s.Runs); k > 0 {
		last = s.Runs[k-1].Last
	}
	if s.Prev != prev || last != prev.Index+raft.Index(len(want)) {
		r.t.Fatalf("log %d to %d, want %d entries after %+v", s.Prev.Index, last, len(want), prev)
	}
	got := r.cells(prev.Index+1, last)
	if !slices.EqualFunc(got, want, func(a, b cell) bool { return a.term == b.term && bytes.Equal(a.data, b.data) }) {
		r.t.Fatalf("log %v, want %v", got, want)
	}
	if _, err := r.store.Blocks(1, last+1, last+1, 1); !errors.Is(err, ErrMissing) {
		r.t.Fatalf("after the end: %v", err)
	}
	if _, err := r.store.Blocks(1, prev.Index, prev.Index, 1); prev.Index > 0 && !errors.Is(err, ErrCompacted) {
		r.t.Fatalf("before the beginning: %v", err)
	}
}

// simpleRaftCells are simple_raft's test entries: an empty one first, the highest term there is last.
func simpleRaftCells() []cell {
	return []cell{{1, []byte{}}, {1, []byte{2}}, {2, []byte{3, 3}}, {9, bytes.Repeat([]byte{4}, 100)}, {1<<64 - 1, bytes.Repeat([]byte{5}, 100)}}
}

// filled appends cells one by one and verifies the log after each.
func (r *rig) filled(cells ...cell) {
	r.t.Helper()
	for i, c := range cells {
		r.write(1, blockOf(raft.Index(i+1), c))
		r.verify(raft.EntryID{}, cells[:i+1]...)
	}
}

// refusesGap requires that an entry that would leave a gap is refused, and that nothing of it is stored.
func (r *rig) refusesGap(at raft.Index, term raft.Term) {
	r.t.Helper()
	r.send(&Write{Group: 1, Blocks: []*entry.Block{blockOf(at, cell{term, nil})}, Ack: &raft.Persisted{Last: at}, ReplyTo: r.me})
	var broken *invariantError
	if f := expect[*StoreFailed](r); !errors.As(f.Err, &broken) {
		r.t.Fatalf("entry %d: %v", at, f.Err)
	}
}

// TestSimpleRaftLog is simple_raft's suite for implementations of its RaftLog, src/log/tests.rs, on the log on disk.
func TestSimpleRaftLog(t *testing.T) {
	for name, test := range map[string]func(*rig){
		"test_log_empty":  func(r *rig) { r.verify(raft.EntryID{}) },
		"test_log_append": func(r *rig) { r.filled(simpleRaftCells()...) },
		// Entries are cancelled by what replaces them: n go when another one comes in the place of the first of them.
		"test_log_cancel_from": func(r *rig) {
			cells := simpleRaftCells()[:4]
			r.filled(cells...)
			for i, n := range []int{1, 2, 1} {
				term, last := raft.Term(10+i), raft.Index(len(cells))
				for _, beyond := range []raft.Index{2, 3} {
					r.refusesGap(last+beyond, term)
					r.verify(raft.EntryID{}, cells...) // which loads it again
				}
				by := cell{term, []byte{byte(i)}}
				cells = append(slices.Clone(cells[:len(cells)-n]), by)
				r.write(1, blockOf(raft.Index(len(cells)), by))
				r.verify(raft.EntryID{}, cells...)
			}
		},
		// The term of the last discarded entry is kept, and only what a snapshot covers may be discarded.
		"prev_term": func(r *rig) {
			cells := simpleRaftCells()[:4]
			r.filled(cells...)
			r.send(&Compact{Group: 1, Meta: raft.SnapshotMeta{Index: 3, Term: 2, Membership: founding}, Through: 3, ReplyTo: r.me})
			expect[*Compacted](r)
			r.verify(raft.EntryID{Index: 3, Term: 2}, cells[3])
			r.send(&Compact{Group: 1, Meta: raft.SnapshotMeta{Index: 3, Term: 2, Membership: founding}, Through: 4, ReplyTo: r.me})
			if f := expect[*StoreFailed](r); f.Err == nil {
				r.t.Fatal("discarded what no snapshot covers")
			}
			r.verify(raft.EntryID{Index: 3, Term: 2}, cells[3])
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			r := start(t, config(fs, "d"))
			r.loaded(1)
			test(r)
			before := r.loaded(1)
			var log []cell
			if k := len(before.Runs); k > 0 {
				log = r.cells(before.Prev.Index+1, before.Runs[k-1].Last)
			}
			r.stopped()
			r = start(t, config(fs, "d")) // the same after a restart
			defer r.stopped()
			r.verify(before.Prev, log...)
		})
	}
}
