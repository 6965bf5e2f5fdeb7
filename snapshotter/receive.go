package snapshotter

import (
	"errors"
	"fmt"
	"hash/crc32"
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
	file   vfs.File
	offset int64
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

func partName(m *remote.SnapshotChunk) string {
	return fmt.Sprintf("%s.%d.%08x.part", fileName(m.Meta.Index, m.Meta.Term), m.Size, m.Sum)
}

// chunk stores a piece and says what is wanted next. The parent has seen to it that the sender's term is not stale.
func (s *snapshotter) chunk(c actor.Context, in *Chunk) {
	m := in.Message
	s.term = max(s.term, m.Term)
	reply := &remote.SnapshotChunkReply{Term: m.Term, Index: m.Meta.Index}
	defer func() { s.post(c, in.From, reply) }()
	if m.Meta.Index <= s.newest.Index {
		reply.Done = true // what it holds is here already
		c.Send(c.Parent(), &Received{From: in.From, Term: m.Term, Leader: m.Leader, Meta: s.newest})
		return
	}
	if m.Size < 0 || m.Offset < 0 || m.Offset+int64(len(m.Data)) > m.Size || m.Last != (m.Offset+int64(len(m.Data)) == m.Size) {
		reply.Refused = "chunk is malformed"
		return
	}
	if err := s.store(m); err != nil {
		s.Log.Error("snapshot not received", "from", in.From, "index", m.Meta.Index, "err", err)
		reply.Refused = err.Error()
		return
	}
	if s.receiving.offset < m.Size {
		reply.Offset = s.receiving.offset
		return
	}
	if err := s.complete(); err != nil {
		s.Log.Error("received snapshot is unusable", "from", in.From, "index", m.Meta.Index, "err", err)
		reply.Refused = err.Error()
		return
	}
	reply.Done = true
	s.newest = m.Meta
	c.Send(c.Parent(), &Received{From: in.From, Term: m.Term, Leader: m.Leader, Meta: m.Meta})
}

// store writes the chunk if it is the one wanted next. Others are repeats or came out of order: the answer tells what is wanted.
func (s *snapshotter) store(m *remote.SnapshotChunk) error {
	if s.receiving == nil || !s.receiving.of(m) {
		if err := s.openPart(m); err != nil {
			return err
		}
	}
	p := s.receiving
	if m.Offset != p.offset {
		return nil
	}
	if _, err := p.file.WriteAt(m.Data, p.offset); err != nil {
		s.discard()
		return err
	}
	p.offset += int64(len(m.Data))
	return nil
}

// openPart begins or resumes the file that the chunk belongs to. Parts of other transfers go.
func (s *snapshotter) openPart(m *remote.SnapshotChunk) error {
	if s.receiving != nil {
		s.receiving.close()
		s.receiving = nil
	}
	if err := makeDir(s.FS, s.Dir); err != nil {
		return err
	}
	name := partName(m)
	if err := s.dropParts(name); err != nil {
		return err
	}
	p := &partial{path: s.FS.PathJoin(s.Dir, name), meta: m.Meta, size: m.Size, sum: m.Sum}
	info, err := s.FS.Stat(p.path)
	switch {
	case err == nil && info.Size() <= m.Size:
		p.offset = info.Size()
		p.file, err = s.FS.OpenReadWrite(p.path, vfs.WriteCategoryUnspecified)
	case err == nil || errors.Is(err, os.ErrNotExist):
		p.file, err = s.FS.Create(p.path, vfs.WriteCategoryUnspecified)
	}
	if err != nil {
		return &FileError{Path: p.path, Err: err}
	}
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

// complete verifies the whole file, makes it durable and gives it its name. A file that fails is thrown away: the sender starts over.
func (s *snapshotter) complete() error {
	p := s.receiving
	if err := p.file.Sync(); err != nil {
		s.discard()
		return err
	}
	if err := s.check(p); err != nil {
		s.discard()
		return err
	}
	p.close()
	s.receiving = nil
	if err := publish(s.FS, s.Dir, p.path, s.FS.PathJoin(s.Dir, fileName(p.meta.Index, p.meta.Term))); err != nil {
		return err
	}
	return nil
}

func (s *snapshotter) check(p *partial) error {
	h := crc32.New(castagnoli)
	if _, err := io.Copy(h, io.NewSectionReader(p.file, 0, p.size)); err != nil {
		return &FileError{Path: p.path, Err: err}
	}
	if h.Sum32() != p.sum {
		return &FileError{Path: p.path, Err: damaged("checksum differs from the sender's")}
	}
	group, meta, err := Verify(s.FS, p.path)
	if err != nil {
		return err
	}
	if group != s.Group || meta.Index != p.meta.Index || meta.Term != p.meta.Term {
		return &FileError{Path: p.path, Err: fmt.Errorf("it is of group %d, index %d, term %d", group, meta.Index, meta.Term)}
	}
	return nil
}

func (s *snapshotter) discard() {
	p := s.receiving
	s.receiving = nil
	if p == nil {
		return
	}
	p.close()
	if err := removeIfThere(s.FS, p.path); err != nil {
		s.Log.Warn("unfinished snapshot remains", "path", p.path, "err", err)
	}
}
