package persister

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// BenchmarkWrite stores one entry of 128 bytes a write, from so many groups at once, each waiting for its own.
func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 64, 1024} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			r := start(b, config(nil, filepath.Join(b.TempDir(), "store")))
			defer r.stopped()
			last := make([]raft.Index, writers)
			for g := range last {
				r.loaded(raft.GroupID(g))
				r.send(&Write{Group: raft.GroupID(g), Hard: &raft.HardState{Term: 1}})
			}
			send := func(g raft.GroupID) {
				last[g]++
				r.send(&Write{Group: g, Blocks: []*entry.Block{padded(1, last[g], 1, 120)}, Ack: &raft.Persisted{Last: last[g]}, ReplyTo: r.me})
			}
			b.ReportAllocs()
			b.ResetTimer()
			sent := 0
			for ; sent < min(writers, b.N); sent++ {
				send(raft.GroupID(sent))
			}
			for range b.N {
				a := expect[*Persisted](r)
				if sent < b.N {
					send(a.Group)
					sent++
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}

// BenchmarkStream writes blocks of 64 KiB, compacting as it goes, and reports what reaches the disk.
func BenchmarkStream(b *testing.B) {
	r := start(b, config(nil, filepath.Join(b.TempDir(), "store")))
	defer r.stopped()
	r.loaded(1)
	r.send(&Write{Group: 1, Hard: &raft.HardState{Term: 1}})
	b.SetBytes(64 << 10)
	b.ReportAllocs()
	b.ResetTimer()
	const window = 64
	for i := range b.N {
		at := raft.Index(i*64 + 1)
		r.send(&Write{Group: 1, Blocks: []*entry.Block{padded(1, at, 64, 1010)}, Ack: &raft.Persisted{Last: at}, ReplyTo: r.me})
		if i >= window {
			expect[any](r)
		}
		if i%1024 == 1023 {
			r.send(&Compact{Group: 1, Meta: raft.SnapshotMeta{Index: at - 30000, Term: 1}, Through: at - 30000, ReplyTo: r.me})
			for {
				if _, ok := expect[any](r).(*Compacted); ok {
					break
				}
			}
		}
	}
	b.StopTimer()
	m := r.store.db.Metrics()
	b.ReportMetric(float64(m.WAL.BytesWritten+m.Total().TableBytesFlushed+m.Total().TableBytesCompacted)/float64(m.WAL.BytesIn+1), "disk-bytes/byte")
}

// BenchmarkBlocks reads from the end of a log, as the applier and the log syncer do.
func BenchmarkBlocks(b *testing.B) {
	r := start(b, config(nil, filepath.Join(b.TempDir(), "store")))
	defer r.stopped()
	r.loaded(1)
	for i := range raft.Index(1000) {
		r.send(&Write{Group: 1, Hard: &raft.HardState{Term: 1}, Blocks: []*entry.Block{padded(1, i*10+1, 10, 120)}})
	}
	r.write(1, block(1, 10001, 1))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.store.Blocks(1, 9950, 10001, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

// TestManyStores opens ten stores in a process: they must not take memory or goroutines in advance.
func TestManyStores(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	goroutines := runtime.NumGoroutine()
	var stores []*Store
	for i := range 10 {
		s, err := Open(config(nil, filepath.Join(t.TempDir(), fmt.Sprint(i))))
		if err != nil {
			t.Fatal(err)
		}
		stores = append(stores, s)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	took, extra := (after.Sys-before.Sys)>>20, (runtime.NumGoroutine()-goroutines)/10
	t.Logf("ten stores took %d MiB, %d goroutines each", took, extra)
	if took > 200 || extra > 40 {
		t.Errorf("ten stores took %d MiB, %d goroutines each", took, extra)
	}
	for _, s := range stores {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
