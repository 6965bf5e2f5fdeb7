package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// trialArgs are command lines that take little time.
var trialArgs = map[string][]string{
	"failover": {"-rounds", "1", "-election", "500ms"},
	"restart":  {"-entries", "3000", "-clients", "64", "-election", "500ms"},
	"snapshot": {"-mb", "8", "-election", "500ms"},
}

// trialCells is how many cells a row of each has.
var trialCells = map[string]int{"failover": 5, "restart": 6, "snapshot": 6}

// TestTrials has every peer do each of them once, briefly. The trials themselves verify that what was acknowledged was applied.
func TestTrials(t *testing.T) {
	for name, args := range trialArgs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rowsOf(t, name, args, registry())
		})
	}
}

// rowsOf runs a trial and returns its rows, one for each peer.
func rowsOf(t *testing.T, name string, args []string, known []peer) (rows [][]string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(append([]string{name, "-dir", t.TempDir()}, args...), known, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if header := lines[len(lines)-len(known)-2]; strings.Count(header, "|") != trialCells[name]+1 {
		t.Errorf("header %s", header)
	}
	for i, p := range known {
		cells := strings.Split(strings.Trim(lines[len(lines)-len(known)+i], "| "), " | ")
		if len(cells) != trialCells[name] || cells[0] != p.name() {
			t.Errorf("row %q of %s", cells, p.name())
		}
		rows = append(rows, cells)
	}
	return rows
}

func TestTrialsOfFakes(t *testing.T) {
	for name, args := range trialArgs {
		t.Run(name, func(t *testing.T) {
			a, b := newFake(reference), newFake("x")
			for _, f := range []*fakePeer{a, b} {
				f.group = func() *fakeGroup { return &fakeGroup{refusals: 3} }
			}
			rowsOf(t, name, args, []peer{a, b})
		})
	}
}

func TestTrialThatFailsIsReported(t *testing.T) {
	good, bad := newFake("good"), newFake("bad")
	good.group = func() *fakeGroup { return &fakeGroup{} }
	bad.group = func() *fakeGroup { return &fakeGroup{sendLog: true} }
	var stdout, stderr bytes.Buffer
	code := run(append([]string{"snapshot", "-dir", t.TempDir()}, trialArgs["snapshot"]...), []peer{good, bad}, &stdout, &stderr)
	if code != exitFailed || !strings.Contains(stderr.String(), "bench: snapshot: bad round=1: the third voter was sent no snapshot") ||
		!strings.Contains(stderr.String(), "1 rounds failed") {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
	if !strings.Contains(stdout.String(), "| good | ") || !strings.Contains(stdout.String(), "| bad | failed | | | | |\n") {
		t.Errorf("printed %s", stdout.String())
	}
}

func TestRestartThatLosesIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake("bad")
		f.group = func() *fakeGroup { return &fakeGroup{forget: true} }
		o := restartOptions{entries: 10, size: 1, clients: 2, trialOptions: trialOptions{dir: t.TempDir()}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := tryOnce(ctx, o.trialOptions, "restart", f, settings{}, o.restart)
		if err == nil || !strings.Contains(err.Error(), "a voter applied 10 operations of 11") {
			t.Errorf("restart: %v", err)
		}
	})
}

func TestFirstWriteGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &fakeGroup{refusals: 1 << 30}
		c := g.set(t.TempDir())
		if err := open(t.Context(), c, 0, 1, 2); err != nil {
			t.Fatal(err)
		}
		c.halt(0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := firstWrite(ctx, c, []byte("x"), 1, 2); !errors.Is(err, errFakeFollower) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("firstWrite: %v", err)
		}
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestTrialFlags(t *testing.T) {
	for name, bad := range map[string][][]string{
		"failover": {{"-rounds", "0"}, {"-election", "1ms"}, {"-peers", "nobody"}, {"more"}, {"-none"}},
		"restart":  {{"-entries", "0"}, {"-size", "0"}, {"-clients", "99999999"}, {"more"}},
		"snapshot": {{"-mb", "0"}, {"-mb", "100000"}, {"more"}},
	} {
		for _, args := range bad {
			var stdout, stderr bytes.Buffer
			if code := run(append([]string{name}, args...), registry(), &stdout, &stderr); code != exitUsage || stdout.Len() > 0 {
				t.Errorf("%s %v: exit %d: %s", name, args, code, stdout.String())
			}
		}
	}
}
