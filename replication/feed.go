package replication

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// feed does what p's progress advises until it says to wait, the window is full, or a read is needed first.
func (s *syncer) feed(c actor.Context, p *peer, now time.Duration) {
	for {
		next := p.progress.Next()
		switch p.progress.Advise(now, s.view.shape.First(), s.view.shape.Last()) {
		case raft.SendEntries:
			blocks := s.source(c, p, next)
			if len(blocks) == 0 {
				return
			}
			if blocks = s.fit(p, blocks, next, now); len(blocks) == 0 {
				return
			}
			s.send(c, p, next, blocks, now)
		case raft.SendProbe:
			s.send(c, p, next, nil, now)
		case raft.SendSnapshot:
			s.needSnapshot(c, p)
			return
		default:
			return
		}
	}
}

// source finds blocks from entry next on, in memory or among what was read for p. If there are none it starts a read.
func (s *syncer) source(c actor.Context, p *peer, next raft.Index) []*entry.Block {
	if at := s.view.from(next); at >= 0 {
		p.stock.clear()
		return s.view.cache[at:]
	}
	if blocks := p.stock.from(next); blocks != nil {
		return blocks
	}
	s.read(c, p, next)
	return nil
}

// fit returns as many of blocks, cut to begin with entry next, as fit in one message and in p's window.
// A message that will be alone in flight may always have one block.
func (s *syncer) fit(p *peer, blocks []*entry.Block, next raft.Index, now time.Duration) []*entry.Block {
	messages, inFlight := p.progress.Inflight()
	room := p.progress.Window() - inFlight
	most := min(s.cfg.MaxMessageBytes, p.progress.MessageBytes(now))
	first := s.cut(blocks[0], next, most)
	size := first.Size()
	if size > room && messages > 0 {
		return nil
	}
	n := 1
	for n < len(blocks) && first.Last() >= blocks[0].Last() {
		size += blocks[n].Size()
		if size > room || size > most {
			break
		}
		n++
	}
	if first == blocks[0] {
		return blocks[:n:n]
	}
	return append([]*entry.Block{first}, blocks[1:n]...)
}

// cut returns what to send of b, from entry next on: all of it, unless the way to the follower is so slow that its window needs
// smaller messages. Then those that are on their way, being written and being answered keep the way busy between them.
func (s *syncer) cut(b *entry.Block, next raft.Index, most int) *entry.Block {
	from, last := max(next, b.First()), b.Last()
	if most < s.cfg.MaxMessageBytes && b.Size() > most {
		last = b.Through(from, most)
	}
	return b.Slice(from, last)
}

// A parcel is a message and its envelope in one piece of memory, with room for the usual number of blocks.
type parcel struct {
	post   remote.Post
	append remote.AppendBlocks
	blocks [2]*entry.Block
}

// send posts blocks, which begin with entry next, or an empty probe. A peer without a sender is
// treated like one that loses everything, so that it is tried again at the same pace.
func (s *syncer) send(c actor.Context, p *peer, next raft.Index, blocks []*entry.Block, now time.Duration) {
	term, ok := s.view.shape.TermAt(next - 1)
	if !ok {
		panic("replication: the progress of a follower points outside the log")
	}
	through, bytes := next-1, 0
	for _, b := range blocks {
		bytes += b.Size()
		through = b.Last()
	}
	if to := s.cfg.Sender(p.id); to != nil {
		m := &parcel{}
		m.append.AppendEntries = raft.AppendEntries{
			Term: s.term, Leader: s.leader, Prev: raft.EntryID{Index: next - 1, Term: term}, Commit: s.commit, Founders: s.founders,
		}
		m.append.Blocks = append(m.blocks[:0], blocks...)
		m.post = remote.Post{Envelope: remote.Envelope{Group: s.cfg.Group, Message: &m.append}}
		c.Send(to, &m.post)
	}
	p.progress.Sent(now, through, bytes)
}

// needSnapshot asks the parent to send p a snapshot, unless it was asked and has not answered yet. The snapshot
// covers at least what the log has lost.
func (s *syncer) needSnapshot(c actor.Context, p *peer) {
	p.stock.clear()
	p.progress.SnapshotStarted(max(s.view.shape.Prev.Index, p.progress.Next()))
	if !p.snapshot {
		p.snapshot = true
		s.log.Info("follower needs a snapshot", "peer", uint64(p.id), "next", uint64(p.progress.Next()), "first", uint64(s.view.shape.First()))
		c.Send(c.Parent(), &NeedSnapshot{Peer: p.id, Term: s.term})
	}
}
