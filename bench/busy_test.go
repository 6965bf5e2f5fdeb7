package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestBusy runs the benchmark briefly in every case, on one host and on three, and nothing is left behind. Whatever the others do, the quiet group writes.
func TestBusy(t *testing.T) {
	var out, errs bytes.Buffer
	for cases, args := range map[string][]string{
		"alone,burn,burn-unbounded,cheap,sleep,sleep-waits": {"-voters", "1", "-warmup", "100ms"},
		"hang": {"-voters", "3", "-warmup", "2s"}, // until nobody waits for the turns of those that hang
	} {
		out.Reset()
		args = append([]string{"busy", "-cases", cases, "-busy", "2", "-clients", "2", "-seconds", "0.5", "-memory", "-dir", t.TempDir()}, args...)
		if code := run(args, registry(), &out, &errs); code != exitOK {
			t.Fatalf("%v: exit %d: %s", args, code, errs.String())
		}
		for what := range strings.SplitSeq(cases, ",") {
			_, row, _ := strings.Cut(out.String(), "| "+what+" | ")
			row, _, _ = strings.Cut(row, "\n")
			if cells := strings.Split(row, " | "); len(cells) != 8 || cells[1] == "0" {
				t.Errorf("%v: %s: %q", args, what, row)
			}
		}
	}
	for _, bad := range [][]string{{"-cases", "none"}, {"-busy", "0"}, {"-voters", "10"}, {"-apply", "-1s"}, {"more"}} {
		if code := run(append([]string{"busy"}, bad...), registry(), &out, &errs); code != exitUsage {
			t.Errorf("%v: exit %d", bad, code)
		}
	}
}
