//go:build unix

package private

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Every way to make a file or a folder leaves it to its user alone, even where the umask forbids nothing.
func TestModes(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	disk, dir := Files(vfs.Default), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	check := func(name string, want os.FileMode) {
		t.Helper()
		info, err := os.Stat(at(name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	write := func(name string, f vfs.File, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(name)); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := disk.MkdirAll(at("a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	check("a", os.ModeDir|0o700)
	check("a/b", os.ModeDir|0o700)
	f, err := disk.Create(at("created"), vfs.WriteCategoryUnspecified)
	write("first", f, err)
	check("created", 0o600)
	f, err = disk.OpenReadWrite(at("opened"), vfs.WriteCategoryUnspecified)
	write("opened", f, err)
	check("opened", 0o600)
	f, err = disk.ReuseForWrite(at("opened"), at("reused"), vfs.WriteCategoryUnspecified)
	write("reused", f, err)
	check("reused", 0o600)
	lock, err := disk.Lock(at("lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	check("lock", 0o600)

	// A new file replaces one of its name, and leaves its other name alone.
	if err := os.Link(at("created"), at("kept")); err != nil {
		t.Fatal(err)
	}
	f, err = disk.Create(at("created"), vfs.WriteCategoryUnspecified)
	write("second", f, err)
	for name, want := range map[string]string{"created": "second", "kept": "first"} {
		if text, err := os.ReadFile(at(name)); err != nil || string(text) != want {
			t.Errorf("%s holds %q, %v", name, text, err)
		}
	}
	if err := os.Chmod(at("created"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err = disk.OpenReadWrite(at("created"), vfs.WriteCategoryUnspecified)
	write("created", f, err)
	check("created", 0o644)
	if _, err := disk.Create(at("nowhere/file"), vfs.WriteCategoryUnspecified); !os.IsNotExist(err) {
		t.Errorf("in a folder that is not there: %v", err)
	}
	if memory := vfs.NewMem(); Files(memory) != memory {
		t.Error("another file system was changed")
	}
}
