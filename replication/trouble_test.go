package replication

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
)

// A follower whose last entries differ is found out in at most one round trip for each of its terms (§5.3, end).
func TestBacktrackingSkipsTerms(t *testing.T) {
	for name, terms := range map[string][]raft.Term{
		"empty":          {},
		"short":          {1, 1, 1},
		"longer":         {1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2},
		"all differs":    {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9},
		"figure 7 (f)":   {1, 1, 1, 3, 3, 3, 5, 5, 5, 5, 5},
		"terms between":  {1, 1, 2, 2, 4, 4, 4, 6, 6, 6, 6, 6, 6},
		"below the edge": {1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 5},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Config{}, 2)
			log := shape(run(1, 1, 5), run(2, 6, 10), run(7, 11, 200), run(8, 201, 201))
			b.reader.blocks = blocks(log.Runs...)
			f := b.followers[2]
			f.terms, f.auto = terms, true
			b.send(&Lead{Term: 8, Leader: 1, Shape: shape(log.Runs[:3]...), Peers: []raft.NodeID{2}},
				&Extend{Term: 8, Blocks: b.reader.blocks[3:]})
			b.stage.run()
			if err := f.equals(log); err != nil {
				t.Fatal(err)
			}
			distinct := 1
			for i := 1; i < len(terms); i++ {
				if terms[i] != terms[i-1] {
					distinct++
				}
			}
			refused := 0
			for _, m := range f.take() {
				if len(m.Blocks) == 0 || m.Prev.Index == 200 {
					refused++ // probes
				}
			}
			if refused > distinct+len(log.Runs) {
				t.Errorf("%d probes for %d terms", refused, distinct)
			}
			if b.matched[2] != 201 || b.stage.timers > 1 {
				t.Errorf("matched %v, %d timers", b.matched, b.stage.timers)
			}
		})
	}
}

// What the deposed leader's syncer reads back may be the next leader's: none of it may leave.
func TestOverwrittenLogIsNeverShipped(t *testing.T) {
	for name, stored := range map[string][]*entry.Block{
		"newer term":          {block(4, 6, 5, 10)},
		"older term":          {block(1, 6, 5, 10)},
		"newer in the middle": {block(2, 6, 2, 10), block(4, 8, 3, 10)},
		"gap":                 {block(2, 6, 2, 10), block(2, 9, 2, 10)},
		"elsewhere":           {block(2, 7, 3, 10)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Config{}, 2)
			b.leading(2)
			b.reader.fault = func(from raft.Index) ([]*entry.Block, error) {
				if from == 6 {
					return stored, nil
				}
				return nil, nil
			}
			f := b.followers[2]
			f.terms, f.auto = []raft.Term{1, 1, 1, 1, 1}, true
			for _, m := range f.take() {
				f.reply(m)
			}
			b.stage.Advance(time.Minute)
			for _, m := range f.take() {
				if len(m.Blocks) != 0 && m.Blocks[0].First() != 11 {
					t.Errorf("sent %v", m.Blocks)
				}
			}
			heard := b.take()
			if len(heard) != 2 { // that the follower has the first five entries is still true
				t.Fatalf("heard %+v", heard)
			}
			if h, ok := heard[1].(*Halted); !ok || h.Term != 3 || h.Err == nil {
				t.Fatalf("heard %+v", heard[1])
			}
			if b.stage.timers != 0 {
				t.Error("a timer runs though feeding is over")
			}
			b.reader.fault = nil
			b.reader.blocks = blocks(run(1, 1, 5), run(2, 6, 10), run(3, 11, 11), run(5, 12, 12))
			b.send(&Lead{Term: 5, Leader: 1, Shape: shape(run(1, 1, 5), run(2, 6, 10), run(3, 11, 11)), Peers: []raft.NodeID{2}},
				&Extend{Term: 5, Blocks: b.reader.blocks[3:]})
			b.stage.run()
			if f.last() != 12 {
				t.Errorf("the next term feeds only through %d", f.last())
			}
		})
	}
}

// A result of a read that was asked for in an earlier term finds nobody waiting.
func TestLateReadsAreDropped(t *testing.T) {
	b := newBench(t, Config{}, 2)
	b.leading(2)
	b.reader.fault = func(from raft.Index) ([]*entry.Block, error) {
		b.reader.fault = nil
		b.send(&Rest{Term: 5}, &Lead{Term: 5, Leader: 1, Shape: shape(run(1, 1, 5), run(5, 6, 6)), Peers: []raft.NodeID{2}})
		return []*entry.Block{block(2, 6, 5, 10)}, nil // was right when asked for
	}
	f := b.followers[2]
	f.terms = []raft.Term{1, 1, 1, 1, 1}
	for _, m := range f.take() {
		f.reply(m) // refused
	}
	for _, m := range f.take() {
		f.reply(m) // the probe: accepted; now entry 6 is read
	}
	for _, m := range f.take() {
		if m.Term != 5 || len(m.Blocks) != 0 {
			t.Errorf("sent %+v", m)
		}
	}
	if b.reader.reads != 1 {
		t.Fatalf("%d reads: the test is beside the point", b.reader.reads)
	}
	for _, m := range b.take() {
		if h, ok := m.(*Halted); ok {
			t.Errorf("halted by an earlier term's read: %v", h.Err)
		}
	}
}

func TestCompactionAsksForOneSnapshot(t *testing.T) {
	b := newBench(t, Config{Pace: raft.Pace{RetryFirst: 100 * time.Millisecond}}, 2)
	needs := func(want int) {
		t.Helper()
		got := 0
		for _, m := range b.take() {
			if n, ok := m.(*NeedSnapshot); ok {
				if n.Peer != 2 || n.Term != 3 {
					t.Errorf("heard %+v", n)
				}
				got++
			}
		}
		if got != want {
			t.Fatalf("asked for %d snapshots, want %d", got, want)
		}
	}
	b.leading(2)
	b.send(&Trim{Term: 3, First: 9, Prev: raft.EntryID{Index: 8, Term: 2}}, &Trim{Term: 3, First: 7, Prev: raft.EntryID{Index: 6, Term: 2}})
	f := b.followers[2]
	f.auto = true
	for _, m := range f.take() {
		f.reply(m)
	}
	needs(1)
	b.stage.Advance(time.Minute)
	b.extend(block(3, 12, 1, 1))
	needs(0)
	b.send(&SnapshotDone{Peer: 2, Err: errors.New("broken pipe")}, &SnapshotDone{Peer: 9, Index: 3})
	b.stage.run()
	needs(0) // not at once
	b.stage.Advance(time.Second)
	needs(1)
	b.send(&SnapshotDone{Err: errors.New("the sender crashed")}, &SnapshotDone{Peer: raft.None, Index: 8})
	b.stage.Advance(time.Second)
	needs(1)
	f.take()
	f.base, f.terms = 8, nil
	b.send(&SnapshotDone{Peer: 2, Index: 8})
	b.stage.run()
	needs(0)
	if got := f.take(); len(got) == 0 || got[0].Prev != (raft.EntryID{Index: 8, Term: 2}) {
		t.Fatalf("after the snapshot came %+v", got)
	}
	if b.matched[2] != 12 || f.last() != 12 {
		t.Fatalf("matched %v", b.matched)
	}
}

// The disk may be compacted before the syncer is told.
func TestCompactedReadAsksForASnapshot(t *testing.T) {
	b := newBench(t, Config{}, 2)
	b.leading(2)
	b.reader.fault = func(raft.Index) ([]*entry.Block, error) { return nil, persister.ErrCompacted }
	f := b.followers[2]
	f.auto = true
	for _, m := range f.take() {
		f.reply(m)
	}
	b.stage.Advance(time.Minute)
	heard := b.take()
	if len(heard) != 1 {
		t.Fatalf("heard %+v", heard)
	}
	if _, ok := heard[0].(*NeedSnapshot); !ok {
		t.Fatalf("heard %+v", heard[0])
	}
}

func TestMissingAndFailedReadsAreTriedAgain(t *testing.T) {
	for name, err := range map[string]error{"missing": persister.ErrMissing, "failed": errors.New("i/o error")} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Config{}, 2)
			b.leading(2)
			left := 3
			b.reader.fault = func(raft.Index) ([]*entry.Block, error) {
				if left--; left < 0 {
					return nil, nil
				}
				return nil, err
			}
			f := b.followers[2]
			f.auto = true
			for _, m := range f.take() {
				f.reply(m)
			}
			b.stage.Advance(10 * time.Second)
			if b.matched[2] != 11 {
				t.Fatalf("matched %v", b.matched)
			}
			if logged := strings.Count(b.logged.String(), "i/o error"); name == "failed" && logged != 3 {
				t.Errorf("logged %d times", logged)
			}
			if b.reader.reads > 6 {
				t.Errorf("%d reads", b.reader.reads)
			}
		})
	}
}

// A crash of the reader loses a read, and only that.
func TestReaderRestarts(t *testing.T) {
	for _, crashes := range []int{1, 30} { // the latter is beyond the limit of restarts
		b := newBench(t, Config{}, 2, 3)
		b.leading(2, 3)
		left := crashes
		b.reader.fault = func(raft.Index) ([]*entry.Block, error) {
			if left--; left >= 0 {
				panic("bad sector")
			}
			return nil, nil
		}
		for _, f := range b.followers {
			f.auto = true
			for _, m := range f.take() {
				f.reply(m)
			}
		}
		b.stage.Advance(2 * time.Minute)
		if b.matched[2] != 11 || b.matched[3] != 11 {
			t.Fatalf("%d crashes: matched %v", crashes, b.matched)
		}
		if b.stage.timers != 0 {
			t.Fatalf("%d timers run", b.stage.timers)
		}
	}
}

func TestLostMessagesAreRetriedWithBackoff(t *testing.T) {
	b := newBench(t, Config{Pace: raft.Pace{RetryFirst: 100 * time.Millisecond, RetryMax: 400 * time.Millisecond}}, 2)
	b.leading(2)
	b.caughtUp(2)
	b.extend(block(3, 12, 1, 1))
	b.extend(block(3, 13, 1, 1))
	f := b.followers[2]
	f.take()
	began := b.stage.now()
	b.stage.Advance(1600 * time.Millisecond)
	var at []time.Duration
	for _, when := range f.at {
		at = append(at, (when-began)/time.Millisecond)
	}
	want := []time.Duration{100, 300, 700, 1100, 1500}
	if len(at) != len(want) {
		t.Fatalf("tried at %v ms, want %v", at, want)
	}
	for i, m := range f.take() {
		if at[i] != want[i] || len(m.Blocks) != 0 || m.Prev.Index != 11 {
			t.Errorf("try %d at %d ms: %+v", i, at[i], m)
		}
	}
	f.auto = true
	b.stage.Advance(400 * time.Millisecond)
	if b.matched[2] != 13 {
		t.Errorf("matched %v once answers come again", b.matched)
	}
}

// A follower that answers heartbeats again is tried at once, not after the longest pause.
func TestFollowerThatIsHeardIsTriedSoon(t *testing.T) {
	b := newBench(t, Config{Pace: raft.Pace{RetryFirst: 100 * time.Millisecond, RetryMax: 10 * time.Second}}, 2)
	b.leading(2)
	b.caughtUp(2)
	b.extend(block(3, 12, 1, 1))
	b.stage.Advance(4 * time.Second) // tried after 0.1, 0.3, 0.7, 1.5 and 3.1s; the next time is 6.3s
	f := b.followers[2]
	f.take()
	f.auto = true
	b.send(&Heard{Term: 2, Peer: 2}, &Heard{Term: 3, Peer: 9})
	b.stage.Advance(time.Second)
	if got := f.take(); len(got) != 0 {
		t.Fatalf("sent for word of another term or peer: %+v", got)
	}
	b.send(&Heard{Term: 3, Peer: 2})
	b.stage.Advance(time.Millisecond)
	if b.matched[2] != 12 {
		t.Errorf("matched %v", b.matched)
	}
}

func TestIdleGroupsHaveNoTimerAndNoMemory(t *testing.T) {
	b := newBench(t, Config{}, 2, 3)
	b.leading(2, 3)
	b.caughtUp(2, 3)
	b.followers[2].auto, b.followers[3].auto = true, true
	for i := raft.Index(12); i < 40; i++ {
		b.extend(block(3, i, 1, 1))
		b.stage.run()
		if b.stage.timers > 1 {
			t.Fatalf("%d timers run", b.stage.timers)
		}
	}
	b.stage.Advance(DefaultRetryMax)
	if b.stage.timers != 0 {
		t.Fatalf("%d timers run in an idle group", b.stage.timers)
	}
	if b.reader.reads != 0 {
		t.Errorf("%d reads for followers that keep up", b.reader.reads)
	}
	if v := b.inside.view; len(v.cache) != 0 || v.bytes != 0 {
		t.Errorf("%d blocks kept, %d bytes", len(v.cache), v.bytes)
	}
}

// A silent follower must not make every leader of a host keep what it misses.
func TestMemoryForSlowAndSilentFollowers(t *testing.T) {
	one := block(3, 12, 1, 1000).Size()
	b := newBench(t, Config{CacheBytes: 10 * one, Pace: raft.Pace{RetryFirst: 100 * time.Millisecond}}, 2, 3)
	b.leading(2, 3)
	b.caughtUp(2, 3)
	b.followers[2].auto = true
	kept := func() int { b.stage.run(); return len(b.inside.view.cache) }
	for i := raft.Index(12); i < 40; i++ {
		b.extend(block(3, i, 1, 1000))
		if got, most := kept(), int(min(i-11, 10)); got != most || b.inside.view.bytes != got*one {
			t.Fatalf("%d blocks kept, %d bytes, want %d", got, b.inside.view.bytes, most)
		}
	}
	b.stage.Advance(200 * time.Millisecond)
	if got := kept(); got != 0 {
		t.Fatalf("%d blocks kept for a silent follower", got)
	}
	b.followers[3].auto = true
	b.stage.Advance(10 * time.Second)
	if b.matched[3] != 39 || b.inside.peers[1].silent || kept() != 0 {
		t.Fatalf("matched %v", b.matched)
	}
}

// One follower that reads from disk does not hold up another, and has one read under way.
func TestOneReadAtATime(t *testing.T) {
	b := newBench(t, Config{MaxMessageBytes: 200, Pace: raft.Pace{MaxMessages: 3}}, 2, 3)
	b.reader.blocks = nil
	for i := raft.Index(1); i <= 60; i++ {
		b.reader.blocks = append(b.reader.blocks, block(2, i, 1, 40))
	}
	b.send(&Lead{Term: 3, Leader: 1, Shape: shape(run(2, 1, 60)), Peers: []raft.NodeID{2, 3}},
		&Extend{Term: 3, Blocks: blocks(run(3, 61, 61))})
	b.reader.blocks = append(b.reader.blocks, blocks(run(3, 61, 61))...)
	b.stage.run()
	f := b.followers[2]
	f.auto = true
	for _, m := range f.take() {
		f.reply(m)
	}
	b.stage.run()
	if err := f.equals(shape(run(2, 1, 60), run(3, 61, 61))); err != nil {
		t.Fatal(err)
	}
	if b.reader.most != 200 || b.reader.reads < 15 {
		t.Errorf("%d reads of at most %d bytes", b.reader.reads, b.reader.most)
	}
	for _, m := range f.take() {
		size := 0
		for _, x := range m.Blocks {
			size += x.Size()
		}
		if size > 200 {
			t.Errorf("message of %d bytes", size)
		}
	}
}
