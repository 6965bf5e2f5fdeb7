package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// spoiled are folders that must not be used, made of a good one, and what is said of them.
var spoiled = []struct {
	name   string
	id     string // of the node that is started
	spoil  func(t *testing.T, o *site, folder string)
	status int
	want   []string
}{
	{"another node's", "2", func(t *testing.T, o *site, folder string) {
		rename(t, folder, filepath.Join(o.dir, "data", "2"))
		edit(t, o.file, "id = 1", "id = 2")
	}, 1, []string{"IDENTITY", "node 1"}},
	{"another cluster's", "1", func(t *testing.T, o *site, folder string) {
		edit(t, o.file, `"ours"`, `"theirs"`)
	}, 1, []string{"IDENTITY", "ours"}},
	{"damaged identity", "1", func(t *testing.T, o *site, folder string) {
		overwrite(t, filepath.Join(folder, "IDENTITY"), "garbage")
	}, 1, []string{"IDENTITY"}},
	{"empty identity", "1", func(t *testing.T, o *site, folder string) {
		overwrite(t, filepath.Join(folder, "IDENTITY"), "")
	}, 1, []string{"IDENTITY"}},
	{"identity that cannot be read", "1", func(t *testing.T, o *site, folder string) {
		file := filepath.Join(folder, "IDENTITY")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(file, 0o700); err != nil {
			t.Fatal(err)
		}
	}, 1, []string{"IDENTITY"}},
	{"a file where the folder should be", "1", func(t *testing.T, o *site, folder string) {
		rename(t, folder, folder+"-away")
		overwrite(t, folder, "not a folder")
	}, 1, []string{filepath.Join("data", "1")}},
	{"bad configuration", "1", func(t *testing.T, o *site, folder string) {
		edit(t, o.file, `cluster = "ours"`, "cluster = \"ours\"\ncolour = 1")
	}, 2, []string{"cluster.toml: line 3: unknown key colour"}},
}

// TestFolders starts a node on folders that it must not use: it refuses with one line that names the file.
func TestFolders(t *testing.T) {
	s := newSite(t, 1, 1, `cluster = "ours"`)
	s.start(0)
	s.ready(0)
	if _, err := s.client(0).Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	s.nodes[0].terminate(graceful)
	folder := filepath.Join(s.dir, "data", "1")
	for _, test := range spoiled {
		t.Run(test.name, func(t *testing.T) {
			o := newSite(t, 1, 1, `cluster = "ours"`)
			copied := filepath.Join(o.dir, "data", "1")
			if err := os.CopyFS(copied, os.DirFS(folder)); err != nil {
				t.Fatal(err)
			}
			test.spoil(t, o, copied)
			p := launch(t, "node", "--config", o.file, "--id", test.id)
			if status := p.status(patience); status != test.status {
				t.Errorf("exit status %d, want %d", status, test.status)
			}
			text := p.stderr.String()
			if strings.Count(text, "\n") != 1 {
				t.Errorf("not one line:\n%s", text)
			}
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in %q", want, text)
				}
			}
			if line, more := <-p.lines; more {
				t.Errorf("printed %q", line)
			}
		})
	}
	t.Run("in use", func(t *testing.T) {
		s.start(0)
		other := newSite(t, 1, 1, `cluster = "ours"`)
		edit(t, other.file, filepath.Join(other.dir, "data"), filepath.Join(s.dir, "data"))
		p := launch(t, "node", "--config", other.file, "--id", "1")
		if status := p.status(patience); status != 1 || strings.Count(p.stderr.String(), "\n") != 1 || !strings.Contains(p.stderr.String(), folder) {
			t.Errorf("exit status %d:\n%s", status, &p.stderr)
		}
	})
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, file, old, replacement string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s holds no %q", file, old)
	}
	overwrite(t, file, strings.Replace(string(text), old, replacement, 1))
}
