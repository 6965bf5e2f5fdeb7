package persister

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A freezer is the file system under Pebble. At the first write, sync or other change that fails, it reports the
// failure and then freezes: nothing reaches the disk any more, while every change claims success. What is on disk
// is then what a power cut would have left. Pebble needs the lie: told the truth it exits the process, panics
// with its locks held, or tries for ever to flush a memtable, and then cannot even be closed. Nobody
// else believes it: the failure is known before the first false success is returned, and the
// store acknowledges nothing after that, nor is a store opened that failed meanwhile.
type freezer struct {
	vfs.FS
	home      *home
	manifests manifests
	frozen    atomic.Bool
	report    func(op, name string, err error)

	newestM sync.Mutex
	newest  string      // the newest log, as noted; under newestM
	logs    []closedLog // that were closed and not removed; under newestM
}

// caught turns the error of a change into the store's failure. It returns what the caller shall see, which is success.
func (f *freezer) caught(op, name string, err error) error {
	if err == nil {
		return nil
	}
	f.report(op, name, err) // marks the store failed, before anything below can look like success
	f.frozen.Store(true)
	return nil
}

// change runs one change of the file system, unless frozen.
func (f *freezer) change(op, name string, do func() error) error {
	if f.frozen.Load() {
		return nil
	}
	return f.caught(op, name, do())
}

// opened wraps a file that was opened for writing.
func (f *freezer) opened(op, name string, open func() (vfs.File, error)) (vfs.File, error) {
	if f.frozen.Load() {
		return &frozenFile{freezer: f, name: name}, nil
	}
	file, err := open()
	if err := f.caught(op, name, err); err != nil {
		return nil, err
	}
	return &frozenFile{freezer: f, name: name, file: file}, nil // file is nil when that froze us
}

// Create makes a file. A marker names the current manifest: the manifest's name must be on disk before the marker's
// is, or a power cut between the two could leave a marker of nothing. A log's name is on disk before it is noted, and so is a marker's.
func (f *freezer) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	base := f.PathBase(name)
	sync := func() error { return syncDir(f.FS, f.PathDir(name)) }
	if strings.HasPrefix(base, "marker.") {
		if err := f.change("sync folder of", name, sync); err != nil {
			return nil, err
		}
	}
	file, err := f.opened("create", name, func() (vfs.File, error) { return f.FS.Create(name, category) })
	if err != nil {
		return nil, err
	}
	note := func() error { return f.note(base) }
	if manifest, ok := marked(base); ok {
		note = func() error { return f.manifests.became(manifest) }
	} else if !isLog(name) {
		return file, nil
	}
	err = f.change("note", name, func() error {
		if err := sync(); err != nil {
			return err
		}
		return note()
	})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

// note remembers the newest log.
func (f *freezer) note(name string) error {
	f.newestM.Lock()
	defer f.newestM.Unlock()
	if err := f.home.noteLog(name); err != nil {
		return err // the one before is still noted, and must stay
	}
	f.newest = name
	return nil
}

// closed remembers a log that was closed. Pebble syncs it before.
func (f *freezer) closed(name string, size int64) {
	f.newestM.Lock()
	defer f.newestM.Unlock()
	f.logs = append(f.logs, closedLog{name, size})
}

// ended returns the logs that were closed and are still there.
func (f *freezer) ended() []closedLog {
	f.newestM.Lock()
	defer f.newestM.Unlock()
	return slices.Clone(f.logs)
}

// forget notes that there is no log, when the newest goes before the next one is made.
func (f *freezer) forget(name string) error {
	f.newestM.Lock()
	defer f.newestM.Unlock()
	f.logs = slices.DeleteFunc(f.logs, func(l closedLog) bool { return l.Name == name })
	if f.newest != name {
		return nil
	}
	if err := f.home.noteLog(""); err != nil {
		return err
	}
	f.newest = ""
	return nil
}

func (f *freezer) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.opened("open", name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, opts...) })
}

func (f *freezer) OpenDir(name string) (vfs.File, error) {
	return f.opened("open folder", name, func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

// ReuseForWrite makes a new file. A log that is written over an older one has the old one's records behind its end,
// and then a torn write could not be told from a damaged one.
func (f *freezer) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.Remove(oldname); err != nil {
		return nil, err
	}
	return f.Create(newname, category)
}

func (f *freezer) Link(oldname, newname string) error {
	return f.change("link", newname, func() error { return f.FS.Link(oldname, newname) })
}

func (f *freezer) Rename(oldname, newname string) error {
	return f.change("rename", newname, func() error { return f.FS.Rename(oldname, newname) })
}

func (f *freezer) MkdirAll(dir string, perm fs.FileMode) error {
	return f.change("make folder", dir, func() error { return f.FS.MkdirAll(dir, perm) })
}

func (f *freezer) Remove(name string) error {
	if f.frozen.Load() {
		return nil
	}
	if isLog(name) {
		err := f.change("note", name, func() error { return f.forget(f.PathBase(name)) })
		if err != nil || f.frozen.Load() { // a log that is still noted must stay, or it would be missed
			return err
		}
	}
	err := f.FS.Remove(name)
	if oserror.IsNotExist(err) {
		return err // nothing changed, nothing failed
	}
	return f.caught("remove", name, err)
}

func (f *freezer) RemoveAll(name string) error {
	return f.change("remove", name, func() error { return f.FS.RemoveAll(name) })
}

func (f *freezer) Lock(name string) (io.Closer, error) { return f.FS.Lock(name) }

func (f *freezer) Unwrap() vfs.FS { return f.FS }
