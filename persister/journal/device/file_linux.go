package device

import (
	"bytes"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mode is that of the files: their user's alone.
const mode = 0o600

func create(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return nil, err
	}
	direct := probe(path)
	if err := f.Close(); err != nil {
		return nil, err
	}
	return openAs(path, direct)
}

// open opens a file in one mode for all that is done with it: what is read from the page cache may be older than what
// was written around it.
func open(path string) (*File, error) {
	if f, err := openAs(path, true); err == nil {
		if f.ReadAt(Buffer(Alignment), 0) == nil {
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return openAs(path, false)
}

func openAs(path string, direct bool) (*File, error) {
	flags := os.O_RDWR
	if direct {
		flags |= unix.O_DIRECT
	}
	f, err := os.OpenFile(path, flags, mode)
	if err != nil {
		return nil, err
	}
	return &File{f, direct}, nil
}

// probe reports whether a page that is written around the page cache is read back so. Some file systems take the flag
// and refuse the write.
func probe(path string) bool {
	f, err := openAs(path, true)
	if err != nil {
		return false
	}
	defer f.Close()
	page, back := Buffer(Alignment), Buffer(Alignment)
	copy(page, "troupe writes this page to see whether it can be written directly")
	return f.WriteAt(page, 0) == nil && f.ReadAt(back, 0) == nil && bytes.Equal(page, back)
}

// reserve asks for room for the whole file. That it cannot be had in advance the writes will tell.
func reserve(f *os.File, size int64) { _ = unix.Fallocate(int(f.Fd()), 0, 0, size) }

func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
