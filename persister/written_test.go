package persister

import (
	"fmt"
	"testing"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// opOf is the op that a message of a group's becomes.
func opOf(message any) Op {
	switch m := message.(type) {
	case *Write:
		return Op{Group: m.Group, Hard: m.Hard, Reset: m.Reset, Blocks: m.Blocks}
	case *Compact:
		return Op{Group: m.Group, Compact: &m.Meta, Through: m.Through}
	case *Destroy:
		return Op{Group: m.Group, Destroy: true}
	}
	panic(fmt.Sprintf("%T", message))
}

// TestOpsBecomeChanges: what groups write is found again in the journal and the table, whatever was moved, and is what
// the group's state in memory says.
func TestOpsBecomeChanges(t *testing.T) {
	for seed := range uint64(40) {
		f := newFold(t, seed)
		h := &history{id: 1}
		w := &written{}
		do := func(o Op) {
			if err := w.check(&o); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			w.apply(&o, func(kind changeKind, body []byte) { f.add(1, w.gen, kind, body) })
		}
		for range 150 {
			if !h.alive {
				h.found()
				w.gen++
				do(Op{Group: 1, Found: &founding})
			} else {
				do(opOf(h.next(f.random)))
			}
			switch f.random.IntN(12) {
			case 0:
				f.turn()
			case 1:
				f.move([]int{-1, 1, 2}[f.random.IntN(3)])
			}
			h.keep()
			want, got := h.past[len(h.past)-1], f.found(1)
			if got.alive != want.alive || w.number != f.numbers[1] {
				t.Fatalf("seed %d: alive %t, want %t; %d changes, want %d", seed, got.alive, want.alive, f.numbers[1], w.number)
			}
			if !want.alive {
				continue
			}
			if err := sameState(got, w, want.state); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
	}
}

// sameState holds what the journal and the table have, and what is in memory, against a group's state.
func sameState(got folded, w *written, want raft.State) error {
	var runs []raft.Run
	for i := want.Prev.Index + 1; i <= got.last.Index; i++ {
		var term raft.Term
		if _, err := fmt.Sscan(got.log[i], &term); err != nil {
			return fmt.Errorf("entry %d is missing", i)
		}
		if n := len(runs); n > 0 && runs[n-1].Term == term {
			runs[n-1].Last = i
		} else {
			runs = append(runs, raft.Run{First: i, Last: i, Term: term})
		}
	}
	a := fmt.Sprintf("%+v", []any{got.hard, got.meta.snapshot, got.meta.prev, runs})
	b := fmt.Sprintf("%+v", []any{want.Hard, want.Snapshot, want.Prev, want.Runs})
	c := fmt.Sprintf("%+v", []any{want.Hard, want.Snapshot, w.prev, w.runs})
	if a != b || b != c || w.snapshot != want.Snapshot.Index || w.last() != got.last {
		return fmt.Errorf("found\n%s, in memory is\n%s, want\n%s", a, c, b)
	}
	return nil
}

// TestOpsAreHeldAgainstTheLog: an op that no correct group asks for is refused, without anything read.
func TestOpsAreHeldAgainstTheLog(t *testing.T) {
	w := &written{gen: 1, alive: true, snapshot: 4, prev: raft.EntryID{Index: 2, Term: 1},
		runs: []raft.Run{{First: 3, Last: 5, Term: 1}, {First: 6, Last: 9, Term: 3}}}
	meta := func(i raft.Index, term raft.Term) *raft.SnapshotMeta { return &raft.SnapshotMeta{Index: i, Term: term} }
	for name, o := range map[string]Op{
		"a gap":                             {Blocks: blocks(block(3, 11, 1))},
		"a gap within":                      {Blocks: blocks(block(3, 10, 1), block(3, 12, 1))},
		"an older term at the end":          {Blocks: blocks(block(2, 10, 1))},
		"an older term than before":         {Blocks: blocks(block(2, 8, 1))},
		"what the snapshot covers":          {Blocks: blocks(block(3, 4, 1))},
		"what is gone":                      {Blocks: blocks(block(3, 2, 1))},
		"a reset below the snapshot":        {Reset: meta(3, 9)},
		"a snapshot of another term":        {Compact: meta(9, 2), Through: 9},
		"a compaction above its snapshot":   {Compact: meta(6, 3), Through: 7},
		"a snapshot above the log":          {Compact: meta(12, 3), Through: 9},
		"a compaction with another change":  {Compact: meta(6, 3), Through: 6, Blocks: blocks(block(3, 10, 1))},
		"after a reset, what it covers":     {Reset: meta(20, 5), Blocks: blocks(block(5, 20, 1))},
		"after a reset, of an earlier term": {Reset: meta(20, 5), Blocks: blocks(block(4, 21, 1))},
	} {
		if err := w.check(&o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for name, o := range map[string]Op{
		"what follows": {Blocks: blocks(block(3, 10, 2), block(4, 12, 1))}, "in place of the end": {Blocks: blocks(block(3, 6, 2))},
		"of an earlier block's end": {Blocks: blocks(block(4, 5, 1))}, "a reset at the snapshot": {Reset: meta(4, 1)},
		"a snapshot above the log, of all": {Compact: meta(12, 3), Through: 12}, "nothing": {},
	} {
		if err := w.check(&o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func blocks(b ...*entry.Block) []*entry.Block { return b }
