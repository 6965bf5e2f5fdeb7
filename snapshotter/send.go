package snapshotter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// A stream is one transfer to one peer: a chunk, its answer, the next chunk. The answer says where the receiver wants to go on, so a
// transfer resumes wherever it was cut.
type stream struct {
	run     uint64
	to      Send
	meta    raft.SnapshotMeta
	file    vfs.File // nil while the worker sums it
	size    int64
	sum     uint32
	offset  int64
	wanted  int64 // what the last answer asked for
	reached int64 // the furthest wanted offset
	tries   int
	asked   uint64        // version of the chunk that an answer is awaited for
	since   time.Duration // of the last progress, on the stage's clock
	timer   stage.Timer
}

// opened is a worker's word on the file to be sent.
type opened struct {
	peer raft.NodeID
	run  uint64
	file vfs.File
	size int64
	sum  uint32
	err  error
}

// silence says that a chunk went unanswered.
type silence struct {
	peer  raft.NodeID
	run   uint64
	asked uint64
}

func (t *stream) close() {
	if t.timer != nil {
		t.timer.Stop()
	}
	if t.file != nil {
		t.file.Close()
		t.file = nil
	}
}

// send begins a transfer of the newest snapshot. One that already runs for the same term goes on.
func (s *snapshotter) send(c actor.Context, m *Send) {
	if old := s.sending[m.Peer]; old != nil {
		if old.to.Term >= m.Term {
			return
		}
		s.finish(c, old, ErrAborted)
	}
	s.learn(c, m.Term)
	if s.newest.Index == 0 || s.newest.Index < m.AtLeast || s.foul || m.Term < s.term {
		err := ErrNoSnapshot
		if m.Term < s.term {
			err = ErrAborted
		}
		c.Send(c.Parent(), &Sent{Peer: m.Peer, Err: err})
		if m.Term == s.term {
			s.another(c)
		}
		return
	}
	s.streams++
	t := &stream{run: s.streams, to: *m, meta: s.newest, since: s.Stage.Clock().Now()}
	s.sending[m.Peer] = t
	path, meta, run := s.FS.PathJoin(s.Dir, fileName(t.meta.Index, t.meta.Term)), t.meta, t.run
	s.work(c, func() any {
		o := &opened{peer: m.Peer, run: run}
		o.file, o.size, o.sum, o.err = s.sum(path, meta)
		return o
	}, func(err error) any { return &opened{peer: m.Peer, run: run, err: err} })
}

// abort ends the transfers of term and of earlier ones.
func (s *snapshotter) abort(c actor.Context, term raft.Term) {
	for _, peer := range slices.Sorted(maps.Keys(s.sending)) {
		if t := s.sending[peer]; t.to.Term <= term {
			s.finish(c, t, ErrAborted)
		}
	}
}

// Dropped implements stage.Dropped.
func (o *opened) Dropped() {
	if o.file != nil {
		o.file.Close()
	}
}

// sum opens a file and reads it once, for its size and checksum, and so that a rotten one is not sent at all.
func (s *snapshotter) sum(path string, meta raft.SnapshotMeta) (vfs.File, int64, uint32, error) {
	f, err := s.FS.Open(path)
	if err != nil {
		return nil, 0, 0, &FileError{Path: path, Err: err}
	}
	r, size, sum, err := scan(f, path, &s.stop, s.BufferBytes)
	if err == nil {
		err = r.holds(meta)
	}
	if err != nil {
		return nil, 0, 0, errors.Join(err, f.Close())
	}
	return f, size, sum, nil
}

func (s *snapshotter) opened(c actor.Context, m *opened) {
	t := s.sending[m.peer]
	if t == nil || t.run != m.run {
		m.Dropped()
		return
	}
	if m.err != nil {
		s.unusable(c, t.meta, m.err)
		s.finish(c, t, m.err)
		return
	}
	t.file, t.size, t.sum = m.file, m.size, m.sum
	s.sendChunk(c, t)
}

// sendChunk sends the piece at the wanted offset and waits for its answer.
func (s *snapshotter) sendChunk(c actor.Context, t *stream) {
	// Empty when the receiver has it all and verifies: then this asks whether it is done.
	data := make([]byte, min(int64(s.ChunkBytes), t.size-t.offset))
	if n, err := t.file.ReadAt(data, t.offset); n < len(data) {
		s.finish(c, t, fmt.Errorf("reading the snapshot to send: %w", err))
		return
	}
	s.post(c, t.to.Peer, &remote.SnapshotChunk{
		Term: t.to.Term, Leader: t.to.Leader, Meta: t.meta, Size: t.size, Sum: t.sum,
		Offset: t.offset, Data: data, Last: t.offset+int64(len(data)) == t.size,
	})
	t.asked++
	if t.timer != nil {
		t.timer.Stop()
	}
	root, self, asked := c.ActorSystem().Root, c.Self(), t.asked
	t.timer = s.Stage.Clock().AfterFunc(s.RetryAfter, func() {
		root.Send(self, &silence{peer: t.to.Peer, run: t.run, asked: asked})
	})
}

// silent sends a chunk again, a bounded number of times: the one that the receiver asked for last, which is an earlier one when it has begun again.
func (s *snapshotter) silent(c actor.Context, m *silence) {
	t := s.sending[m.peer]
	if t == nil || t.run != m.run || t.asked != m.asked {
		return
	}
	t.tries++
	if idle := s.Stage.Clock().Now() - t.since; idle >= s.StallAfter {
		s.finish(c, t, fmt.Errorf("node %d has made no progress for %v", m.peer, idle))
		return
	}
	if t.tries > s.Retries {
		s.finish(c, t, fmt.Errorf("node %d did not answer %d chunks in a row", m.peer, t.tries))
		return
	}
	t.offset = t.wanted
	s.sendChunk(c, t)
}

func (s *snapshotter) chunkReply(c actor.Context, m *ChunkReply) {
	t := s.sending[m.From]
	if t == nil || t.file == nil {
		return
	}
	r := m.Message
	switch {
	case r.Term > t.to.Term:
		s.finish(c, t, fmt.Errorf("node %d is in a newer term", m.From))
	case r.Index != t.meta.Index || r.Term < t.to.Term:
		// of an earlier transfer
	case r.Refused != "":
		s.finish(c, t, fmt.Errorf("node %d refuses the snapshot: %s", m.From, r.Refused))
	case r.Done:
		s.finish(c, t, nil)
	case r.Offset < 0 || r.Offset > t.size:
		s.finish(c, t, fmt.Errorf("node %d wants offset %d of %d", m.From, r.Offset, t.size))
	default:
		s.goOn(c, t, r.Offset)
	}
}

// goOn continues at the offset that the receiver wants, if that is further on. At one that is not, the timer sends: it is an old answer, or the chunk was not
// what the receiver wanted, and a chunk for each of these would be one more in flight from then on.
func (s *snapshotter) goOn(c actor.Context, t *stream, wanted int64) {
	t.wanted = wanted
	if wanted > t.reached {
		t.reached, t.since = wanted, s.Stage.Clock().Now()
	}
	if wanted <= t.offset && wanted < t.size {
		return
	}
	t.offset, t.tries = wanted, 0
	if wanted < t.size { // else it verifies, which may take long: the timer asks whether it is done
		s.sendChunk(c, t)
	}
}

func (s *snapshotter) finish(c actor.Context, t *stream, err error) {
	t.close()
	delete(s.sending, t.to.Peer)
	if t.meta.Index < s.oldest {
		s.tidy()
	}
	if err != nil {
		s.Log.Warn("snapshot not sent", "peer", t.to.Peer, "index", t.meta.Index, "err", err)
	}
	c.Send(c.Parent(), &Sent{Peer: t.to.Peer, Index: t.meta.Index, Err: err})
}
