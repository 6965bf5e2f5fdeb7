package replication

import (
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A follower keeps a log of terms only and answers as Figure 2 says.
type follower struct {
	id    raft.NodeID
	bench *bench
	pid   *actor.PID
	auto  bool                   // answers at once
	got   []*remote.AppendBlocks // since last take
	at    []time.Duration        // when
	total int
	base  raft.Index  // what lies at or before came with a snapshot and is committed
	terms []raft.Term // of entry base+1 on
}

func (f *follower) last() raft.Index { return f.base + raft.Index(len(f.terms)) }

func (f *follower) take() []*remote.AppendBlocks {
	f.bench.stage.run()
	out := f.got
	f.got, f.at = nil, nil
	return out
}

// reply answers m.
func (f *follower) reply(m *remote.AppendBlocks) {
	f.bench.send(&Reply{From: f.id, Message: f.handle(m)})
}

func (f *follower) handle(m *remote.AppendBlocks) *raft.AppendEntriesReply {
	r := &raft.AppendEntriesReply{Term: m.Term, Prev: m.Prev.Index}
	at, known := m.Prev.Index, true
	if at > f.base {
		known = at <= f.last() && f.terms[at-f.base-1] == m.Prev.Term
	}
	if !known {
		at = min(at, f.last())
		for at > f.base && f.terms[at-f.base-1] > m.Prev.Term {
			at--
		}
		if at > f.base {
			r.Hint = raft.EntryID{Index: at, Term: f.terms[at-f.base-1]}
		}
		return r
	}
	r.Success, r.Match = true, at
	for _, b := range m.Blocks {
		if b.First() != r.Match+1 || b.Term() > m.Term {
			f.bench.t.Errorf("node %d got %v after entry %d in a message of term %d", f.id, b, r.Match, m.Term)
		}
		for i := b.First(); i <= b.Last(); i++ {
			f.put(i, b.Term())
		}
		r.Match = b.Last()
	}
	return r
}

func (f *follower) put(i raft.Index, t raft.Term) {
	if i <= f.base || i <= f.last() && f.terms[i-f.base-1] == t {
		return
	}
	f.terms = append(f.terms[:i-f.base-1], t)
}

// equals compares with a leader's log.
func (f *follower) equals(s raft.Shape) error {
	if f.last() != s.Last() {
		return fmt.Errorf("node %d ends at %d, the leader at %d", f.id, f.last(), s.Last())
	}
	for i := max(f.base, s.Prev.Index) + 1; i <= f.last(); i++ {
		if t, _ := s.TermAt(i); t != f.terms[i-f.base-1] {
			return fmt.Errorf("node %d has term %d at %d, the leader %d", f.id, f.terms[i-f.base-1], i, t)
		}
	}
	return nil
}

// disk is a Reader over blocks, with faults.
type disk struct {
	mu     sync.Mutex
	blocks []*entry.Block
	fault  func(from raft.Index) ([]*entry.Block, error) // instead of reading, unless it returns nothing
	reads  int
	most   int // bytes asked for at once
}

func (d *disk) Blocks(_ raft.GroupID, from, to raft.Index, maxBytes int) ([]*entry.Block, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	d.most = max(d.most, maxBytes)
	if d.fault != nil {
		if blocks, err := d.fault(from); blocks != nil || err != nil {
			return blocks, err
		}
	}
	var out []*entry.Block
	for _, b := range d.blocks {
		if b.Last() < from || b.First() > to {
			continue
		}
		if maxBytes -= b.Size(); maxBytes < 0 && len(out) > 0 {
			break
		}
		out = append(out, b)
	}
	if len(out) == 0 {
		return nil, persister.ErrMissing
	}
	if out[0].First() > from {
		return nil, persister.ErrCompacted
	}
	return out, nil
}

// block makes n entries of a term from index first on.
func block(t raft.Term, first raft.Index, n, size int) *entry.Block {
	var b entry.Builder
	for range n {
		b.Append(raft.Command, 0, 0, 0, make([]byte, size))
	}
	return b.Seal(t, first)
}

// blocks makes one block for each run.
func blocks(runs ...raft.Run) (out []*entry.Block) {
	for _, r := range runs {
		out = append(out, block(r.Term, r.First, int(r.Last-r.First+1), 10))
	}
	return out
}

func shape(runs ...raft.Run) raft.Shape { return raft.Shape{Runs: runs} }

func run(t raft.Term, first, last raft.Index) raft.Run {
	return raft.Run{First: first, Last: last, Term: t}
}
