//go:build unix

package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDataIsPrivate: nobody but the user that runs a node reads what it stores, whatever the umask. A folder that was there stays as it was.
func TestDataIsPrivate(t *testing.T) {
	root := t.TempDir()
	given := filepath.Join(root, "given")
	if err := os.Mkdir(given, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(given, 0o755); err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(root, "tmp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ flags, data string }{
		"a folder to be made":     {"--data " + filepath.Join(root, "new", "data"), filepath.Join(root, "new")},
		"a folder that was there": {"--data " + given, given},
		"the demo's own":          {"", temp},
	} {
		t.Run(name, func(t *testing.T) {
			addrs := ports(t, 2)
			args := append([]string{"cluster", "--nodes", "1", "--http", addrs[0], "--raft", addrs[1], "--resp="}, strings.Fields(test.flags)...)
			cmd := exec.Command("sh", append([]string{"-c", `umask 0 && exec "$0" "$@"`, demoBinary(t)}, args...)...)
			cmd.Env = append(os.Environ(), "TMPDIR="+temp)
			p := follow(t, nil, cmd, args)
			p.line("ready")
			var out strings.Builder
			for _, line := range []string{"put k v", "snapshot"} {
				if status := run(append([]string{"ctl", "--addr", addrs[0]}, strings.Fields(line)...), &out, &out); status != 0 {
					t.Fatalf("%s: %d %s", line, status, &out)
				}
			}
			seen := 0
			look := func(path string, d fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				info, err := d.Info()
				if err != nil {
					return err
				}
				seen++
				want := os.FileMode(0o600)
				switch {
				case path == given:
					want = os.ModeDir | 0o755
				case d.IsDir():
					want = os.ModeDir | 0o700
				}
				if info.Mode() != want {
					t.Errorf("%s is %v, want %v", path, info.Mode(), want)
				}
				return nil
			}
			if test.data == temp {
				p.kill() // a graceful end would remove it
			} else {
				p.terminate(graceful)
			}
			if err := filepath.WalkDir(test.data, look); err != nil {
				t.Fatal(err)
			}
			if seen < 10 {
				t.Errorf("only %d files and folders", seen)
			}
		})
	}
}
