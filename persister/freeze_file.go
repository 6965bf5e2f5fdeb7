package persister

import (
	"io"
	"io/fs"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A frozenFile is a file of a freezer. One that was opened after the freeze has no file behind it.
type frozenFile struct {
	freezer *freezer
	name    string
	file    vfs.File
	size    int64 // as far as Write wrote it
}

func (f *frozenFile) still() bool { return f.file == nil || f.freezer.frozen.Load() }

func (f *frozenFile) Write(p []byte) (int, error) {
	if f.still() {
		return len(p), nil
	}
	n, err := f.file.Write(p)
	if err = f.freezer.caught("write", f.name, err); err == nil {
		n = len(p)
	}
	f.size += int64(n)
	return n, err
}

func (f *frozenFile) WriteAt(p []byte, off int64) (int, error) {
	if f.still() {
		return len(p), nil
	}
	n, err := f.file.WriteAt(p, off)
	if err = f.freezer.caught("write", f.name, err); err == nil {
		n = len(p)
	}
	return n, err
}

func (f *frozenFile) Sync() error {
	if f.still() {
		return nil
	}
	base := f.freezer.PathBase(f.name)
	if !isManifest(base) {
		return f.freezer.caught("sync", f.name, f.file.Sync())
	}
	return f.freezer.caught("sync and note", f.name, f.noted(base))
}

// noted syncs a manifest and notes how long it is: as long as it was before the sync at least.
func (f *frozenFile) noted(base string) error {
	info, err := f.file.Stat()
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		return err
	}
	return f.freezer.manifests.synced(base, info.Size())
}

func (f *frozenFile) SyncData() error {
	if f.still() {
		return nil
	}
	return f.freezer.caught("sync", f.name, f.file.SyncData())
}

func (f *frozenFile) SyncTo(length int64) (bool, error) {
	if f.still() {
		return false, nil
	}
	full, err := f.file.SyncTo(length)
	return full, f.freezer.caught("sync", f.name, err)
}

// Preallocate is an optimization: where it fails, the write that it prepares tells.
func (f *frozenFile) Preallocate(offset, length int64) error {
	if !f.still() {
		_ = f.file.Preallocate(offset, length)
	}
	return nil
}

func (f *frozenFile) Close() error {
	switch {
	case f.file == nil:
		return nil
	case f.freezer.frozen.Load():
		_ = f.file.Close() // releases the descriptor; the failure that froze us is known
		return nil
	}
	err := f.file.Close()
	if err == nil && isLog(f.name) {
		f.freezer.closed(f.freezer.PathBase(f.name), f.size)
	}
	return f.freezer.caught("close", f.name, err)
}

func (f *frozenFile) Read(p []byte) (int, error) {
	if f.file == nil {
		return 0, io.ErrUnexpectedEOF
	}
	return f.file.Read(p)
}

func (f *frozenFile) ReadAt(p []byte, off int64) (int, error) {
	if f.file == nil {
		return 0, io.ErrUnexpectedEOF
	}
	return f.file.ReadAt(p, off)
}

func (f *frozenFile) Stat() (vfs.FileInfo, error) {
	if f.file == nil {
		return ghost{name: f.name}, nil
	}
	return f.file.Stat()
}

// A ghost describes a file that was never made. Pebble asks for the size of a new log, and does
// not survive an error there.
type ghost struct{ name string }

func (g ghost) Name() string           { return g.name }
func (g ghost) Size() int64            { return 0 }
func (g ghost) Mode() fs.FileMode      { return 0o644 }
func (g ghost) ModTime() time.Time     { return time.Time{} }
func (g ghost) IsDir() bool            { return false }
func (g ghost) Sys() any               { return nil }
func (g ghost) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (f *frozenFile) Prefetch(offset, length int64) error {
	if f.file == nil {
		return nil
	}
	return f.file.Prefetch(offset, length)
}

func (f *frozenFile) Fd() uintptr {
	if f.file == nil {
		return vfs.InvalidFd
	}
	return f.file.Fd()
}
