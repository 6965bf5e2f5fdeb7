package sim

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// put writes a file and syncs the first bytes of it.
func put(t *testing.T, fs *files, name string, content []byte, synced int) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(content[:synced])
	}
	if err == nil && synced > 0 {
		err = f.Sync()
	}
	if err == nil {
		_, err = f.Write(content[synced:])
	}
	if err != nil {
		t.Fatal(err)
	}
}

func syncFolder(t *testing.T, fs *files, name string) {
	t.Helper()
	f, err := fs.OpenDir(name)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestCrashesOfFiles: whatever the draws, what was synced is there, what was not may be there in any sectors under any of its names, and
// everything that may be left is left by some crash.
func TestCrashesOfFiles(t *testing.T) {
	s := New(Config{Seed: 7, Nodes: 1, Quiet: true, Clients: -1})
	fs := &files{newTree(), s.nodes[1].disk}
	content := bytes.Repeat([]byte("0123456789abcdef"), 3*sector/16)
	if err := fs.MkdirAll("a/b", 0); err != nil {
		t.Fatal(err)
	}
	put(t, fs, "a/b/kept", content, sector)
	put(t, fs, "a/b/renamed.tmp", content, len(content))
	for _, folder := range []string{"", "a", "a/b"} {
		syncFolder(t, fs, folder)
	}
	if err := fs.Rename("a/b/renamed.tmp", "a/b/renamed"); err != nil {
		t.Fatal(err)
	}
	put(t, fs, "a/b/new", content, len(content))
	seen := map[string]int{}
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		left, _ := fs.crash(r)
		read := func(name string) []byte {
			n, err := left.inode("a/b/" + name)
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(n.data, n.safe) {
				t.Fatalf("%s: what a crash left is not safe", name)
			}
			return n.data
		}
		kept := read("kept")
		if len(kept) < sector || !bytes.Equal(kept[:sector], content[:sector]) {
			t.Fatalf("kept %d bytes, %d were synced", len(kept), sector)
		}
		seen[map[bool]string{true: "torn", false: "not torn"}[len(kept) > sector && !bytes.Equal(kept, content)]]++
		for _, name := range []string{"renamed.tmp", "renamed", "new"} {
			b := read(name)
			if b != nil && !bytes.Equal(b, content) {
				t.Fatalf("%s was synced and is torn", name)
			}
			seen[name+map[bool]string{true: " gone", false: " there"}[b == nil]]++
		}
	}
	for _, want := range []string{"torn", "not torn", "renamed.tmp gone", "renamed.tmp there", "renamed gone", "renamed there", "new gone", "new there"} {
		if seen[want] == 0 {
			t.Errorf("never %s: %v", want, seen)
		}
	}
}

// TestFilesFail: the n-th operation of a kind fails, and a write that fails may have been done in part.
func TestFilesFail(t *testing.T) {
	s := New(Config{Seed: 7, Nodes: 1, Quiet: true, Clients: -1})
	d := s.nodes[1].disk
	fs := d.fs()
	f, err := fs.OpenReadWrite("f", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[bool]int{}
	for range 100 {
		d.failFile = 2
		first, ok := f.Write([]byte("12345"))
		second, err := f.WriteAt([]byte("67890"), 0)
		if first != 5 || ok != nil || second == 5 && err == nil || !errors.Is(err, errInjected) {
			t.Fatalf("wrote %d, %v; %d, %v", first, ok, second, err)
		}
		parts[second > 0]++
	}
	if parts[true] == 0 || parts[false] == 0 {
		t.Errorf("written in part or not at all: %v", parts)
	}
	for name, op := range map[string]func() error{
		"read":    func() error { _, err := f.Read(make([]byte, 1)); return err },
		"read at": func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		"stat":    func() error { _, err := fs.Stat("f"); return err },
		"size":    func() error { _, err := f.Stat(); return err },
		"open":    func() error { _, err := fs.Open("f"); return err },
		"list":    func() error { _, err := fs.List("/"); return err },
	} {
		d.failRead = 1
		if err := op(); !errors.Is(err, errRead) {
			t.Errorf("%s: %v", name, err)
		}
		if err := op(); err != nil && err != io.EOF {
			t.Errorf("%s again: %v", name, err)
		}
	}
}
