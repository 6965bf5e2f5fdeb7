package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/raft/v3"
)

// TestReadsSeeWrites: of every peer, whoever reads sees what anybody was told was written before. Followers do not answer.
func TestReadsSeeWrites(t *testing.T) {
	for _, p := range registry() {
		for _, w := range []work{read, lease} {
			t.Run(p.name()+"/"+w.String(), func(t *testing.T) {
				t.Parallel()
				c := p.found(t.TempDir(), settings{lease: w == lease, election: 500 * time.Millisecond})
				if _, err := launch(c); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := c.stop(); err != nil {
						t.Error(err)
					}
				}()
				if !p.offers(w) {
					if _, err := c.read(w == lease); !errors.Is(err, errNotOffered) {
						t.Errorf("read: %v", err)
					}
					return
				}
				seeWrites(t, c, w == lease)
				if w == read {
					if _, err := c.at((c.leads() + 1) % voters).read(false); err == nil {
						t.Error("a follower answered a read")
					}
				}
			})
		}
	}
}

func seeWrites(t *testing.T, c cluster, lease bool) {
	const clients, each = 8, 20
	var acked atomic.Uint64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				if err := c.propose([]byte("x")); err != nil {
					t.Error(err)
					return
				}
				acked.Add(1)
				known := acked.Load()
				if count, err := c.read(lease); err != nil || count < known {
					t.Errorf("read %d after %d were acknowledged: %v", count, known, err)
					return
				}
			}
		})
	}
	all.Wait()
	if count, err := c.read(lease); err != nil || count != clients*each {
		t.Errorf("read %d in the end, not %d: %v", count, clients*each, err)
	}
}

// TestWorks has every peer do each kind of work once. measure verifies what the reads saw.
func TestWorks(t *testing.T) {
	for _, p := range registry() {
		for _, w := range []work{read, lease, mixed} {
			t.Run(p.name()+"/"+w.String(), func(t *testing.T) {
				if !p.offers(w) {
					t.Skip("not offered")
				}
				t.Parallel()
				s, err := measure(t.Context(), p, cell{size: 16, clients: 16, work: w}, options{dir: t.TempDir(), seconds: 0.2, warmup: 50 * time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				if s.ops <= 0 || s.p50 <= 0 || s.cpu <= 0 || s.heap <= 0 {
					t.Errorf("implausible sample %+v", s)
				}
			})
		}
	}
}

func TestStaleReadsFailTheRound(t *testing.T) {
	f := newFake("a")
	f.stale = true
	o := quick(t, f)
	for _, w := range []work{read, lease, mixed} {
		o.works = []work{w}
		var stdout, stderr bytes.Buffer
		if err := benchmark(t.Context(), o, &stdout, &stderr); err == nil || !strings.Contains(stderr.String(), "a size=8 clients=2 work="+w.String()+" round=1: ") {
			t.Errorf("%v: %v: %s", w, err, stderr.String())
		}
	}
}

// TestWorkThatIsNotOffered has a row without figures and is no failure. Reads alone come once for all sizes.
func TestWorkThatIsNotOffered(t *testing.T) {
	a, b := newFake(reference), newFake("b")
	b.lacks = []work{lease}
	o := quick(t, a, b)
	o.works, o.sizes = []work{lease}, []int{8, 16}
	var stdout, stderr bytes.Buffer
	if err := benchmark(t.Context(), o, &stdout, &stderr); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if len(lines) != 4 || lines[3] != "| b | - | 2 | - | - | - | - | - | - | lease | - | - | - | - | - | - |" || !strings.HasPrefix(lines[2], "| troupe | - | 2 | ") {
		t.Errorf("printed\n%s", stdout.String())
	}
	for i, line := range lines {
		if n := strings.Count(line, "|"); n != strings.Count(lines[0], "|") {
			t.Errorf("line %d has %d bars: %s", i, n, line)
		}
	}
}

func TestMixedWritesOneInTen(t *testing.T) {
	for w, want := range map[work]int{write: 1000, read: 0, lease: 0, mixed: 100} {
		n := 0
		for i := range 1000 {
			if w.writes(i) {
				n++
			}
		}
		if n != want {
			t.Errorf("%v: %d writes of 1000", w, n)
		}
	}
}

func TestEtcdReadsWaitForTheirIndex(t *testing.T) {
	first, second := make(chan error, 1), make(chan error, 1)
	rounds := []etcdRound{{index: 3, reads: []chan error{first}}, {index: 5, reads: []chan error{second}}}
	if rounds = answerRounds(rounds, 2); len(first) != 0 || len(rounds) != 2 {
		t.Error("answered before its index")
	}
	if rounds = answerRounds(rounds, 4); len(first) != 1 || len(second) != 0 || len(rounds) != 1 {
		t.Error("not the first alone was answered")
	}
	refuseReads(nil, rounds)
	if err := <-second; !errors.Is(err, errEtcdStopped) {
		t.Errorf("refused with %v", err)
	}
}

// TestEtcdNextRoundBegins: reads that came during a round have the loop look at them when it ends. No read that comes later would.
func TestEtcdNextRoundBegins(t *testing.T) {
	for name, applied := range map[string]uint64{"applied": 5, "not applied": 4} {
		t.Run(name, func(t *testing.T) {
			n := &etcdNode{wake: make(chan struct{}, 1)}
			n.applied.Store(applied)
			n.reads.round, n.reads.number = []chan error{make(chan error, 1)}, 7
			n.confirm([]raft.ReadState{{Index: 5, RequestCtx: binary.LittleEndian.AppendUint64(nil, 6)}})
			if len(n.reads.round) != 1 {
				t.Error("another round's answer was taken")
			}
			n.confirm([]raft.ReadState{{Index: 5, RequestCtx: binary.LittleEndian.AppendUint64(nil, 7)}})
			if len(n.reads.round) != 0 || len(n.wake) != 1 {
				t.Errorf("%d reads in the round, %d tokens", len(n.reads.round), len(n.wake))
			}
		})
	}
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p progress
		if err := p.await(0, time.Minute); err != nil {
			t.Error(err)
		}
		go func() {
			time.Sleep(time.Second)
			p.advance(3)
			time.Sleep(time.Second)
			p.advance(2) // nothing
			p.advance(7)
		}()
		if err := p.await(5, time.Minute); err != nil {
			t.Error(err)
		}
		if err := p.await(8, time.Minute); err == nil {
			t.Error("came to where nothing was")
		}
	})
}
