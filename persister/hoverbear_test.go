package persister

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// setHard stores a term and a vote, and waits.
func (r *rig) setHard(h raft.HardState) {
	r.t.Helper()
	r.send(&Write{Group: 1, Hard: &h, Ack: &raft.Persisted{Hard: h}, ReplyTo: r.me})
	expect[*Persisted](r)
}

func (r *rig) hard(want raft.HardState) {
	r.t.Helper()
	if got := r.loaded(1).Hard; got != want {
		r.t.Fatalf("term and vote %+v, want %+v", got, want)
	}
}

// TestHoverbearMemLog and TestHoverbearFsLog are the tests of Hoverbear's persistent_log/mem.rs and fs.rs, which say the same of two
// logs: here of one log over a file system in memory and over a real one. Term 0, which theirs begin with, is 1 here.
func TestHoverbearMemLog(t *testing.T) {
	hoverbearLog(t, func(*testing.T) Config { return config(vfs.NewMem(), "d") })
}

func TestHoverbearFsLog(t *testing.T) {
	onDisk := func(t *testing.T) Config { return config(vfs.Default, t.TempDir()+"/store") }
	hoverbearLog(t, onDisk)
	t.Run("test_restore_log", func(t *testing.T) {
		cfg := onDisk(t)
		r := start(t, cfg)
		r.loaded(1)
		r.write(1, blockOf(1, cell{1, []byte{1}}, cell{1, []byte{2}}, cell{1, []byte{3}}), blockOf(4, cell{2, []byte{4}}))
		r.setHard(raft.HardState{Term: 42, Vote: 4})
		r.stopped()
		r = start(t, cfg)
		defer r.stopped()
		r.hard(raft.HardState{Term: 42, Vote: 4})
		r.verify(raft.EntryID{}, cell{1, []byte{1}}, cell{1, []byte{2}}, cell{1, []byte{3}}, cell{2, []byte{4}})
	})
}

func hoverbearLog(t *testing.T, fresh func(*testing.T) Config) {
	for name, test := range map[string]func(*rig){
		"test_current_term": func(r *rig) {
			r.hard(raft.HardState{})
			r.setHard(raft.HardState{Term: 1, Vote: 3})
			r.setHard(raft.HardState{Term: 42}) // a new term comes without a vote
			r.hard(raft.HardState{Term: 42})
			r.setHard(raft.HardState{Term: 43})
			r.hard(raft.HardState{Term: 43})
		},
		"test_voted_for": func(r *rig) {
			r.hard(raft.HardState{})
			r.setHard(raft.HardState{Term: 1, Vote: 3})
			r.hard(raft.HardState{Term: 1, Vote: 3})
		},
		"test_append_entries": func(r *rig) {
			a, b, c, d := cell{1, []byte{1}}, cell{1, []byte{2}}, cell{1, []byte{3}}, cell{2, []byte{4}}
			r.verify(raft.EntryID{})
			r.write(1, blockOf(1, a, b, c), blockOf(4, d))
			r.verify(raft.EntryID{}, a, b, c, d)
			// Nothing to append changes nothing.
			r.send(&Write{Group: 1, Blocks: []*entry.Block{}, Ack: &raft.Persisted{}, ReplyTo: r.me})
			expect[*Persisted](r)
			r.verify(raft.EntryID{}, a, b, c, d)
			// Some of it is new: what was there from that place on goes. That a shorter match drops nothing is for package raft to see to
			// (test_append_reorder), which asks to store only what is missing.
			e, f := cell{3, []byte{5}}, cell{3, []byte{6}}
			r.write(1, blockOf(3, e, f))
			r.verify(raft.EntryID{}, a, b, e, f)
			g, h := cell{5, []byte{7}}, cell{6, []byte{8}}
			r.write(1, blockOf(3, g), blockOf(4, h))
			r.verify(raft.EntryID{}, a, b, g, h)
			i := cell{7, []byte{9}} // shorter than what it replaces
			r.write(1, blockOf(2, i))
			r.verify(raft.EntryID{}, a, i)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, fresh(t))
			defer r.stopped()
			r.loaded(1)
			test(r)
		})
	}
}

// BenchmarkHoverbearLog is its benches/log.rs: appending so many entries to a log, and replacing so many from the 50th of a hundred on,
// each with its sync. Its bench opens a file for each; here the log goes on, and is shortened to nothing by a reset.
func BenchmarkHoverbearLog(b *testing.B) {
	run := func(name string, appended, rewritten int) {
		b.Run(name, func(b *testing.B) {
			r := start(b, config(vfs.Default, b.TempDir()+"/store"))
			defer r.stopped()
			r.loaded(1)
			for at := raft.Index(1); b.Loop(); at += 200_000 {
				meta := raft.SnapshotMeta{Index: at, Term: 1, Membership: founding}
				w := &Write{Group: 1, Reset: &meta, Ack: &raft.Persisted{}, ReplyTo: r.me}
				if appended > 0 {
					w.Blocks = []*entry.Block{block(1, at+1, appended)}
				}
				r.send(w)
				expect[*Persisted](r)
				if rewritten > 0 {
					r.send(&Write{Group: 1, Blocks: []*entry.Block{block(2, at+50, rewritten)}, Ack: &raft.Persisted{}, ReplyTo: r.me})
					expect[*Persisted](r)
				}
			}
		})
	}
	run("bench_log_append_0", 0, 0)
	run("bench_log_append_1", 1, 0)
	run("bench_log_append_10", 10, 0)
	run("bench_log_append_100", 100, 0)
	run("bench_log_append_1000", 1000, 0)
	run("bench_log_rewrite_100_1", 100, 1)
	run("bench_log_rewrite_100_50", 100, 50)
	run("bench_log_rewrite_100_100", 100, 100)
}
