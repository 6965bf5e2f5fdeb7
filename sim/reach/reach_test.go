package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/cover"
)

const source = `package calc

type T struct{}

func (t *T) Sum(a, b int) int {
	if a < 0 {
		return -1
	}
	if b < 0 {
		return -1
	}
	if a > 9 {
		// why
		a = 9
	}
	return a + b
}

func Wait() { select {} }
`

// profile is what the statements of source were executed: none below 0, none above 9, and nobody waited.
const profile = `mode: count
github.com/troupe-raft/troupe/calc/calc.go:5.31,6.11 1 3
github.com/troupe-raft/troupe/calc/calc.go:6.11,8.3 1 0
github.com/troupe-raft/troupe/calc/calc.go:9.2,9.11 1 3
github.com/troupe-raft/troupe/calc/calc.go:9.11,11.3 1 0
github.com/troupe-raft/troupe/calc/calc.go:12.2,12.11 1 3
github.com/troupe-raft/troupe/calc/calc.go:12.11,15.3 1 0
github.com/troupe-raft/troupe/calc/calc.go:16.2,16.14 1 3
github.com/troupe-raft/troupe/calc/calc.go:19.13,19.23 1 0
`

// judged is what reach says of source by a list.
func judged(t *testing.T, source, listed string) (said string, fine bool) {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{"calc/calc.go": source, "profile": profile} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, err := parseList(listed)
	if err != nil {
		t.Fatal(err)
	}
	profiles, err := cover.ParseProfiles(filepath.Join(root, "profile"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := readBlocks(root, profiles)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	fine = judge(&out, l, blocks, nil, 0)
	return out.String(), fine
}

const waiting = "live calc/calc.go Wait: needs a goroutine\n"

func TestDemandIsHeld(t *testing.T) {
	for _, c := range []struct {
		listed string
		fine   bool
		said   string
	}{
		{"demand calc 57\n" + waiting, true, "57.1 % of 7 statements, 0 listed"},
		{"demand calc 57\n", false, "50.00 % are below the demand of 57.0 %"},
		{"demand calc 58\n" + waiting, false, "57.14 % are below the demand of 58.0 %"},
		{"demand calc 57\n" + waiting + "never calc/calc.go T.Sum `if a < 0 {`: says so\n", true, "1 listed"},
		{"demand calc 57\n" + waiting + "never calc/calc.go T.Sum then `} / if b < 0 {`: what follows\n", false, "was reached 3 times"},
		{"demand calc 57\n" + waiting + "never calc/calc.go T.Sum `} / if b < 0 {`: the body\n", true, "1 listed"},
		{"demand calc 57\n" + waiting + "never calc/calc.go T.Sum `if a == 0 {`: no such line\n", false, "reach.txt:3: there is no calc/calc.go T.Sum `if a == 0 {`"},
		{"demand calc 57\n" + waiting + "never calc/calc.go T.Sum: the whole\n", false, "is listed and was reached"},
		{"demand calc 57\nlive calc/calc.go Gone: as above\n", false, "there is no calc/calc.go Gone"},
	} {
		if said, fine := judged(t, source, c.listed); fine != c.fine || !strings.Contains(said, c.said) {
			t.Errorf("by %q: %v, said\n%s", c.listed, fine, said)
		}
	}
}

// TestEverythingElseIsReachedOrListed: at the full demand nothing may be forgotten.
func TestEverythingElseIsReachedOrListed(t *testing.T) {
	blocks := []*block{
		{file: "calc/calc.go", fn: "T.Sum", source: strings.Split(source, "\n"), line: 6, first: 7, statements: 97, count: 1},
		{file: "calc/calc.go", fn: "T.Sum", source: strings.Split(source, "\n"), line: 12, first: 14, statements: 3},
	}
	for listed, want := range map[string]bool{"": false, "never calc/calc.go T.Sum `if a > 9 {`: nobody counts so far\n": true} {
		l, err := parseList("demand calc 97\n" + listed)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if fine := judge(&out, l, blocks, nil, 0); fine != want {
			t.Errorf("with %q: %v, said\n%s", listed, fine, out.String())
		}
	}
}

// TestNames: what is not reached is named as the list wants it, and lines may move.
func TestNames(t *testing.T) {
	said, _ := judged(t, source, "demand calc 57\n"+waiting)
	for _, want := range []string{
		"line 7    calc/calc.go T.Sum `if a < 0 {`: return -1", "line 10   calc/calc.go T.Sum `if b < 0 {`", "line 14   calc/calc.go T.Sum `if a > 9 {`: a = 9",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in\n%s", want, said)
		}
	}
}

func TestParseList(t *testing.T) {
	l, err := parseList("# remark\ndemand a 97.5\nlive a/b.go: why\n\nnever a/c.go T.f then \"x := `a`\": because: so\nnever a/c.go g: as above\n")
	if err != nil {
		t.Fatal(err)
	}
	if len(l.demands) != 1 || l.demands[0] != (demand{"a", 97.5}) || len(l.live) != 1 || l.live[0].place != (place{file: "a/b.go"}) {
		t.Errorf("%+v", l)
	}
	if len(l.never) != 2 || l.never[0].place != (place{file: "a/c.go", fn: "T.f", line: "x := `a`", then: true}) || l.never[0].reason != "because: so" || l.never[0].number != 5 || l.never[1].fn != "g" {
		t.Errorf("%+v", l.never)
	}
	for _, text := range []string{
		"demand a", "demand a much", "seldom a/b.go f: why", "never a/b.go: no function", "never a/b.go f", "never a/b.go f `open: why", "never a/b.go f `x` why", "live b: no file", "live a/b.go f g: too much",
	} {
		if _, err := parseList(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// TestTheListIsRead: the list of this module is well-formed.
func TestTheListIsRead(t *testing.T) {
	l, err := readList("reach.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(l.packages(), " "); got != "raft actors applier replication snapshotter heartbeat election" {
		t.Errorf("demands for %s", got)
	}
	for _, it := range append(l.live, l.never...) {
		if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(it.file))); err != nil {
			t.Errorf("reach.txt:%d: %v", it.number, err)
		}
	}
}
