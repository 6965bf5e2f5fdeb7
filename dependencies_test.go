package troupe_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDependenciesHaveAReason: every module that go.mod, or the benchmark's, requires directly stands in docs/decisions/0001 with the reason.
func TestDependenciesHaveAReason(t *testing.T) {
	page, err := os.ReadFile("docs/decisions/0001-libraries.md")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`^v[0-9]+$`)
	for _, file := range []string{"go.mod", "bench/go.mod"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if !strings.HasPrefix(line, "\t") || len(fields) != 2 || fields[0]+"/" == module {
				continue // of the file's own, or "// indirect"
			}
			found++
			path := strings.Split(fields[0], "/")
			if version.MatchString(path[len(path)-1]) {
				path = path[:len(path)-1]
			}
			if name := path[len(path)-1]; !named(string(page), name, fields[0]) {
				t.Errorf("%s requires %s, which docs/decisions/0001 does not name", file, fields[0])
			}
		}
		if found == 0 {
			t.Errorf("%s requires nothing", file)
		}
	}
}

// named looks for a module by its last element, or by the name that people know it by.
func named(page, name, module string) bool {
	known := map[string]string{
		"github.com/cockroachdb/errors": "cockroachdb/errors", "github.com/cockroachdb/pebble/v2": "Pebble v2", "github.com/vmihailenco/msgpack/v5": "msgpack v5", "github.com/HdrHistogram/hdrhistogram-go": "HdrHistogram",
		"go.etcd.io/etcd/server/v3": "etcd's WAL", "go.etcd.io/raft/v3": "etcd/raft",
	}
	if as := known[module]; as != "" {
		name = as
	}
	return regexp.MustCompile(`(^|[^a-z-])` + regexp.QuoteMeta(name) + `([^a-z-]|$)`).MatchString(page)
}
