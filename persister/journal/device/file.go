// Package device keeps a journal's segments in files. On Linux it writes around the page cache where the file system
// can (O_DIRECT), and syncs data alone; elsewhere, and where that is refused, it writes and syncs as everybody does.
//
// A file is of one size from the first, all of it written: no write changes what the file system must note of it, so
// that a sync is the device's alone (docs/decisions/0028).
package device

import (
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// Alignment is what direct reads and writes need of their buffers, offsets and lengths.
const Alignment = 4096

// Buffer is n zero bytes, n a multiple of Alignment, that a direct write may be made from.
func Buffer(n int) []byte {
	b := make([]byte, n+Alignment)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (Alignment - 1))
	return b[skip : skip+n : skip+n]
}

// aligned reports whether a buffer and an offset fit a direct write.
func aligned(p []byte, offset int64) bool {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(p)))
	return at%Alignment == 0 && len(p)%Alignment == 0 && offset%Alignment == 0
}

// A File is one segment's. Reads are safe for concurrent use, beside one writer.
type File struct {
	f      *os.File
	direct bool
}

// zeroBytes is how much of a new file is written at a time.
const zeroBytes = 1 << 20

// Create makes a file of so many bytes, all of them zeros that are written and synced. Its folder is the caller's to
// sync. pause, if not nil, is called between writes: a file is made beside those that are written to.
func Create(path string, size int64, pause func()) (*File, error) {
	f, err := create(path)
	if err != nil {
		return nil, err
	}
	if err := f.fill(size, pause); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

func (f *File) fill(size int64, pause func()) error {
	reserve(f.f, size) // so that the file is in one stretch; what is missing the writes ask for
	zeros := Buffer(zeroBytes)
	for at := int64(0); at < size; at += zeroBytes {
		if err := f.WriteAt(zeros[:min(zeroBytes, size-at)], at); err != nil {
			return err
		}
		if pause != nil {
			pause()
		}
	}
	return f.f.Sync() // its size, too
}

// Open opens a file that Create made. A file of another size is refused.
func Open(path string, size int64) (*File, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.f.Stat()
	if err == nil && info.Size() != size {
		err = fmt.Errorf("%s has %d bytes, not %d", path, info.Size(), size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Direct reports whether the file is written around the page cache.
func (f *File) Direct() bool { return f.direct }

// WriteAt writes all of p, or fails. Of a direct file's both are aligned. It is durable once Sync returned.
func (f *File) WriteAt(p []byte, offset int64) error {
	if f.direct && !aligned(p, offset) {
		return fmt.Errorf("device: a write of %d bytes at %d is not aligned", len(p), offset)
	}
	_, err := f.f.WriteAt(p, offset)
	return err
}

// Sync makes what was written durable. It is called once the writes have returned.
func (f *File) Sync() error { return syncData(f.f) }

// ReadAt fills p, or fails.
func (f *File) ReadAt(p []byte, offset int64) error {
	if f.direct && !aligned(p, offset) {
		return f.readAround(p, offset)
	}
	_, err := f.f.ReadAt(p, offset)
	return err
}

// readAround reads what is not aligned by way of a buffer.
func (f *File) readAround(p []byte, offset int64) error {
	from := offset &^ (Alignment - 1)
	end := (offset + int64(len(p)) + Alignment - 1) &^ (Alignment - 1)
	b := Buffer(int(end - from))
	if _, err := f.f.ReadAt(b, from); err != nil {
		return err
	}
	copy(p, b[offset-from:])
	return nil
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }
