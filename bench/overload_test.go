package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestOverload runs the benchmark briefly on every path, and nothing is left behind.
func TestOverload(t *testing.T) {
	for _, path := range paths {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			args := []string{"overload", "-paths", path, "-closed", "1", "-loads", "2", "-seconds", "0.3", "-warmup", "100ms", "-again", "-dir", t.TempDir()}
			if code := run(args, registry(), &out, &errs); code != exitOK {
				t.Fatalf("exit %d: %s", code, errs.String())
			}
			if !strings.Contains(out.String(), "| "+path+" | 2.0 | ") {
				t.Errorf("no row of %s: %s", path, out.String())
			}
		})
	}
	var out, errs bytes.Buffer
	for _, bad := range [][]string{{"-loads", "much"}, {"-loads", "0"}, {"-paths", "none"}, {"-size", "0"}, {"more"}} {
		if code := run(append([]string{"overload"}, bad...), registry(), &out, &errs); code != exitUsage {
			t.Errorf("%v: exit %d", bad, code)
		}
	}
}
