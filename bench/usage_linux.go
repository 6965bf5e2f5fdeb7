package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"
	"golang.org/x/sys/unix"
)

// sector is the unit of /sys/block/*/stat in bytes, whatever the disk's own.
const sector = 512

// flushFields is how many fields /sys/block/*/stat has since it counts flushes (Linux 5.5).
const flushFields = 17

// machineCPU is the time, in seconds, that all cores together were busy since the machine started, what a hypervisor gave to others included,
// and their number.
func machineCPU() (busy, cores float64) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return unknown, unknown
	}
	s, err := fs.Stat()
	if err != nil {
		return unknown, unknown
	}
	t := s.CPUTotal
	return t.User + t.Nice + t.System + t.IRQ + t.SoftIRQ + t.Steal, float64(len(s.CPU))
}

// resident is the process's memory in bytes that is not swapped out.
func resident() float64 {
	p, err := procfs.Self()
	if err != nil {
		return unknown
	}
	s, err := p.Stat()
	if err != nil {
		return unknown
	}
	return float64(s.ResidentMemory())
}

// diskOf is what the disk under a folder has done.
func diskOf(dir string) diskUse {
	none := diskUse{unknown, unknown}
	name, err := diskName(dir)
	if err != nil {
		return none
	}
	fs, err := blockdevice.NewDefaultFS()
	if err != nil {
		return none
	}
	s, fields, err := fs.SysBlockDeviceStat(name)
	if err != nil {
		return none
	}
	u := diskUse{written: float64(s.WriteSectors) * sector, flushes: unknown}
	if fields >= flushFields {
		u.flushes = float64(s.FlushRequestsCompleted)
	}
	return u
}

// diskName is the disk in /sys/block that holds a folder; the whole one, since partitions do not count flushes. There is none behind a file system
// that has no device of its own, like btrfs, overlayfs and NFS.
func diskName(dir string) (string, error) {
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		return "", fmt.Errorf("stat %s: %w", dir, err)
	}
	path, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(uint64(s.Dev)), unix.Minor(uint64(s.Dev))))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(path, "partition")); err == nil {
		path = filepath.Dir(path)
	}
	return filepath.Base(path), nil
}
