package snapshotter

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// flakyDirs fails the first opening of a folder.
type flakyDirs struct {
	vfs.FS
	failed bool
}

func (f *flakyDirs) OpenDir(name string) (vfs.File, error) {
	if !f.failed {
		f.failed = true
		return nil, errors.New("injected")
	}
	return f.FS.OpenDir(name)
}

// TestFolderIsDurableAfterAFailedSync: a folder that exists but whose entry was never synced would take its snapshots with it in a
// crash, after the log that they stand for was compacted.
func TestFolderIsDurableAfterAFailedSync(t *testing.T) {
	disk := vfs.NewCrashableMem()
	fs := &flakyDirs{FS: disk}
	if err := makeDir(fs, "/snapshots/1-0"); err == nil || !fs.failed {
		t.Fatalf("the sync did not fail: %v", err)
	}
	if err := makeDir(fs, "/snapshots/1-0"); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.CrashClone(vfs.CrashCloneCfg{}).Stat("/snapshots/1-0"); err != nil {
		t.Fatalf("after a crash: %v", err)
	}
}
