package raft

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
)

// The rules have no clock, disk, goroutine or network: what they import proves most of it.
func TestTheRulesArePure(t *testing.T) {
	forbidden := map[string]bool{"os": true, "net": true, "sync": true, "context": true, "log": true, "math/rand": true, "unsafe": true, "runtime": true, "syscall": true, "io": true}
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		checked++
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			root, _, _ := strings.Cut(path, "/")
			if strings.Contains(root, ".") || forbidden[path] || forbidden[root] || path == "math/rand/v2" {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && !pureTime[n.Sel.Name] {
					t.Errorf("%s uses time.%s", name, n.Sel.Name)
				}
			case *ast.GoStmt, *ast.SendStmt, *ast.SelectStmt, *ast.ChanType:
				t.Errorf("%s uses goroutines or channels", name)
			}
			return true
		})
	}
	if checked < 10 {
		t.Fatalf("only %d files checked", checked)
	}
}

var pureTime = map[string]bool{"Duration": true, "Nanosecond": true, "Microsecond": true, "Millisecond": true, "Second": true, "Minute": true, "Hour": true}
