package persister

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A small disk says how much is free on it.
type small struct {
	vfs.FS
	free  uint64
	asked string
}

func (s *small) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	s.asked = path
	return vfs.DiskUsage{AvailBytes: s.free}, nil
}

// Nothing is written before there is room to run: neither in a new folder nor in a used one, whose logs have to become tables first.
func TestStartWithoutRoomWritesNothing(t *testing.T) {
	var writes atomic.Int64
	disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if anyWrite(op) {
			writes.Add(1)
		}
		return nil
	}))
	fs := &small{FS: disk}
	refused := func(when string, free uint64, wanted uint64) {
		t.Helper()
		before := writes.Load()
		fs.free = free
		for range 3 {
			var full *NoRoomError
			_, err := Open(config(fs, "a/b/d"))
			if !errors.As(err, &full) || full.Free != free || full.Wanted < wanted {
				t.Fatalf("%s: %v", when, err)
			}
			for _, words := range []string{"a/b/d", fmt.Sprintf("%d MiB free", free>>20), "Nothing was written"} {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("%s: no word of %q in %v", when, words, err)
				}
			}
		}
		if n := writes.Load() - before; n != 0 {
			t.Errorf("%s: %d writes", when, n)
		}
	}
	refused("a new folder", 7<<20, 8<<20)
	if fs.asked == "a/b/d" {
		t.Error("a folder that is not there yet was asked")
	}
	fs.free = 8 << 20
	const size = 3 << 20
	r := start(t, config(fs, "a/b/d"))
	r.load(1)
	r.write(1, padded(1, 1, 1, size))
	r.stopped()
	refused("a used folder", 8<<20, 8<<20+size)
	fs.free = 8<<20 + 2*size
	s, err := Open(config(fs, "a/b/d"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := config(fs, "a/b/d")
	cfg.ReserveBytes, fs.free = -1, 0
	if s, err = Open(cfg); err != nil {
		t.Fatalf("a reserve that is not wanted: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
