//go:build !linux

package device

import "os"

const mode = 0o600

func create(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return nil, err
	}
	return &File{f, false}, nil
}

func open(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, mode)
	if err != nil {
		return nil, err
	}
	return &File{f, false}, nil
}

func reserve(*os.File, int64) {}

// syncData is a full sync, which on macOS reaches the platter (F_FULLFSYNC).
func syncData(f *os.File) error { return f.Sync() }
