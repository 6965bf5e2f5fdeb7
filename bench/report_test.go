package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fakePeer is a cluster of three machines that share a lock.
type fakePeer struct {
	title   string
	err     error     // of every propose
	lose    bool      // acknowledge without applying
	starts  *[]string // who was started, in order
	stopErr error     //
	lacks   []work    //
	stale   bool      // reads see nothing
	leased  bool      // started for lease reads
	group   func() *fakeGroup
	started func()          // called by start
	mu      *sync.Mutex     //
	voters  [voters]machine // of the current cluster
}

func newFake(title string) *fakePeer { return &fakePeer{title: title, mu: &sync.Mutex{}} }

func (f *fakePeer) name() string       { return f.title }
func (f *fakePeer) offers(w work) bool { return !slices.Contains(f.lacks, w) }

func (f *fakePeer) start(dir string, s settings) (cluster, error) {
	if err := os.WriteFile(dir+"/data", nil, 0o600); err != nil {
		return nil, err
	}
	if f.starts != nil {
		*f.starts = append(*f.starts, f.title)
	}
	if f.started != nil {
		f.started()
	}
	f.voters, f.leased = [voters]machine{}, s.lease
	return f, nil
}

func (f *fakePeer) found(dir string, s settings) voterSet {
	g := f.group()
	g.settings = s
	return g.set(dir)
}

func (f *fakePeer) propose(data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || f.lose {
		return f.err
	}
	for i := range f.voters {
		f.voters[i].apply(data)
	}
	return nil
}

func (f *fakePeer) read(lease bool) (uint64, error) {
	if lease != f.leased {
		return 0, errNotOffered
	}
	if f.stale {
		return 0, nil
	}
	return f.voters[0].count.Load(), nil
}

func (f *fakePeer) machines() []*machine {
	return []*machine{&f.voters[0], &f.voters[1], &f.voters[2]}
}

func (f *fakePeer) stop() error { return f.stopErr }

func quick(t *testing.T, peers ...peer) options {
	return options{peers: peers, sizes: []int{8}, clients: []int{2}, seconds: 0.01, rounds: 1, dir: t.TempDir()}
}

func TestRoundsAreInterleaved(t *testing.T) {
	var starts []string
	a, b := newFake("a"), newFake("b")
	a.starts, b.starts = &starts, &starts
	o := quick(t, a, b)
	o.rounds, o.clients = 3, []int{1, 2}
	var stdout, stderr bytes.Buffer
	if err := benchmark(t.Context(), o, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(starts, ""), "abbaab"+"abbaab"; got != want {
		t.Errorf("started %s, want %s", got, want)
	}
	if n := strings.Count(stdout.String(), "\n"); n != 2+4 {
		t.Errorf("printed %d lines:\n%s", n, stdout.String())
	}
}

func TestFailedRoundsAreReported(t *testing.T) {
	refused, broken := errors.New("refused"), errors.New("port in use")
	refuses, loses, leaks, works := newFake("refuses"), newFake("loses"), newFake("leaks"), newFake("works")
	refuses.err, loses.lose, leaks.stopErr = refused, true, broken
	o := quick(t, refuses, loses, leaks, works)
	var stdout, stderr bytes.Buffer
	err := benchmark(t.Context(), o, &stdout, &stderr)
	if err == nil || !strings.Contains(err.Error(), "3 rounds failed") {
		t.Errorf("benchmark: %v", err)
	}
	for _, want := range []string{
		"bench: refuses size=8 clients=2 round=1: no operation completed",
		"bench: loses size=8 clients=2 round=1: leader applied 0 operations, but",
		"bench: leaks size=8 clients=2 round=1: port in use",
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("stderr lacks %q:\n%s", want, stderr.String())
		}
	}
	if n := strings.Count(stdout.String(), "| failed |"); n != 3 {
		t.Errorf("%d failed rows:\n%s", n, stdout.String())
	}
}

func TestInterruptStopsCleanly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := newFake("a")
	p.started = cancel
	o := quick(t, p)
	o.seconds = 3600
	var stdout, stderr bytes.Buffer
	if err := benchmark(ctx, o, &stdout, &stderr); !errors.Is(err, context.Canceled) {
		t.Errorf("benchmark: %v", err)
	}
	if left, err := os.ReadDir(o.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind %v, %v", left, err)
	}
	if stderr.Len() > 0 {
		t.Errorf("stderr: %s", stderr.String())
	}
}

func TestRows(t *testing.T) {
	round := func(ops float64) sample {
		return sample{
			ops: ops, p50: 1234 * time.Microsecond, p99: 20 * time.Millisecond, cpu: 1.5, allocs: 12.34,
			others: 0.25, written: 3.456, syncs: 0.0123, heap: 12e6, rss: 345e6,
		}
	}
	elsewhere := round(700) // on a system that tells less
	elsewhere.others, elsewhere.written, elsewhere.syncs, elsewhere.rss = unknown, unknown, unknown, unknown
	peers := []peer{newFake(reference), newFake("x"), newFake("y"), newFake("z")}
	got := rows(cell{size: 128, clients: 64}, peers, [][]sample{
		{round(900), round(3000), round(1500)},
		{round(1000)},
		{round(500), elsewhere},
		nil,
	})
	want := `| troupe | 128 | 64 | 1500 | 1.234ms | 20.000ms | 1.50 | 12.3 | 1.50 | write | 900–3000 | 0.25 | 3.46 | 0.012 | 12 | 345 |
| x | 128 | 64 | 1000 | 1.234ms | 20.000ms | 1.50 | 12.3 | 1.00 | write | 1000–1000 | 0.25 | 3.46 | 0.012 | 12 | 345 |
| y | 128 | 64 | 600 | 1.234ms | 20.000ms | 1.50 | 12.3 | 0.60 | write | 500–700 | - | - | - | 12 | - |
| z | 128 | 64 | failed | | | | | | write | | | | | | |
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	alone := rows(cell{}, peers[:1], [][]sample{{round(900)}})
	if !strings.Contains(alone, "| 12.3 | - | write |") {
		t.Errorf("a peer alone has a ratio: %s", alone)
	}
}

func TestLatencies(t *testing.T) {
	l := newLatencies()
	for i := range 100 {
		l.record(i, time.Duration(i+1)*time.Millisecond)
	}
	l.record(5, -time.Second)
	l.record(5, time.Hour)
	h := l.merged()
	if n := h.TotalCount(); n != 102 {
		t.Errorf("%d recorded, want 102", n)
	}
	if p50 := h.ValueAtQuantile(50); p50 < 49_900 || p50 > 51_100 {
		t.Errorf("p50 %dµs", p50)
	}
	if top := h.Max(); top < maxLatency.Microseconds() {
		t.Errorf("max %dµs", top)
	}
}
