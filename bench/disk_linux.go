package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// checkDisk refuses a folder that is missing or lives in memory, where fsync costs nothing and every ratio lies.
func checkDisk(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("-dir: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("-dir: %s is not a folder", dir)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("-dir: statfs %s: %w", dir, err)
	}
	if fs.Type == unix.TMPFS_MAGIC || fs.Type == unix.RAMFS_MAGIC {
		return fmt.Errorf("-dir: %s is in memory, where fsync is free: name a folder on a disk", dir)
	}
	return nil
}
