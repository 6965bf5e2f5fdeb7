package replication

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// errOverwritten means that the stored log is not, or no longer, the one of this leader's term.
var errOverwritten = errors.New("not the log of this term's leader")

// A stock is what was read from disk for one follower: one read at a time, at most one message's worth.
type stock struct {
	blocks []*entry.Block // checked
	asked  *fetch         // being read; nil when none is
	again  time.Duration  // no read before; 0: no pause
}

// from returns the blocks from entry i on, which begins in the first of them; nil when there are none.
func (k *stock) from(i raft.Index) []*entry.Block {
	for n, b := range k.blocks {
		if b.First() <= i && i <= b.Last() {
			return k.blocks[n:]
		}
	}
	k.blocks = nil
	return nil
}

// clear lets go of everything, and of what is being read.
func (k *stock) clear() { k.blocks, k.asked = nil, nil }

func (k *stock) pause() (until time.Duration, paused bool) { return k.again, k.again > 0 }

func (k *stock) resume(now time.Duration) {
	if k.again <= now {
		k.again = 0
	}
}

// A fetch asks the reader for entries. Its address is its version: a result counts only for whom it is the last asked.
type fetch struct {
	peer     raft.NodeID
	from, to raft.Index
	bytes    int
}

// fetched answers fetch.
type fetched struct {
	*fetch
	blocks []*entry.Block
	err    error
}

// readerRestarted says that a read, and those that waited behind it, may be lost.
type readerRestarted struct{}

// read asks for the entries from next on, up to where memory has them, unless a read is under way or paused.
func (s *syncer) read(c actor.Context, p *peer, next raft.Index) {
	if _, paused := p.stock.pause(); paused || p.stock.asked != nil {
		return
	}
	to := s.view.shape.Last()
	if len(s.view.cache) > 0 && next < s.view.cache[0].First() {
		to = s.view.cache[0].First() - 1
	}
	if s.reader == nil {
		s.reader = c.Spawn(readerProps(s.cfg))
	}
	p.stock.asked = &fetch{peer: p.id, from: next, to: to, bytes: s.cfg.MaxMessageBytes}
	c.Send(s.reader, p.stock.asked)
}

func (s *syncer) fetched(c actor.Context, m *fetched) {
	if rotten := (*persister.CorruptError)(nil); errors.As(m.err, &rotten) { // whoever asked, and in whatever term
		s.halt(c, m.err)
		return
	}
	p := find(s.peers, m.peer)
	if p == nil || p.stock.asked != m.fetch {
		return // of an earlier life, term, or order
	}
	p.stock.asked = nil
	now := s.clock.Now()
	switch {
	case errors.Is(m.err, persister.ErrCompacted):
		if p.progress.Next() == m.from {
			s.needSnapshot(c, p)
		}
	case errors.Is(m.err, persister.ErrMissing): // not written yet
		p.stock.again = now + s.cfg.Pace.RetryFirst
	case m.err != nil:
		s.log.Error("cannot read the log", "peer", uint64(p.id), "from", uint64(m.from), "err", m.err)
		p.stock.again = now + s.cfg.Pace.RetryMax
	case m.from < s.view.shape.First(): // trimmed meanwhile
	default:
		blocks, err := s.view.check(m.blocks, m.from)
		if err != nil {
			s.halt(c, err)
			return
		}
		if len(blocks) == 0 {
			p.stock.again = now + s.cfg.Pace.RetryFirst
		}
		p.stock.blocks = blocks
	}
}

// halt ends feeding in this term.
func (s *syncer) halt(c actor.Context, err error) {
	s.halted = true
	s.log.Error("feeding ends in this term", "term", uint64(s.term), "err", err)
	c.Send(c.Parent(), &Halted{Term: s.term, Err: err})
}

// readerLost lets every follower that waits for the reader ask again, after a pause: what was read may be why it crashed.
func (s *syncer) readerLost() {
	again := s.clock.Now() + s.cfg.Pace.RetryFirst
	for _, p := range s.peers {
		if p.stock.asked != nil {
			p.stock.asked, p.stock.again = nil, again
		}
	}
}

func readerProps(cfg Config) *actor.Props {
	restarted := false
	return stage.Props(cfg.Stage, func() actor.Actor {
		r := &reader{group: cfg.Group, from: cfg.Reader, log: cfg.Log, restarted: restarted}
		restarted = true
		return r
	}, stage.WithLogger(cfg.Log))
}

// reader waits for the disk so that the syncer need not.
type reader struct {
	group     raft.GroupID
	from      persister.Reader
	log       *slog.Logger
	restarted bool
}

func (r *reader) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *fetch:
		blocks, err := r.from.Blocks(r.group, m.from, m.to, m.bytes)
		c.Send(c.Parent(), &fetched{fetch: m, blocks: blocks, err: err})
	case *actor.Started:
		if r.restarted {
			c.Send(c.Parent(), &readerRestarted{})
		}
	case actor.SystemMessage, actor.AutoReceiveMessage: // rest of the lifecycle
	default:
		r.log.Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
}
