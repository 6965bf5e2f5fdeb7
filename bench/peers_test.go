package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// TestPeers runs one short cell of every registered peer. measure itself verifies that what was acknowledged was
// applied, by all voters, in one order.
func TestPeers(t *testing.T) {
	for _, p := range registry() {
		for _, c := range []cell{{size: 16, clients: 1}, {size: 1024, clients: 64}} {
			t.Run(p.name(), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				s, err := measure(t.Context(), p, c, options{dir: dir, seconds: 0.2, warmup: 50 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				if s.ops <= 0 || s.p50 <= 0 || s.p99 < s.p50 || s.cpu <= 0 || s.allocs <= 0 {
					t.Errorf("implausible sample %+v", s)
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("left behind %v, %v", left, err)
				}
			})
		}
	}
}

// TestPeerKeepsData proves that operations reach the machines unchanged and in one order: with one client,
// the checksum is known.
func TestPeerKeepsData(t *testing.T) {
	for _, p := range registry() {
		t.Run(p.name(), func(t *testing.T) {
			t.Parallel()
			c, err := p.start(t.TempDir(), settings{})
			if err != nil {
				t.Fatal(err)
			}
			var want machine
			for i := range byte(50) {
				data := bytes.Repeat([]byte{i}, int(i)+1)
				if err := c.propose(data); err != nil {
					t.Fatal(err)
				}
				want.apply(data)
				if got := c.machines()[0]; got.count.Load() != want.count.Load() || got.sum.Load() != want.sum.Load() {
					t.Fatalf("after %d operations the leader has %d, %08x", i+1, got.count.Load(), got.sum.Load())
				}
			}
			if n := len(c.machines()); n != voters {
				t.Errorf("%d machines, want %d", n, voters)
			}
			if err := verify(t.Context(), c.machines(), 50, convergeTimeout); err != nil {
				t.Error(err)
			}
			if err := c.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRunPrintsRows drives the command as a user does.
func TestRunPrintsRows(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"-size", "16", "-clients", "4", "-seconds", "0.1", "-warmup", "10ms", "-rounds", "1", "-dir", t.TempDir()}
	if code := run(args, registry(), &stdout, &stderr); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	if len(lines) != 2+len(registry()) {
		t.Fatalf("printed\n%s", stdout.String())
	}
	for i, p := range registry() {
		if want := "| " + p.name() + " | 16 | 4 | "; !strings.HasPrefix(lines[2+i], want) {
			t.Errorf("row %q does not begin with %q", lines[2+i], want)
		}
	}
}
