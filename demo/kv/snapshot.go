package kv

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tidwall/btree"
)

// A snapshot is the msgpack array [version, count], followed by count pairs of key and value in ascending order of the keys.
const snapshotVersion = 1

const snapshotBuffer = 64 << 10 // bytes per read or write

// Snapshot captures the map as it is now, in constant time: both sides share what neither has changed since. The
// returned function writes the captured map and may run beside further Applies.
func (s *Store) Snapshot() (func(io.Writer) error, error) {
	s.mu.Lock()
	captured := s.items.Copy()
	s.mu.Unlock()
	return func(w io.Writer) error { return writeItems(w, captured) }, nil
}

func writeItems(w io.Writer, items *btree.Map[string, []byte]) error {
	out := bufio.NewWriterSize(w, snapshotBuffer)
	head := appendUint([]byte{mpFixArr | 2}, snapshotVersion)
	if _, err := out.Write(appendUint(head, uint64(items.Len()))); err != nil {
		return err
	}
	var err error
	var scratch []byte
	items.Scan(func(key string, value []byte) bool {
		scratch = append(appendBinHeader(scratch[:0], len(key)), key...)
		scratch = appendBinHeader(scratch, len(value))
		if _, err = out.Write(scratch); err == nil {
			_, err = out.Write(value)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

// ErrSnapshot is returned for a stream that is no snapshot.
var ErrSnapshot = errors.New("kv: malformed snapshot")

// Restore replaces the map by a snapshot's; nil empties it. On an error the map stays as it was.
func (s *Store) Restore(r io.Reader) error {
	items := newItems()
	if r != nil {
		if err := readItems(bufio.NewReaderSize(r, snapshotBuffer), items); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = items
	return nil
}

func readItems(r *bufio.Reader, items *btree.Map[string, []byte]) error {
	if head, err := r.ReadByte(); err != nil || head != mpFixArr|2 {
		return fmt.Errorf("%w: no header", ErrSnapshot)
	}
	version, err := readUint(r)
	if err != nil {
		return err
	}
	if version != snapshotVersion {
		return fmt.Errorf("%w: version %d, known is %d", ErrSnapshot, version, snapshotVersion)
	}
	count, err := readUint(r)
	if err != nil {
		return err
	}
	last := ""
	for i := range count {
		key, err := readBin(r, MaxKey)
		if err != nil {
			return err
		}
		value, err := readBin(r, MaxValue)
		if err != nil {
			return err
		}
		if i > 0 && string(key) <= last {
			return fmt.Errorf("%w: keys out of order", ErrSnapshot)
		}
		last = string(key)
		items.Load(last, value)
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return fmt.Errorf("%w: not at its end after the last item", ErrSnapshot)
	}
	return nil
}

func readUint(r *bufio.Reader) (uint64, error) {
	head, err := r.ReadByte()
	if err != nil {
		return 0, cut(err)
	}
	if head <= mpMaxFix {
		return uint64(head), nil
	}
	if head != mpUint64 {
		return 0, ErrSnapshot
	}
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, cut(err)
	}
	return binary.BigEndian.Uint64(b[:]), nil
}

// readBin refuses more than limit bytes before it makes room for them.
func readBin(r *bufio.Reader, limit int) ([]byte, error) {
	head, err := r.ReadByte()
	if err != nil {
		return nil, cut(err)
	}
	if head < mpBin8 || head > mpBin32 {
		return nil, ErrSnapshot
	}
	n := 0
	for range 1 << (head - mpBin8) {
		b, err := r.ReadByte()
		if err != nil {
			return nil, cut(err)
		}
		n = n<<8 | int(b)
	}
	if n > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrSnapshot, n, limit)
	}
	value := make([]byte, n)
	if _, err := io.ReadFull(r, value); err != nil {
		return nil, cut(err)
	}
	return value, nil
}

// cut names the end of the stream within an item for what it is.
func cut(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", ErrSnapshot, err)
}
