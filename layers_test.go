package troupe_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/troupe-raft/troupe/"

// layer says how high a folder stands (ARCHITECTURE.md). Imports point down; folders of layer 2 never import each other.
var layer = map[string]int{
	"raft": 0, "entry": 0, "stage": 0, "logs": 0, "internal": 0,
	"persister": 1, "remote": 1,
	"election": 2, "heartbeat": 2, "replication": 2, "applier": 2, "snapshotter": 2,
	"actors": 3,
	"demo":   4,
	"sim":    5,
}

// sameLayer lists the imports within a layer that the design allows.
var sameLayer = map[string]bool{"entry raft": true, "stage internal": true}

func TestImportsPointDown(t *testing.T) {
	seen := map[string]bool{}
	eachGoFile(t, func(path, folder string, imports []string) {
		from, known := layer[folder]
		if !known {
			t.Errorf("%s: folder %q has no layer: add it here and to ARCHITECTURE.md", path, folder)
			return
		}
		seen[folder] = true
		for _, imp := range imports {
			if !strings.HasPrefix(imp, module) {
				continue
			}
			target, _, _ := strings.Cut(strings.TrimPrefix(imp, module), "/")
			to, known := layer[target]
			if target == folder || known && (to < from || sameLayer[folder+" "+target]) {
				continue
			}
			t.Errorf("%s (layer %d) imports %s (layer %d): imports point down only", path, from, target, to)
		}
	})
	for folder := range layer {
		if !seen[folder] {
			t.Errorf("no Go file was checked in %s", folder)
		}
	}
}

// TestRulesKnowNoWorld keeps clocks, disks, goroutines and networks out of package raft.
func TestRulesKnowNoWorld(t *testing.T) {
	banned := map[string]bool{"os": true, "net": true, "sync": true, "context": true, "log": true, "log/slog": true, "math/rand": true, "math/rand/v2": true, "sync/atomic": true}
	eachGoFile(t, func(path, folder string, imports []string) {
		if folder != "raft" || strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, imp := range imports {
			if banned[imp] || strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				t.Errorf("%s imports %s: the rules know no world", path, imp)
			}
		}
	})
}

// eachGoFile calls f for every Go file in the module's folders. Test files may import what they like.
func eachGoFile(t *testing.T, f func(path, folder string, imports []string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (name == "bench" || name == "testdata" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		folder, rest, nested := strings.Cut(filepath.ToSlash(path), "/")
		if !strings.HasSuffix(path, ".go") || !nested || rest == "" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, spec := range file.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, imp)
		}
		f(path, folder, imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
