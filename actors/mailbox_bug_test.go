package actors_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// goroutine names the goroutine that it is called on.
func goroutine() string {
	head := make([]byte, 64)
	return string(bytes.Fields(head[:runtime.Stack(head, false)])[1])
}

// Whatever peers send, heartbeats included, reaches the rules by the group's mailbox: nothing steps them on the goroutine that read the
// frame (hashicorp/raft issue 695, a leader elected beside another).
func TestPeersAreHeardOnTheMailbox(t *testing.T) {
	system := newSystem()
	f := onlyVotes(system)
	var mu sync.Mutex
	steppedOn := map[string]int{}
	h, err := actors.StartHost(system, actors.HostConfig{
		Node: 1, Cluster: "t", Dir: t.TempDir(), Transport: f, Log: quiet(),
		Watch: func(raft.GroupID, *raft.Node) {
			mu.Lock()
			defer mu.Unlock()
			steppedOn[goroutine()]++
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	g, err := actors.StartGroup(h, actors.GroupConfig{Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: steady,
		StateMachine: func() actors.StateMachine { return &ledger{} }})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the group takes part", func() bool { return !g.Status().Stopped })
	term := raft.Term(50)
	for _, m := range []any{
		&remote.Pulse{Beats: []remote.Beat{{Group: 1, Heartbeat: raft.Heartbeat{Term: term, Leader: 2}}}},
		&raft.RequestVote{Term: term + 1, Candidate: 3, Transfer: true},
		&remote.AppendBlocks{AppendEntries: raft.AppendEntries{Term: term + 2, Leader: 3}},
		&raft.AppendEntriesReply{Term: term + 3},
		&raft.TimeoutNow{Term: term + 4, Leader: 2},
		&remote.Pulse{Beats: []remote.Beat{{Group: 1, Heartbeat: raft.Heartbeat{Term: term + 5, Leader: 2}}}},
	} {
		f.send(2, m)
		f.send(3, m)
	}
	await(t, "the last term is learnt", func() bool { return g.Status().Term >= term+5 })
	mu.Lock()
	defer mu.Unlock()
	if n := steppedOn[goroutine()]; n > 0 {
		t.Errorf("%d steps on the goroutine that delivers", n)
	}
	if len(steppedOn) == 0 {
		t.Error("no step was seen")
	}
}

// The rules are stepped in one place, which only the replica's own turn reaches: no other type's method and no function literal, which may run
// on any goroutine, steps them or a replica.
func TestRulesAreSteppedInOnePlace(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	places := 0
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			owner := receiver(f)
			each(f.Body, func(call *ast.SelectorExpr, inLiteral bool) {
				switch of, isField := call.X.(*ast.SelectorExpr); {
				case call.Sel.Name == "Step" && isField && of.Sel.Name == "node":
					places++
					if owner != "replica" || inLiteral {
						t.Errorf("%s: the rules are stepped by a %s", fset.Position(call.Pos()), owner)
					}
				case call.Sel.Name == "step" || call.Sel.Name == "receivePeer":
					if owner != "replica" && !strings.HasPrefix(owner, "pending") || inLiteral {
						t.Errorf("%s: a replica is stepped by a %s, in a literal: %v", fset.Position(call.Pos()), owner, inLiteral)
					}
				}
			})
		}
	}
	if places != 1 {
		t.Errorf("the rules are stepped in %d places", places)
	}
}

// receiver is the type that a method belongs to.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return "function"
	}
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	return of.(*ast.Ident).Name
}

// each calls see for every method that is called within a body.
func each(body ast.Node, see func(call *ast.SelectorExpr, inLiteral bool)) {
	var walk func(n ast.Node, inLiteral bool)
	walk = func(n ast.Node, inLiteral bool) {
		ast.Inspect(n, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncLit:
				walk(n.Body, true)
				return false
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
					see(sel, inLiteral)
				}
			}
			return true
		})
	}
	if body != nil {
		walk(body, false)
	}
}
