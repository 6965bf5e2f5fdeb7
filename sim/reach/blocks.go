package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/tools/cover"
)

// A block is a run of statements that are executed together.
type block struct {
	file, fn   string
	source     []string // of the file, by line from 0
	line       int      // where the block begins: the line of the if or case whose body it is
	then       bool     // it begins with that line: what follows an if that returned
	first      int      // line of its first statement
	statements int
	count      int // how often it was executed
}

func (b *block) pkg() string { return path.Dir(b.file) }

// code is a line without the space around it and without its remark.
func code(line string) string {
	line, _, _ = strings.Cut(line, " // ")
	return strings.TrimSpace(line)
}

// quoted is the line that begins the block, after so many non-empty ones before it.
func (b *block) quoted(before int) string {
	lines := []string{code(b.source[b.line-1])}
	for at := b.line - 2; at >= 0 && before > 0; at-- {
		if text := code(b.source[at]); text != "" {
			lines = append([]string{text}, lines...)
			before--
		}
	}
	return strings.Join(lines, " / ")
}

// A function is where a declaration begins and ends.
type function struct {
	name        string
	first, last int // lines
}

// readBlocks gives every block of the profiles its place.
func readBlocks(root string, profiles []*cover.Profile) (all []*block, err error) {
	for _, p := range profiles {
		file, ours := strings.CutPrefix(p.FileName, module)
		if !ours {
			return nil, fmt.Errorf("the profile holds %s, which is not of this module", p.FileName)
		}
		raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			return nil, err
		}
		functions, err := readFunctions(file, raw)
		if err != nil {
			return nil, err
		}
		source := strings.Split(string(raw), "\n")
		for _, pb := range p.Blocks {
			if pb.NumStmt == 0 {
				continue
			}
			b := &block{file: file, source: source, line: pb.StartLine, statements: pb.NumStmt, count: pb.Count}
			for _, f := range functions {
				if f.first <= pb.StartLine && pb.EndLine <= f.last {
					b.fn = f.name
				}
			}
			b.first, b.then = firstStatement(source, pb), strings.TrimSpace(source[pb.StartLine-1][:pb.StartCol-1]) == ""
			all = append(all, b)
		}
	}
	return all, nil
}

// firstStatement is the line of the first statement: the one after an opening brace or a case.
func firstStatement(source []string, pb cover.ProfileBlock) int {
	line := source[pb.StartLine-1]
	if rest := strings.TrimLeft(line[min(pb.StartCol-1, len(line)):], "{: \t"); rest != "" && !strings.HasPrefix(rest, "//") {
		return pb.StartLine
	}
	for at := pb.StartLine; at < pb.EndLine; at++ {
		if text := strings.TrimSpace(source[at]); text != "" && !strings.HasPrefix(text, "//") {
			return at + 1
		}
	}
	return pb.StartLine
}

func readFunctions(file string, raw []byte) (all []function, err error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, raw, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, d := range tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		all = append(all, function{name: nameOf(f), first: set.Position(f.Pos()).Line, last: set.Position(f.End()).Line})
	}
	return all, nil
}

// nameOf is "name" or "Type.name".
func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	for {
		switch of := t.(type) {
		case *ast.StarExpr:
			t = of.X
		case *ast.IndexExpr:
			t = of.X
		case *ast.Ident:
			return of.Name + "." + f.Name.Name
		default:
			return f.Name.Name
		}
	}
}
