package actors

import (
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A tail holds the newest blocks of the log, without gaps, until they are both durable and handed to the applier.
// What is older is read from the disk by whoever needs it.
type tail struct {
	blocks []*entry.Block
	bytes  int
}

func (t *tail) append(b *entry.Block) {
	t.blocks = append(t.blocks, b)
	t.bytes += b.Size()
}

// truncate drops everything at or after first.
func (t *tail) truncate(first raft.Index) {
	n := len(t.blocks)
	for n > 0 && t.blocks[n-1].First() >= first {
		n--
		t.bytes -= t.blocks[n].Size()
	}
	clear(t.blocks[n:])
	t.blocks = t.blocks[:n]
	if n > 0 && t.blocks[n-1].Last() >= first {
		old := t.blocks[n-1]
		t.blocks[n-1] = old.Slice(old.First(), first-1)
		t.bytes += t.blocks[n-1].Size() - old.Size()
	}
}

// release drops blocks wholly at or below through from the front.
func (t *tail) release(through raft.Index) {
	n := 0
	for n < len(t.blocks) && t.blocks[n].Last() <= through {
		t.bytes -= t.blocks[n].Size()
		t.blocks[n] = nil
		n++
	}
	t.blocks = t.blocks[n:]
}

func (t *tail) clear() { *t = tail{} }

// between returns the blocks that hold any of (after, through]. The slice is the caller's.
func (t *tail) between(after, through raft.Index) []*entry.Block {
	var out []*entry.Block
	for _, b := range t.blocks {
		if b.Last() > after && b.First() <= through {
			out = append(out, b)
		}
	}
	return out
}
