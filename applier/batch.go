package applier

import (
	"slices"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A batch is a Committed under way. The sender's blocks and those read from the disk are two lists: between the end of what was read and the
// first of the sender's there may be entries that are still to be read.
type batch struct {
	*Committed
	read []*entry.Block // ascending, without gaps

	opened  *entry.Block // whose entries are being applied
	entries entry.Reader // of opened, after the last that was looked at
}

// open returns where to go on in a block, so that a long one is decoded once, however many turns it takes.
func (b *batch) open(block *entry.Block) *entry.Reader {
	if b.opened != block {
		b.opened, b.entries = block, block.Reader()
	}
	return &b.entries
}

// block returns the block that holds entry i, which rises from call to call, and lets go of those before it. When i is in neither list it
// returns nil and the last entry that has to be read for the lists to meet.
func (b *batch) block(i raft.Index) (found *entry.Block, to raft.Index) {
	b.read = from(b.read, i)
	b.Blocks = from(b.Blocks, i)
	for _, list := range [...][]*entry.Block{b.Blocks, b.read} {
		if len(list) > 0 && list[0].First() <= i { // the list may begin beyond a gap
			return list[0], 0
		}
	}
	to = b.Through.Index
	if len(b.Blocks) > 0 {
		to = min(to, b.Blocks[0].First()-1)
	}
	return nil, to
}

// cut takes off what was read beyond the last entry that was asked for, where the sender's blocks begin: they may replace it, and the disk may not have
// heard of that yet (persister.Reader).
func (b *batch) cut(to raft.Index) {
	n := len(b.read)
	if n == 0 || to == b.Through.Index || b.read[n-1].First() > to || b.read[n-1].Last() <= to {
		return
	}
	b.read = slices.Clone(b.read)
	b.read[n-1] = b.read[n-1].Slice(b.read[n-1].First(), to)
}

// from drops the blocks that end before entry i.
func from(blocks []*entry.Block, i raft.Index) []*entry.Block {
	k := 0
	for k < len(blocks) && blocks[k].Last() < i {
		k++
	}
	return blocks[k:]
}
