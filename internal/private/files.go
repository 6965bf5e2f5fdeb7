// Package private makes files and folders that nobody but the user who runs the process may read: what is in them is the users' data.
package private

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Modes of what is made, whatever the umask allows. What is there already keeps its own.
const (
	fileMode   os.FileMode = 0o600
	folderMode os.FileMode = 0o700
)

// Files is the machine's file system with private files; any other one, which decides for itself, stays as it is.
func Files(disk vfs.FS) vfs.FS {
	if disk == vfs.Default {
		return files{disk}
	}
	return disk
}

// files makes each file by itself, with its mode, before Pebble opens it: there is no moment in which somebody else could.
type files struct{ vfs.FS }

// Create implements vfs.FS.
func (d files) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	err := begin(name)
	for errors.Is(err, fs.ErrExist) { // removed, as Pebble does it, since it may have another name by which it is kept
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		err = begin(name)
	}
	if err != nil {
		return nil, err
	}
	return d.FS.OpenReadWrite(name, category)
}

// OpenReadWrite implements vfs.FS.
func (d files) OpenReadWrite(name string, category vfs.DiskWriteCategory, options ...vfs.OpenOption) (vfs.File, error) {
	if err := begin(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return d.FS.OpenReadWrite(name, category, options...)
}

// Lock implements vfs.FS.
func (d files) Lock(name string) (io.Closer, error) {
	if err := begin(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return d.FS.Lock(name)
}

// MkdirAll implements vfs.FS.
func (d files) MkdirAll(dir string, mode os.FileMode) error {
	return d.FS.MkdirAll(dir, mode&folderMode)
}

// Unwrap implements vfs.FS.
func (d files) Unwrap() vfs.FS { return d.FS }

// begin makes an empty file. One that is there is an error and is not opened: closing it would give up the lock that this process may hold on it.
func begin(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	return f.Close()
}
