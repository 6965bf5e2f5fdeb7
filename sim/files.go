package sim

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/persister"
)

// caused reports whether a replica's failure is the disk's: it names the injected fault, or the bit that rotted.
func (d *disk) caused(reason error) bool {
	var corrupt *persister.CorruptError
	failed := d.life != nil && d.life.failure != nil && errors.Is(reason, d.life.failure)
	return failed || d.rots > 0 && errors.As(reason, &corrupt)
}

// fs is the node's file system for snapshot files, which fails when it was told to.
func (d *disk) fs() vfs.FS { return &files{FS: d.files, disk: d} }

// files fails the n-th operation that writes, and all later ones until the disk is repaired when it is full.
type files struct {
	vfs.FS
	disk *disk
}

// fault is the error of the next operation, nil mostly.
func (f *files) fault() error {
	d, count := f.disk, f.disk.check.sim.count
	d.touch()
	if d.full {
		d.fileFailures++
		count("snapshot file failed: full")
		return fmt.Errorf("files: %w", errFull)
	}
	if d.failFile > 0 {
		if d.failFile--; d.failFile == 0 {
			d.fileFailures++
			count("snapshot file failed: injected")
			return fmt.Errorf("files: %w", errInjected)
		}
	}
	return nil
}

func (f *files) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.Create(name, c))
}

func (f *files) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &simFile{File: file, files: f}, nil
}

func (f *files) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.OpenReadWrite(name, c, opts...))
}

func (f *files) OpenDir(name string) (vfs.File, error) { return f.wrap(f.FS.OpenDir(name)) }

func (f *files) Rename(from, to string) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

// A simFile is a file of files.
type simFile struct {
	vfs.File
	files *files
}

var _ io.WriteCloser = (*simFile)(nil)

func (f *simFile) Write(p []byte) (int, error) {
	if err := f.files.fault(); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *simFile) Sync() error {
	if err := f.files.fault(); err != nil {
		return err
	}
	return f.File.Sync()
}
