package replication

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// world is a leader's log that grows and is compacted, restarts of its syncer, and a network that loses,
// repeats, delays and reorders.
type world struct {
	*bench
	r      *rand.Rand
	log    raft.Shape
	flight []func()
	snaps  map[raft.NodeID]bool
	fed    int // entries sent, with repeats
}

func TestRandomTrouble(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &world{r: rand.New(rand.NewPCG(seed, 1)), snaps: map[raft.NodeID]bool{}}
			w.bench = newSeededBench(t, seed, Config{
				MaxMessageBytes: 300, CacheBytes: 600,
				Pace: raft.Pace{MaxBytes: 900, MaxMessages: 5, RetryFirst: 20 * time.Millisecond, RetryMax: 80 * time.Millisecond},
			}, 2, 3, 4)
			w.found()
			for range 400 {
				w.disturb()
				w.check()
			}
			w.heal()
		})
	}
}

// found makes logs that differ, and a leader of term 9.
func (w *world) found() {
	first := raft.Index(1)
	for term := raft.Term(1); term < 9; term += raft.Term(1 + w.r.IntN(2)) {
		n := raft.Index(1 + w.r.IntN(12))
		w.log.Runs = append(w.log.Runs, run(term, first, first+n-1))
		first += n
	}
	w.reader.blocks = blocks(w.log.Runs...)
	for _, f := range w.followers {
		for term := raft.Term(1); term < 9; term++ {
			for range w.r.IntN(10) {
				f.terms = append(f.terms, term)
			}
		}
		// Log Matching: one term's entries begin where the leader's do, or the follower has none of the leader's.
		f.terms = matching(f.terms, w.log)
	}
	w.answer = func(m any) bool {
		switch m := m.(type) {
		case *OnDuty:
			w.lead()
		case *NeedSnapshot:
			if w.snaps[m.Peer] {
				w.t.Errorf("a second snapshot for node %d", m.Peer)
			}
			w.snaps[m.Peer] = true
		default:
			return false
		}
		return true
	}
	b := block(9, first, 1, 0)
	w.lead()
	w.grow(b)
	w.stage.run()
}

// matching cuts a follower's terms where they would break Log Matching: an entry of a term that the leader's log has at that
// index needs all before it to be equal.
func matching(terms []raft.Term, s raft.Shape) []raft.Term {
	agree := true
	for i := range terms {
		t, _ := s.TermAt(raft.Index(i + 1))
		if agree && t != terms[i] {
			agree = false
		} else if !agree && t == terms[i] {
			return terms[:i]
		}
	}
	return terms
}

func (w *world) lead() {
	w.snaps = map[raft.NodeID]bool{}
	clear(w.matched) // told again
	w.send(&Lead{Term: 9, Leader: 1, Shape: w.log, Peers: []raft.NodeID{2, 3, 4}})
}

func (w *world) grow(b *entry.Block) {
	w.reader.blocks = append(w.reader.blocks, b)
	runs := append([]raft.Run(nil), w.log.Runs...) // what was sent is read-only
	if last := len(runs) - 1; runs[last].Term == b.Term() {
		runs[last].Last = b.Last()
	} else {
		runs = append(runs, b.Run())
	}
	w.log.Runs = runs
	w.send(&Extend{Term: 9, Blocks: []*entry.Block{b}})
}

func (w *world) disturb() {
	switch w.r.IntN(10) {
	case 0, 1, 2:
		w.grow(block(9, w.log.Last()+1, 1+w.r.IntN(4), w.r.IntN(60)))
	case 3:
		if w.r.IntN(8) == 0 {
			w.trim()
		}
	case 4:
		if w.r.IntN(20) == 0 { // crash
			w.send(&Extend{Term: 9, Blocks: []*entry.Block{block(9, w.log.Last()+10, 1, 0)}})
		}
	case 5:
		w.snapshots(w.r.IntN(2) == 0)
	case 6:
		w.stage.Advance(time.Duration(w.r.IntN(30)) * time.Millisecond)
	default:
		w.deliver()
	}
	w.stage.run()
}

// trim compacts the log somewhere, on disk first.
func (w *world) trim() {
	first := w.log.First() + raft.Index(w.r.IntN(int(w.log.Last()-w.log.First())+1))
	term, _ := w.log.TermAt(first - 1)
	k := 0
	for k < len(w.reader.blocks) && w.reader.blocks[k].Last() < first {
		k++
	}
	w.reader.blocks = w.reader.blocks[k:]
	cut := raft.Shape{Prev: raft.EntryID{Index: first - 1, Term: term}}
	for _, r := range w.log.Runs {
		if r.First = max(r.First, first); r.First <= r.Last {
			cut.Runs = append(cut.Runs, r)
		}
	}
	w.log = cut
	if w.r.IntN(2) == 0 {
		w.stage.run()
	}
	w.send(&Trim{Term: 9, First: first, Prev: cut.Prev})
}

// snapshots ends those under way.
func (w *world) snapshots(well bool) {
	for n := raft.NodeID(2); n <= 4; n++ {
		if !w.snaps[n] {
			continue
		}
		delete(w.snaps, n)
		if !well {
			w.send(&SnapshotDone{Peer: n, Err: fmt.Errorf("lost")})
			continue
		}
		f, index := w.followers[n], w.log.Prev.Index
		if index > f.base {
			if t, _ := w.log.TermAt(index); index <= f.last() && f.terms[index-f.base-1] == t {
				f.terms = f.terms[index-f.base:]
			} else {
				f.terms = nil
			}
			f.base = index
		}
		w.send(&SnapshotDone{Peer: n, Index: f.base})
	}
}

// deliver moves messages into the network and some out of it.
func (w *world) deliver() {
	for n := raft.NodeID(2); n <= 4; n++ {
		f := w.followers[n]
		for _, m := range f.take() {
			w.look(m)
			w.flight = append(w.flight, func() { w.arrive(f, m) })
		}
	}
	for range w.r.IntN(6) {
		if len(w.flight) == 0 {
			return
		}
		i := w.r.IntN(min(len(w.flight), 4))
		f := w.flight[i]
		if w.r.IntN(10) > 0 { // else it is repeated
			w.flight = append(w.flight[:i:i], w.flight[i+1:]...)
		}
		if w.r.IntN(10) > 0 { // else it is lost
			f()
		}
	}
}

func (w *world) arrive(f *follower, m *remote.AppendBlocks) {
	r := f.handle(m)
	w.flight = append(w.flight, func() { w.send(&Reply{From: f.id, Message: r}) })
}

// look checks that a message says only what is so of the leader's log.
func (w *world) look(m *remote.AppendBlocks) {
	at := m.Prev
	if t, ok := w.log.TermAt(at.Index); ok && t != at.Term {
		w.t.Errorf("Prev %+v, the log has term %d", at, t)
	}
	for _, b := range m.Blocks {
		known := b.Run()
		known.First = max(known.First, w.log.First())
		if b.First() != at.Index+1 || !w.log.Contains(known) {
			w.t.Errorf("%v after %+v is not of the log", b, at)
		}
		at.Index = b.Last()
		w.fed += b.Count()
	}
}

// check holds at any moment: what was reported is on the follower.
func (w *world) check() {
	w.t.Helper()
	for _, p := range w.inside.peers {
		if err := p.progress.Check(); err != nil {
			w.t.Fatalf("node %d: %v; %v", p.id, err, p.progress)
		}
	}
	for n, match := range w.matched {
		f := w.followers[n]
		if match > f.last() {
			w.t.Fatalf("node %d is said to have %d and has %d", n, match, f.last())
		}
		for i := max(f.base, w.log.Prev.Index) + 1; i <= match; i++ {
			if t, _ := w.log.TermAt(i); t != f.terms[i-f.base-1] {
				w.t.Fatalf("node %d is said to match %d and differs at %d", n, match, i)
			}
		}
	}
	for _, p := range w.inside.peers {
		if messages, bytes := p.progress.Inflight(); messages > 5 || bytes > 900 && messages > 1 {
			w.t.Fatalf("node %d has %d messages, %d bytes in flight", p.id, messages, bytes)
		}
	}
	if w.inside.view.bytes > 600 && w.inside.unsettled == 0 {
		w.t.Fatalf("%d bytes kept", w.inside.view.bytes)
	}
	if w.stage.timers > 3 {
		w.t.Fatalf("%d timers run", w.stage.timers)
	}
}

// heal lets everything arrive; every follower must end with the leader's log.
func (w *world) heal() {
	w.t.Helper()
	for range 300 {
		w.snapshots(true)
		for n := raft.NodeID(2); n <= 4; n++ {
			for _, m := range w.followers[n].take() {
				w.look(m)
				w.arrive(w.followers[n], m)
			}
		}
		for _, f := range w.flight {
			f()
		}
		w.flight = nil
		w.stage.Advance(10 * time.Millisecond)
		w.check()
	}
	for n, f := range w.followers {
		if err := f.equals(w.log); err != nil {
			w.t.Error(err)
		}
		if w.matched[n] != w.log.Last() {
			w.t.Errorf("node %d: reported %d of %d", n, w.matched[n], w.log.Last())
		}
	}
	if w.stage.timers != 0 {
		w.t.Errorf("%d timers run once all is well", w.stage.timers)
	}
	if w.fed == 0 {
		w.t.Error("nothing was sent")
	}
	for _, m := range w.take() {
		if h, ok := m.(*Halted); ok {
			w.t.Errorf("halted: %v", h.Err)
		}
	}
}
