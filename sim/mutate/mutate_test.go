package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/troupe-raft/troupe/sim/exit"
)

const header = "title: T\nreference: https://example.org/1\ncatch: calc TestAdd\n"

func TestParse(t *testing.T) {
	b, err := parseBug(txtar.Parse([]byte(header + "catch: other TestA TestB\ntimeout: 5s\n\nProse: with a colon.\n-- find a.go --\nx\n-- replace --\ny\n-- find b.go --\nz\n-- replace --\n")))
	if err != nil {
		t.Fatal(err)
	}
	if b.Title != "T" || b.Timeout != 5*time.Second || len(b.Catches) != 3 || b.Catches[2] != (Catch{"other", "TestB"}) {
		t.Errorf("%+v", b)
	}
	if len(b.Edits) != 2 || b.Edits[0] != (Edit{"a.go", "x\n", "y\n"}) || b.Edits[1] != (Edit{"b.go", "z\n", ""}) {
		t.Errorf("%+v", b.Edits)
	}
	if got := b.folders(); len(got) != 2 || got[1] != "other" {
		t.Errorf("%v", got)
	}
	for name, text := range map[string]string{
		"no title":          "reference: r\ncatch: a T\n-- find a.go --\nx\n-- replace --\n",
		"no edit":           header,
		"no test":           "title: T\nreference: r\n-- find a.go --\nx\n-- replace --\n",
		"no replacement":    header + "-- find a.go --\nx\n",
		"two searches":      header + "-- find a.go --\nx\n-- find a.go --\nx\n",
		"unknown key":       header + "catches: a T\n-- find a.go --\nx\n-- replace --\n",
		"timeout of nobody": header + "timeout: soon\n-- find a.go --\nx\n-- replace --\n",
	} {
		if b, err := parseBug(txtar.Parse([]byte(text))); err == nil {
			t.Errorf("%s: %+v", name, b)
		}
	}
	if b, err := parseBug(txtar.Parse([]byte("title: T\nreference: r\nabsent: no such thing here\n"))); err != nil || b.Absent != "no such thing here" {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestEditMustFitOnce(t *testing.T) {
	e := Edit{Path: "a.go", Find: "x\n", Replace: "y\n"}
	if got, err := e.apply("a\nx\nb\n"); err != nil || got != "a\ny\nb\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"a\nb\n", "x\nx\n", ""} {
		if got, err := e.apply(text); err == nil || !strings.Contains(err.Error(), "a.go") {
			t.Errorf("%q became %q, %v", text, got, err)
		}
	}
}

func TestNumbersAndNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"01-a.txtar", "01-b.txtar", "3-c.txtar", "notes.md"} {
		put(t, filepath.Join(dir, name), header+"-- find a.go --\nx\n-- replace --\n")
	}
	_, err := readBugs(dir)
	for _, want := range []string{"01-b.txtar has the number", "3-c.txtar", "notes.md"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported: %v", want, err)
		}
	}
	if _, err := readBugs(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a missing folder is not reported")
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// module makes a small module with injections of every fate, and a runner for it.
func module(t *testing.T) (*runner, []Bug) {
	t.Helper()
	root := t.TempDir()
	put(t, filepath.Join(root, "go.mod"), "module example.org/calc\n\ngo 1.26\n")
	put(t, filepath.Join(root, "calc", "calc.go"), "package calc\n\nfunc Add(a, b int) int {\n\treturn a + b\n}\n\nfunc Idle() int { return 1 }\n")
	put(t, filepath.Join(root, "calc", "calc_test.go"), `package calc

import "testing"

func TestAdd(t *testing.T) {
	if Add(1, 2) != 3 {
		t.Fatal("wrong")
	}
}

func TestSkipped(t *testing.T) { t.Skip("never runs") }
`)
	edit := func(find, replace string) []Edit {
		return []Edit{{Path: "calc/calc.go", Find: find, Replace: replace}}
	}
	sum, add := "\treturn a + b\n", []Catch{{"calc", "TestAdd"}}
	return &runner{root: root, timeout: 3 * time.Second, jobs: 2, verbose: func(string, ...any) {}}, []Bug{
		{Number: 1, Name: "caught", Edits: edit(sum, "\treturn a - b\n"), Catches: add},
		{Number: 2, Name: "panics", Edits: edit(sum, "\tpanic(a)\n"), Catches: add},
		{Number: 3, Name: "missed", Edits: edit("func Idle() int { return 1 }\n", "func Idle() int { return 2 }\n"), Catches: add},
		{Number: 4, Name: "broken", Edits: edit(sum, "\treturn c\n"), Catches: add},
		{Number: 5, Name: "rotten", Edits: edit("\treturn a * b\n", ""), Catches: add},
		{Number: 6, Name: "hangs", Edits: edit(sum, "\tfor {\n\t}\n"), Catches: add},
		{Number: 7, Name: "nobody", Edits: edit(sum, "\treturn a - b\n"), Catches: []Catch{{"calc", "TestNone"}}},
		{Number: 8, Name: "exits", Edits: edit(sum, "\tgo panic(a)\n\tselect {}\n"), Catches: add},
		{Number: 9, Name: "absent", Absent: "there is no such thing"},
	}
}

func TestFates(t *testing.T) {
	r, bugs := module(t)
	var out bytes.Buffer
	if err := report(t.Context(), &out, r, bugs[:2], true); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"without injections every test passes", " 1 caught", "calc/calc_test.go:7", " 2 panics", "by a panic", "2/2 caught\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := report(t.Context(), &out, r, bugs, false); !errors.Is(err, exit.ErrFound) {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{
		"calc TestAdd passes under the injection", "the injection is broken, calc does not compile", "occurs 0 times",
		"hung under the injection", "calc has no test TestNone", "did not fail but ended otherwise", " 9 absent", "does not apply: there is no such thing",
		"1 do not apply\n2/9 caught\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if _, end, _ := strings.Cut(out.String(), "does not apply"); !strings.Contains(end, "3 missed") {
		t.Errorf("the end does not repeat which one was not caught:\n%s", out.String())
	}
}

// Tests that do not pass without an injection are no witnesses.
func TestCleanRun(t *testing.T) {
	r, bugs := module(t)
	for _, test := range []string{"TestSkipped", "TestNone"} {
		bugs[0].Catches = []Catch{{"calc", "TestAdd"}, {"calc", test}}
		if err := r.clean(t.Context(), bugs[:1]); err == nil || !strings.Contains(err.Error(), "calc "+test+" does not pass") {
			t.Errorf("%s: %v", test, err)
		}
	}
}

func TestCommandLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "18.json")
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{"--bug", "99"}, exit.Usage, "there is no bug 99"},
		{[]string{"-j", "0"}, exit.Usage, "--jobs 0"},
		{[]string{"nonsense"}, exit.Usage, "nonsense"},
		{[]string{"overlay", "x", "-o", file}, exit.Usage, "not the number of a bug"},
		{[]string{"overlay", "18"}, exit.Usage, "output"},
		{[]string{"overlay", "18", "-o", file}, exit.OK, ""},
	} {
		var out, errs bytes.Buffer
		if got := run(t.Context(), c.args, &out, &errs); got != c.want || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%v: status %d, %q", c.args, got, errs.String())
		}
	}
	overlay, err := os.ReadFile(file)
	if err != nil || !bytes.Contains(overlay, []byte("raft/append.go")) {
		t.Errorf("%s, %v", overlay, err)
	}
	if _, err := os.Stat(strings.TrimSuffix(file, ".json") + ".mutated/raft/append.go"); err != nil {
		t.Error(err)
	}
}
