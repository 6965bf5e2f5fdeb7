package persister

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A strict file system answers for one path, if anybody asks for it, with an error.
type strict struct {
	vfs.FS
	path string
	err  error
}

func (s strict) fault(op, path string) error {
	if path != s.path {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: s.err}
}

func (s strict) Stat(path string) (vfs.FileInfo, error) {
	if err := s.fault("stat", path); err != nil {
		return nil, err
	}
	return s.FS.Stat(path)
}

func (s strict) List(path string) ([]string, error) {
	if err := s.fault("open", path); err != nil {
		return nil, err
	}
	return s.FS.List(path)
}

func (s strict) Lock(path string) (io.Closer, error) {
	if err := s.fault("open", path); err != nil {
		return nil, err
	}
	return s.FS.Lock(path)
}

// A refusal names the path once, says what is the matter, and not that another process may have the folder when that is not it.
func TestRefusalsNameThePathOnce(t *testing.T) {
	const permission = "permission denied (give it to the user that this process runs as, or name another folder)"
	dir := filepath.Join("data", "1")
	lock := filepath.Join(dir, lockName)
	for _, c := range []struct {
		path   string
		err    error
		want   string
		locked bool
	}{
		{dir, syscall.EACCES, dir + ": cannot be read: " + permission, false},
		{lock, syscall.EACCES, lock + ": cannot be locked: " + permission, false},
		{lock, syscall.EAGAIN, lock + ": is in use: if another process runs on this folder, stop that one, or name another folder", true},
		{lock, syscall.EISDIR, lock + ": cannot be locked (is a directory) and may be in use: if another process runs on this folder, stop that one, or name another folder", true},
		{filepath.Join(dir, databaseName), syscall.ENOTDIR, filepath.Join(dir, databaseName) + ": cannot be understood: not a directory" + remedy, false},
	} {
		disk := vfs.NewMem()
		s, err := Open(config(disk, dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		err = openClose(t, config(strict{disk, c.path, c.err}, dir))
		if err == nil || strings.TrimPrefix(err.Error(), "persister: ") != c.want || errors.Is(err, ErrLocked) != c.locked || !errors.Is(err, c.err) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}
