package snapshotter

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A snapshot file is
//
//	magic and version                8 bytes
//	header   length, CRC32C, bytes   group, index, term (8 bytes each), membership (msgpack)
//	pieces   length, CRC32C, bytes   … any number, none empty
//	end      length 0, CRC32C 0
//	trailer  payload size (8 bytes), CRC32C of the payload
//
// with every number big-endian and four bytes wide unless said. Nothing follows the trailer.
const (
	magic         = "TRPSNAP\x01"
	MaxPieceBytes = 1 << 20 // no reader takes a larger piece
	maxHeader     = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A FileError says which snapshot file cannot be used, and why.
type FileError struct {
	Path string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("snapshot %s: %v", e.Path, e.Err) }
func (e *FileError) Unwrap() error { return e.Err }

var errDamaged = errors.New("damaged")

func damaged(what string) error { return fmt.Errorf("%w: %s", errDamaged, what) }

// short is why there are fewer bytes than there should be: the file is damaged, or the disk did not give them.
func short(err error, what string) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return damaged(what)
	}
	return err
}

func fileName(index raft.Index, term raft.Term) string {
	return fmt.Sprintf("snap-%020d-%020d.troupe", index, term)
}

// parseName reads a snapshot's index and term off its file's name.
func parseName(name string) (raft.EntryID, bool) {
	var index, term uint64
	n, err := fmt.Sscanf(name, "snap-%d-%d.troupe", &index, &term)
	id := raft.EntryID{Index: raft.Index(index), Term: raft.Term(term)}
	return id, err == nil && n == 2 && name == fileName(id.Index, id.Term)
}

// A writer writes a snapshot file piece by piece.
type writer struct {
	out  *bufio.Writer
	buf  []byte
	full int // bytes of a piece
	size uint64
	sum  uint32
}

func newWriter(f io.Writer, group raft.GroupID, meta raft.SnapshotMeta, cut sizes) (*writer, error) {
	w := &writer{out: bufio.NewWriterSize(f, cut.buffer), buf: make([]byte, 0, cut.piece), full: cut.piece}
	h := binary.BigEndian.AppendUint64(nil, uint64(group))
	h = binary.BigEndian.AppendUint64(h, uint64(meta.Index))
	h = binary.BigEndian.AppendUint64(h, uint64(meta.Term))
	h = entry.AppendMembership(h, meta.Membership)
	if _, err := w.out.WriteString(magic); err != nil {
		return nil, err
	}
	return w, w.piece(h)
}

func (w *writer) piece(b []byte) error {
	var head [8]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(b)))
	binary.BigEndian.PutUint32(head[4:], crc32.Checksum(b, castagnoli))
	if _, err := w.out.Write(head[:]); err != nil {
		return err
	}
	_, err := w.out.Write(b)
	return err
}

// Write implements io.Writer for the payload.
func (w *writer) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n := min(len(rest), w.full-len(w.buf))
		w.buf = append(w.buf, rest[:n]...)
		rest = rest[n:]
		if len(w.buf) == w.full {
			if err := w.flush(); err != nil {
				return 0, err
			}
		}
	}
	w.size += uint64(len(p))
	w.sum = crc32.Update(w.sum, castagnoli, p)
	return len(p), nil
}

func (w *writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	err := w.piece(w.buf)
	w.buf = w.buf[:0]
	return err
}

// finish writes the end and the trailer. The file still needs its sync.
func (w *writer) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	tail := make([]byte, 8, 20)
	tail = binary.BigEndian.AppendUint64(tail, w.size)
	tail = binary.BigEndian.AppendUint32(tail, w.sum)
	if _, err := w.out.Write(tail); err != nil {
		return err
	}
	return w.out.Flush()
}

// A reader verifies as it reads: bytes that it returns have passed their checksum, and io.EOF comes only after the trailer has.
type reader struct {
	path  string
	file  io.Closer
	in    *bufio.Reader
	group raft.GroupID
	meta  raft.SnapshotMeta
	piece []byte
	left  []byte
	size  uint64
	sum   uint32
	err   error
}

func openFile(fs vfs.FS, path string, buffer int) (*reader, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, &FileError{Path: path, Err: err}
	}
	r := &reader{path: path, file: f, in: bufio.NewReaderSize(f, buffer)}
	if err := r.header(); err != nil {
		return nil, errors.Join(&FileError{Path: path, Err: err}, f.Close())
	}
	return r, nil
}

// scan verifies a whole file in one pass and returns its contents' name, size and CRC-32C. stop, when not nil, ends it early.
func scan(f io.Reader, path string, stop *atomic.Bool, buffer int) (r *reader, size int64, sum uint32, err error) {
	c := &counter{in: f, stop: stop}
	r = &reader{path: path, in: bufio.NewReaderSize(c, buffer)}
	if err := r.header(); err != nil {
		return nil, 0, 0, &FileError{Path: path, Err: errors.Join(err, c.err)}
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, 0, 0, errors.Join(err, c.err)
	}
	return r, c.size, c.sum, nil
}

// A counter sums what is read through it.
type counter struct {
	in   io.Reader
	stop *atomic.Bool
	size int64
	sum  uint32
	err  error // what reading failed with, which the file's reader takes for a file that ends early
}

func (c *counter) Read(p []byte) (int, error) {
	if c.stop != nil && c.stop.Load() {
		c.err = ErrStopped
		return 0, c.err
	}
	n, err := c.in.Read(p)
	c.size += int64(n)
	c.sum = crc32.Update(c.sum, castagnoli, p[:n])
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func (r *reader) header() error {
	var m [len(magic)]byte
	if _, err := io.ReadFull(r.in, m[:]); err != nil {
		return short(err, "it ends within its first bytes")
	}
	if string(m[:]) != magic {
		return damaged("it does not begin as a snapshot of this version")
	}
	h, err := r.next(maxHeader)
	if err != nil {
		return err
	}
	if len(h) < 24 {
		return damaged("header is too short")
	}
	r.group = raft.GroupID(binary.BigEndian.Uint64(h))
	r.meta.Index = raft.Index(binary.BigEndian.Uint64(h[8:]))
	r.meta.Term = raft.Term(binary.BigEndian.Uint64(h[16:]))
	if r.meta.Membership, err = entry.DecodeMembership(h[24:]); err != nil {
		return damaged(err.Error())
	}
	return nil
}

// next reads a piece; nil marks the end.
func (r *reader) next(limit uint32) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return nil, short(err, "it ends too early")
	}
	size, sum := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
	if size > limit {
		return nil, damaged(fmt.Sprintf("a piece of %d bytes is above the limit of %d", size, limit))
	}
	if cap(r.piece) < int(size) {
		r.piece = make([]byte, size)
	}
	b := r.piece[:size]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return nil, short(err, "it ends too early")
	}
	if crc32.Checksum(b, castagnoli) != sum {
		return nil, damaged("checksum mismatch")
	}
	return b, nil
}

// Read implements io.Reader for the payload.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.left) == 0 && r.err == nil {
		r.err = r.advance()
	}
	if len(r.left) == 0 {
		return 0, r.err
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

func (r *reader) advance() error {
	b, err := r.next(MaxPieceBytes)
	if err != nil {
		return &FileError{Path: r.path, Err: err}
	}
	if len(b) > 0 {
		r.left = b
		r.size += uint64(len(b))
		r.sum = crc32.Update(r.sum, castagnoli, b)
		return nil
	}
	if err := r.trailer(); err != nil {
		return &FileError{Path: r.path, Err: err}
	}
	return io.EOF
}

func (r *reader) trailer() error {
	var t [12]byte
	if _, err := io.ReadFull(r.in, t[:]); err != nil {
		return short(err, "it ends within its trailer")
	}
	if binary.BigEndian.Uint64(t[:]) != r.size || binary.BigEndian.Uint32(t[8:]) != r.sum {
		return damaged("the trailer does not fit the payload")
	}
	switch _, err := r.in.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return damaged("something follows the trailer")
	default:
		return err
	}
}

// holds checks that the file says of itself what meta says of it.
func (r *reader) holds(meta raft.SnapshotMeta) error {
	if r.meta.Index != meta.Index || r.meta.Term != meta.Term {
		return fmt.Errorf("it holds index %d of term %d, not index %d of term %d", r.meta.Index, r.meta.Term, meta.Index, meta.Term)
	}
	if !r.meta.Membership.Equal(meta.Membership) {
		return errors.New("it holds another membership")
	}
	return nil
}

// Close implements io.Closer.
func (r *reader) Close() error { return r.file.Close() }

// Open opens the payload of the snapshot that meta names. What it reads is verified; io.EOF means that all of it was. bufferBytes is how much it
// reads from the disk at a time, 0: 256 KiB. Errors are *FileError.
func Open(fs vfs.FS, dir string, meta raft.SnapshotMeta, bufferBytes int) (io.ReadCloser, error) {
	path := fs.PathJoin(dir, fileName(meta.Index, meta.Term))
	r, err := openFile(fs, path, cmp.Or(bufferBytes, usual.buffer))
	if err != nil {
		return nil, err
	}
	if err := r.holds(meta); err != nil {
		return nil, errors.Join(&FileError{Path: path, Err: err}, r.Close())
	}
	return r, nil
}

// Verify reads a whole file and returns what it is a snapshot of. Errors are *FileError.
func Verify(fs vfs.FS, path string) (raft.GroupID, raft.SnapshotMeta, error) {
	f, err := fs.Open(path)
	if err != nil {
		return 0, raft.SnapshotMeta{}, &FileError{Path: path, Err: err}
	}
	r, _, _, err := scan(f, path, nil, usual.buffer)
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, raft.SnapshotMeta{}, err
	}
	return r.group, r.meta, nil
}

// List returns what the finished snapshots in dir are of, by their names, ascending. A folder that does not exist has none.
func List(fs vfs.FS, dir string) ([]raft.EntryID, error) {
	names, err := fs.List(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &FileError{Path: dir, Err: err}
	}
	var ids []raft.EntryID
	for _, name := range names {
		if id, ok := parseName(name); ok {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b raft.EntryID) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Term, b.Term))
	})
	return ids, nil
}
