package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDiskCountsWrites(t *testing.T) {
	dir := t.TempDir()
	name, err := diskName(dir)
	if err != nil {
		t.Skipf("no disk of its own is under %s: %v", dir, err)
	}
	if _, err := os.Stat(filepath.Join("/sys/block", name)); err != nil {
		t.Fatalf("%s is no disk: %v", name, err)
	}
	before := diskOf(dir)
	f, err := os.Create(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if after := diskOf(dir); after.written-before.written < 1<<20 {
		t.Errorf("disk %s wrote %v bytes of 1 MiB that was synced", name, after.written-before.written)
	}
	if u := diskOf(filepath.Join(dir, "absent")); u.written == u.written {
		t.Errorf("a folder that is not there has a disk: %+v", u)
	}
}
