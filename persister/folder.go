package persister

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// makeDir makes dir and what is missing above it, and syncs every folder above: without its entry on the disk no folder survives a power cut,
// whatever was synced within. That a folder is there says nothing of its entry, since whoever made it may have ended before the sync.
func makeDir(disk vfs.FS, dir string) error {
	missing := map[string]bool{}
	for level := dir; ; level = disk.PathDir(level) {
		_, err := disk.Stat(level)
		missing[level] = errors.Is(err, fs.ErrNotExist)
		if !above(disk, level) {
			break
		}
	}
	if err := disk.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for level := dir; above(disk, level); level = disk.PathDir(level) {
		err := syncDir(disk, disk.PathDir(level))
		if err != nil && !missing[level] && unsyncable(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("folder %s is not sure to survive a power cut: %w", level, err)
		}
	}
	return nil
}

// unsyncable reports whether a folder is one of a kind, or of somebody, that cannot be synced from here. What was in it before us is theirs to keep.
func unsyncable(err error) bool {
	return slices.ContainsFunc([]error{fs.ErrPermission, syscall.EINVAL, syscall.EROFS, syscall.ENOTSUP}, func(kind error) bool { return errors.Is(err, kind) })
}

// above reports whether there is another folder above one, as far as the path says.
func above(disk vfs.FS, dir string) bool {
	parent := disk.PathDir(dir)
	return parent != "" && parent != dir
}
