package persister

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

func openClose(t *testing.T, cfg Config) error {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		return err
	}
	return s.Close()
}

// refusal checks that err is one line, names path and is kind.
func refusal(t *testing.T, err error, path string, kind error) {
	t.Helper()
	var r *OpenError
	if !errors.As(err, &r) || !errors.Is(err, kind) {
		t.Errorf("got %T %v, want %v", err, err, kind)
		return
	}
	if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, path) {
		t.Errorf("%q is not one line that names %s", text, path)
	}
}

func TestForeignFolders(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "deep", "store")
	cfg := config(nil, dir)
	for range 3 {
		if err := openClose(t, cfg); err != nil {
			t.Fatal(err)
		}
	}
	other := cfg
	other.Node = 2
	refusal(t, openClose(t, other), identityName, ErrForeign)
	other = cfg
	other.Cluster = "prod"
	err := openClose(t, other)
	refusal(t, err, identityName, ErrForeign)
	if line := fmt.Sprintf("cluster = %q", cfg.Cluster); !strings.Contains(err.Error(), line) || !strings.Contains(err.Error(), `"prod"`) {
		t.Errorf("both names and the line that repairs it: %v", err)
	}
	other.KeepCluster = true // the folder's name counts
	s, err := Open(other)
	if err != nil || s.Cluster() != cfg.Cluster {
		t.Fatalf("%v, %v", s, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openClose(t, cfg); err != nil {
		t.Errorf("after refusals: %v", err)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	refusal(t, openClose(t, config(nil, file)), file, ErrNotStore)
	refusal(t, openClose(t, config(nil, root)), root, ErrNotStore)
	refusal(t, openClose(t, config(nil, filepath.Join(file, "below"))), file, syscall.ENOTDIR)
}

func TestLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := Open(config(nil, dir))
	if err != nil {
		t.Fatal(err)
	}
	refusal(t, openClose(t, config(nil, dir)), lockName, ErrLocked)
	cmd := exec.Command(os.Args[0], "-test.run", "^TestOpenElsewhere$")
	cmd.Env = append(os.Environ(), "TROUPE_STORE="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("another process: %v\n%s", err, out)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := openClose(t, config(nil, dir)); err != nil {
		t.Errorf("after the lock was given up: %v", err)
	}
}

// TestOpenElsewhere is the other process of TestLocked; on its own it checks a folder that nobody holds.
func TestOpenElsewhere(t *testing.T) {
	dir := os.Getenv("TROUPE_STORE")
	if dir == "" {
		if err := openClose(t, config(nil, filepath.Join(t.TempDir(), "store"))); err != nil {
			t.Error(err)
		}
		return
	}
	refusal(t, openClose(t, config(nil, dir)), lockName, ErrLocked)
}

func TestDamagedIdentity(t *testing.T) {
	disk := vfs.NewCrashableMem()
	if err := openClose(t, config(disk, "d")); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"empty": "", "short": "{}", "text": "hello, world\n", "another format": string(identity{Format: 2, Cluster: "test", Node: 1, Ready: true}.encode()),
	} {
		copied := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
		if err := writeFile(copied, "d/"+identityName, []byte(content)); err != nil {
			t.Fatal(err)
		}
		kind := ErrDamaged
		if name == "another format" {
			kind = ErrRelease
		}
		refusal(t, openClose(t, config(copied, "d")), identityName, kind)
	}
}

// TestUnreadable meets a disk that permits nothing.
func TestUnreadable(t *testing.T) {
	for name, fails := range map[string]func(errorfs.Op) bool{
		"folder":   func(op errorfs.Op) bool { return op.Kind == errorfs.OpList && op.Path == "d" },
		"identity": on(identityName, errorfs.OpOpen),
		"lock":     on(lockName, errorfs.OpLock),
		"manifest": func(op errorfs.Op) bool { return op.Kind == errorfs.OpOpen && strings.Contains(op.Path, "MANIFEST") },
		"log":      on(".log", errorfs.OpOpen),
		"database": func(op errorfs.Op) bool { return op.Kind == errorfs.OpList && strings.HasSuffix(op.Path, databaseName) },
		"writing":  anyWrite,
	} {
		s := &saboteur{err: fs.ErrPermission, fails: fails}
		disk := errorfs.Wrap(vfs.NewMem(), s)
		if err := openClose(t, config(disk, "d")); err != nil {
			t.Fatal(err)
		}
		s.armed.Store(true)
		err := openClose(t, config(disk, "d"))
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: got %v", name, err)
		}
		refusal(t, err, "d", fs.ErrPermission)
		s.armed.Store(false)
		if err := openClose(t, config(disk, "d")); err != nil {
			t.Errorf("%s: once it is permitted: %v", name, err)
		}
	}
}

func TestValidate(t *testing.T) {
	err := Config{CacheBytes: -1, MemTableBytes: 1 << 32, MaxOpenFiles: -1, SlowDisk: -1, CloseWithin: -1}.Validate()
	for _, what := range []string{"Dir", "Node", "CacheBytes", "MemTableBytes", "MaxOpenFiles", "SlowDisk", "CloseWithin"} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v does not name %s", err, what)
		}
	}
	if _, err := Open(Config{}); err == nil {
		t.Error("an empty Config opens")
	}
}
