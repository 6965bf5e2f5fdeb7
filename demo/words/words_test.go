package words

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// api are names that are nothing to those who do not program.
var api = regexp.MustCompile(`\b(actors|raft|remote|persister)\.[A-Z]|\b(Host|HostConfig|GroupConfig|HostTuning|Change)\.[A-Z]`)

// programmers read these: configurations that no file makes, which the demo checks before in its own words.
var programmers = []string{"is not above HostConfig.HeartbeatInterval", "GroupConfig: ElectionTimeout"}

// TestNothingOfTheAPIIsLeft wants a word of users for each place where a library's error or log line names its API.
func TestNothingOfTheAPIIsLeft(t *testing.T) {
	found := 0
	for _, folder := range []string{"actors", "raft", "remote", "persister", "snapshotter", "applier", "replication", "heartbeat", "election", "entry"} {
		root := os.DirFS(filepath.Join("..", "..", folder))
		err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := fs.ReadFile(root, path)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				lit, is := n.(*ast.BasicLit)
				if !is || lit.Kind != token.STRING {
					return true
				}
				said, _ := strconv.Unquote(lit.Value)
				if !api.MatchString(said) {
					return true
				}
				for _, known := range programmers {
					if strings.Contains(said, known) {
						return true
					}
				}
				found++
				if left := api.FindString(Ours(said)); left != "" {
					t.Errorf("%s/%s: %q is left of %q", folder, path, left, said)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if found < 8 {
		t.Errorf("%d places were found", found)
	}
}

// TestOurs keeps what is no package's or API's name.
func TestOurs(t *testing.T) {
	for text, want := range map[string]string{
		"raft: no leader":                                                        "no leader",
		"http: actors: raft: x; remote: y":                                       "http: x; y",
		"(ctl readmit 3, actors.Change.Readmit)":                                 "(ctl readmit 3)",
		"log: write /a/b: write /a/b: no space left on device":                   "log: write /a/b: no space left on device",
		"store in /a failed: open /a/x: open /a/x: open /a/x: denied: open /a/x": "store in /a failed: open /a/x: denied: open /a/x",
		"a: a: b":  "a: a: b",
		"graft: x": "graft: x",
	} {
		if got := Ours(text); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// Whoever talks before being asked is named as whoever answers otherwise: which of the two net/http notices hangs on the moment.
func TestTalkersSpeakNoHTTP(t *testing.T) {
	for _, text := range []string{`net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0"`, "readLoopPeekFailLocked: %!w(<nil>)"} {
		if got := Connection(errors.New(text)); !strings.Contains(got, "speaks no HTTP") {
			t.Errorf("%s is told as %s", text, got)
		}
	}
}
