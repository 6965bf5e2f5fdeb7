package snapshotter

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/raft"
)

// write makes a snapshot file: aside, synced, renamed, folder synced. After an error nothing is left of it under a name that was
// not taken. stop makes the payload's writes fail.
func write(fs vfs.FS, dir string, group raft.GroupID, meta raft.SnapshotMeta, payload func(io.Writer) error, stop *atomic.Bool, cut sizes) (size int64, err error) {
	path := fs.PathJoin(dir, fileName(meta.Index, meta.Term))
	if err := makeDir(fs, dir); err != nil {
		return 0, &FileError{Path: path, Err: err}
	}
	tmp := path + ".tmp"
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, &FileError{Path: tmp, Err: err}
	}
	w, err := newWriter(f, group, meta, cut)
	if err == nil {
		err = callUser(payload, stopper{w, stop})
	}
	if err == nil {
		err = w.finish()
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		var info vfs.FileInfo
		if info, err = f.Stat(); err == nil {
			size = info.Size()
		}
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = publish(fs, dir, tmp, path)
	}
	if err != nil {
		return 0, errors.Join(&FileError{Path: path, Err: err}, removeIfThere(fs, tmp))
	}
	return size, nil
}

// A stopper is what the user writes to.
type stopper struct {
	w    io.Writer
	stop *atomic.Bool
}

func (s stopper) Write(p []byte) (int, error) {
	if s.stop.Load() {
		return 0, ErrStopped
	}
	return s.w.Write(p)
}

// callUser runs the user's writing; its panic fails this snapshot and nothing else.
func callUser(payload func(io.Writer) error, w io.Writer) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("writing the captured state panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return payload(w)
}

// publish gives a complete, synced file its name, durably. After an error there is no file of that name, as far as anybody can tell,
// unless there was one before: then there is one still, the old or the new, which hold the same.
func publish(fs vfs.FS, dir, from, to string) error {
	_, err := fs.Stat(to)
	replaces := err == nil
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := fs.Rename(from, to); err != nil {
		return err
	}
	if err := syncDir(fs, dir); err != nil {
		if !replaces {
			err = errors.Join(err, removeIfThere(fs, to))
		}
		return err
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeDir makes the group's folder, durably: the entries in its parents are synced too, every time. That it exists says nothing:
// whoever made it may have failed, or ended, before its entry was synced.
func makeDir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return &FileError{Path: dir, Err: err}
	}
	parent := fs.PathDir(dir)
	if err := errors.Join(syncDir(fs, parent), syncDir(fs, fs.PathDir(parent))); err != nil {
		return &FileError{Path: parent, Err: err}
	}
	return nil
}

func removeIfThere(fs vfs.FS, path string) error {
	if err := fs.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// tidy removes what unfinished writes left, every snapshot older than keep except those in use, and the parts of transfers that keep
// has overtaken. Missing folders and files are no fault.
func tidy(fs vfs.FS, dir string, keep raft.Index, used ...raft.Index) error {
	names, err := fs.List(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var all error
	for _, name := range names {
		whole, finished := parseName(name)
		arriving, unfinished := parsePart(name)
		switch {
		case strings.HasSuffix(name, ".tmp"):
		case finished && whole.Index < keep && !slices.Contains(used, whole.Index):
		case unfinished && arriving.Index <= keep:
		default:
			continue
		}
		all = errors.Join(all, removeIfThere(fs, fs.PathJoin(dir, name)))
	}
	return all
}
