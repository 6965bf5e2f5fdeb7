package snapshotter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A partial is a snapshot that is arriving. Its name says which file it becomes, so that a daemon that restarted goes on where it was.
type partial struct {
	path   string
	meta   raft.SnapshotMeta
	size   int64
	sum    uint32
	file   vfs.File // nil while a worker verifies it
	offset int64

	resumed   bool // from a life before: what is on the disk may be what a crash left
	verifying bool

	// Of the latest chunk.
	from   raft.NodeID
	term   raft.Term
	leader raft.NodeID
}

func (p *partial) close() {
	if p.file != nil {
		p.file.Close()
		p.file = nil
	}
}

func (p *partial) of(m *remote.SnapshotChunk) bool {
	return p.meta.Index == m.Meta.Index && p.meta.Term == m.Meta.Term && p.size == m.Size && p.sum == m.Sum
}

// yields says whether p makes way for the transfer that m belongs to: to a newer leader's, and of one leader to the newer snapshot.
// Else m is a straggler.
func (p *partial) yields(m *remote.SnapshotChunk) bool {
	if m.Term != p.term {
		return m.Term > p.term
	}
	return m.Meta.Index > p.meta.Index || m.Meta.Index == p.meta.Index && m.Offset == 0
}

func partName(m *remote.SnapshotChunk) string {
	return fmt.Sprintf("%s.%d.%08x.part", fileName(m.Meta.Index, m.Meta.Term), m.Size, m.Sum)
}

// parsePart reads off a part's name which snapshot it is of.
func parsePart(name string) (raft.EntryID, bool) {
	whole, rest, found := strings.Cut(name, ".troupe.")
	if !found || !strings.HasSuffix(rest, ".part") {
		return raft.EntryID{}, false
	}
	return parseName(whole + ".troupe")
}

// verified is a worker's word on a file that has arrived.
type verified struct {
	part *partial
	err  error
}

// chunk stores a piece and says what is wanted next.
func (s *snapshotter) chunk(c actor.Context, in *Chunk) {
	m := in.Message
	if !s.ready {
		return // as good as lost: the sender asks again
	}
	if p := s.receiving; p != nil && p.verifying && !p.of(m) {
		return // likewise: one file at a time, so that no worker's file is ever taken from under it
	}
	s.learn(c, m.Term)
	reply := &remote.SnapshotChunkReply{Term: s.term, Index: m.Meta.Index}
	have, here := s.newest, true
	if s.arrived.Index > have.Index || s.wants(s.arrived.Index) {
		have, here = s.arrived, false
	}
	switch {
	case m.Term < s.term:
		reply.Refused = "its leader's term is over"
	case malformed(m):
		reply.Refused = "chunk is malformed"
	case m.Meta.Index <= have.Index && !(here && s.wants(m.Meta.Index)):
		reply.Done = true // what it holds is here already
		c.Send(c.Parent(), &Received{From: in.From, Term: m.Term, Leader: m.Leader, Meta: have, Here: here})
	case s.receiving != nil && !s.receiving.of(m) && !s.receiving.yields(m):
		reply.Refused = "a newer snapshot is arriving"
	default:
		var err error
		if reply.Offset, err = s.store(c, in); err != nil {
			s.Log.Error("snapshot not received", "from", in.From, "index", m.Meta.Index, "err", err)
			reply.Refused = err.Error()
		}
	}
	s.post(c, in.From, reply)
}

func malformed(m *remote.SnapshotChunk) bool {
	size := int64(len(m.Data))
	return m.Meta.Index == 0 || m.Meta.Term == 0 || m.Meta.Term > m.Term || m.Leader == raft.None ||
		m.Size <= 0 || m.Offset < 0 || m.Offset > m.Size || size > m.Size-m.Offset || m.Last != (m.Offset+size == m.Size)
}

// store writes the chunk if it is the one wanted next. Others are repeats or came out of order: the answer tells what is wanted.
func (s *snapshotter) store(c actor.Context, in *Chunk) (wanted int64, err error) {
	m := in.Message
	if s.receiving == nil || !s.receiving.of(m) {
		if err := s.openPart(m); err != nil {
			return 0, err
		}
	}
	p := s.receiving
	p.from, p.term, p.leader = in.From, m.Term, m.Leader
	if p.verifying {
		return p.offset, nil
	}
	if m.Offset == p.offset && len(m.Data) > 0 {
		if _, err := p.file.WriteAt(m.Data, p.offset); err != nil {
			s.discard()
			return 0, &FileError{Path: p.path, Err: err}
		}
		p.offset += int64(len(m.Data))
	}
	if p.offset == p.size {
		s.verify(c, p)
	}
	return p.offset, nil
}

// openPart begins or resumes the file that the chunk belongs to. Parts of other transfers go.
func (s *snapshotter) openPart(m *remote.SnapshotChunk) error {
	s.putAside()
	if err := makeDir(s.FS, s.Dir); err != nil {
		return err
	}
	name := partName(m)
	if err := s.dropParts(name); err != nil {
		return err
	}
	p := &partial{path: s.FS.PathJoin(s.Dir, name), meta: m.Meta, size: m.Size, sum: m.Sum}
	switch info, err := s.FS.Stat(p.path); {
	case err == nil && info.Size() <= m.Size:
		p.offset, p.resumed = info.Size(), info.Size() > 0
	case err == nil:
		if err := removeIfThere(s.FS, p.path); err != nil {
			return &FileError{Path: p.path, Err: err}
		}
	case !errors.Is(err, os.ErrNotExist):
		return &FileError{Path: p.path, Err: err}
	}
	file, err := s.FS.OpenReadWrite(p.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return &FileError{Path: p.path, Err: err}
	}
	p.file = file
	s.receiving = p
	return nil
}

func (s *snapshotter) dropParts(but string) error {
	names, err := s.FS.List(s.Dir)
	if err != nil {
		return &FileError{Path: s.Dir, Err: err}
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".part") && name != but {
			if err := removeIfThere(s.FS, s.FS.PathJoin(s.Dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// verify has a worker read the whole file that has arrived, which may take long.
func (s *snapshotter) verify(c actor.Context, p *partial) {
	file := p.file
	p.file, p.verifying = nil, true
	s.work(c, func() any { return &verified{part: p, err: s.complete(p, file)} },
		func(err error) any { return &verified{part: p, err: err} })
}

// complete verifies a whole file, makes it durable and gives it its name. It runs on a worker, which owns the file. One that fails is
// thrown away: the sender starts over.
func (s *snapshotter) complete(p *partial, file vfs.File) error {
	err := file.Sync()
	if err == nil {
		err = s.check(p, file)
	}
	err = errors.Join(err, file.Close())
	if errors.Is(err, ErrStopped) {
		return err // not the file's fault
	}
	if err == nil {
		err = publish(s.FS, s.Dir, p.path, s.FS.PathJoin(s.Dir, fileName(p.meta.Index, p.meta.Term)))
	}
	if err != nil {
		err = errors.Join(&FileError{Path: p.path, Err: err}, removeIfThere(s.FS, p.path))
	}
	return err
}

func (s *snapshotter) check(p *partial, file vfs.File) error {
	r, size, sum, err := scan(io.NewSectionReader(file, 0, p.size), p.path, &s.stop, s.BufferBytes)
	switch {
	case err != nil:
		return err
	case size != p.size || sum != p.sum:
		return damaged("size or checksum differ from the sender's")
	case r.group != s.Group:
		return fmt.Errorf("it is of group %d", r.group)
	}
	return r.holds(p.meta)
}

// verified tells the sender and the parent what became of the file.
func (s *snapshotter) verified(c actor.Context, m *verified) {
	p := m.part
	s.receiving = nil
	reply := &remote.SnapshotChunkReply{Term: s.term, Index: p.meta.Index}
	switch {
	case m.err == nil:
		reply.Done = true
		s.came(p.meta)
		c.Send(c.Parent(), &Received{From: p.from, Term: p.term, Leader: p.leader, Meta: p.meta})
	case p.resumed:
		s.Log.Warn("resumed snapshot is unusable and starts over", "from", p.from, "index", p.meta.Index, "err", m.err)
	default:
		s.Log.Error("received snapshot is unusable", "from", p.from, "index", p.meta.Index, "err", m.err)
		reply.Refused = m.err.Error()
	}
	s.post(c, p.from, reply)
	s.tidy()
}

// came notes a snapshot that is whole.
func (s *snapshotter) came(meta raft.SnapshotMeta) {
	s.arrived = meta
	if s.wants(meta.Index) {
		s.want = 0
		s.foul = s.foul && meta.Index != s.newest.Index // it has the rotten one's name
	}
}

// putAside closes the file that is arriving. What it holds stays on the disk.
func (s *snapshotter) putAside() {
	if s.receiving != nil {
		s.receiving.close()
		s.receiving = nil
	}
}

// discard removes it.
func (s *snapshotter) discard() {
	p := s.receiving
	s.putAside()
	if err := removeIfThere(s.FS, p.path); err != nil {
		s.Log.Warn("unfinished snapshot remains", "path", p.path, "err", err)
	}
}
