package troupe_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest = regexp.MustCompile("`((?:Test|Benchmark|Example)[A-Z]\\w*(?:/[^`]+)?)`(?: \\(([\\w/.]+_test\\.go)\\))?")
	seedTest  = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark)(?:SimpleRaft|Hoverbear|Ruaft|Kvraft|MIT)\w*)\(`)
	number    = regexp.MustCompile(`\d+`)
)

// TestConformanceTableIsTrue holds docs/conformance.md against the code: each test that it names is in the file it names, and each test
// of a seed's suite is on it.
func TestConformanceTableIsTrue(t *testing.T) {
	page, err := os.ReadFile("docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	named, checked := map[string]bool{}, 0
	for _, m := range namedTest.FindAllStringSubmatch(string(page), -1) {
		parts := strings.Split(m[1], "/")
		named[parts[0]] = true
		if m[2] == "" {
			continue
		}
		checked++
		text, err := os.ReadFile(m[2])
		if err != nil {
			t.Errorf("%s: %v", m[1], err)
			continue
		}
		if !strings.Contains(string(text), "func "+parts[0]+"(") {
			t.Errorf("%s has no %s", m[2], parts[0])
		}
		for _, sub := range parts[1:] {
			if !mentions(string(text), sub, number.ReplaceAllString(sub, "%d"), withVerb(sub)) {
				t.Errorf("%s has no subtest %s", m[2], m[1])
			}
		}
	}
	if checked < 150 {
		t.Errorf("only %d tests were looked for: has the page another form?", checked)
	}
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range seedTest.FindAllStringSubmatch(string(text), -1) {
			if !named[m[1]] {
				t.Errorf("%s: %s is not in docs/conformance.md", path, m[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// mentions reports whether a test file has a subtest of one of these names, or one whose name goes on after it.
func mentions(text string, names ...string) bool {
	for _, name := range names {
		if strings.Contains(text, `"`+name+`"`) || strings.Contains(text, `"`+name+`/`) {
			return true
		}
	}
	return false
}

// withVerb is how a file builds the names of a family of subtests, R16_n3_d say.
func withVerb(name string) string {
	at := strings.LastIndexFunc(name, func(r rune) bool { return r >= '0' && r <= '9' })
	if at < 0 {
		return name
	}
	rest := name[at+1:]
	if strings.HasPrefix(rest, "_") {
		rest = "_%s"
	}
	return name[:at] + "%d" + rest
}
