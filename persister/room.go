package persister

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A NoRoomError refuses to open a store whose file system has less room than a start needs. Nothing was written: a start that ends halfway would leave files
// behind, so that each try made it worse.
type NoRoomError struct {
	Dir          string
	Free, Wanted uint64 // bytes
}

func (e *NoRoomError) Error() string {
	return fmt.Sprintf("persister: %s: the disk has %d MiB free and a start needs %d MiB: make room, and start again. Nothing was written",
		e.Dir, e.Free>>20, (e.Wanted+1<<20-1)>>20)
}

// checkRoom demands that the file system of a store's folder has room for a start: for tables of all that is in the logs, which Pebble writes before it removes
// them, and for Config.ReserveBytes to run with. A file system that cannot tell passes.
func checkRoom(cfg Config) error {
	if cfg.ReserveBytes < 0 {
		return nil
	}
	dir := cfg.Dir
	for {
		if _, err := cfg.FS.Stat(dir); err == nil || !above(cfg.FS, dir) {
			break
		}
		dir = cfg.FS.PathDir(dir)
	}
	disk, err := cfg.FS.GetDiskUsage(dir)
	if err != nil {
		return nil
	}
	logs := logBytes(cfg.FS, cfg.FS.PathJoin(cfg.Dir, databaseName))
	if wanted := logs + logs/16 + uint64(cfg.ReserveBytes); disk.AvailBytes < wanted { // a table has a little more than its entries
		return &NoRoomError{Dir: cfg.Dir, Free: disk.AvailBytes, Wanted: wanted}
	}
	return nil
}

// logBytes is what a database's logs have together. What cannot be read is found out when the store opens.
func logBytes(fs vfs.FS, dir string) (sum uint64) {
	names, _ := fs.List(dir)
	for _, name := range names {
		if info, err := fs.Stat(fs.PathJoin(dir, name)); err == nil && strings.HasSuffix(name, ".log") {
			sum += uint64(info.Size())
		}
	}
	return sum
}
