package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/sim/history"
)

// A generic is kvraft's test of all trades: three rounds of 5s in which clients work while the faults chosen happen.
type generic struct {
	clients    int
	unreliable bool // messages are lost and late, clients' too
	partition  bool // every 1.0s to 1.2s, after the first second
	crash      bool // all nodes at once, for a second
	snapshots  bool // the log is kept at about 1000 bytes
	atLeast    int  // operations of each client in a round, on average; 0: 10, negative: none
	linear     bool // clients share keys, and nodes are 7 instead of 5
}

// The limit of 1000 bytes, in entries: here it is their number that snapshots go by.
const (
	snapshotEvery   = 8
	trailingEntries = 1
	logLimit        = 2000 // bytes; as there, twice what should be
)

func (g generic) setting() setting {
	set := setting{Nodes: 5}
	if g.linear {
		set.Nodes = 7
	}
	if g.snapshots {
		set.SnapshotEvery, set.TrailingEntries = snapshotEvery, trailingEntries
	}
	return set
}

// story runs it with some seeds.
func (g generic) story(t *testing.T, name string, seeds uint64) {
	t.Helper()
	stories(t, name, seeds, g.setting(), g.play)
}

func (g generic) play(sc *scenario) {
	sc.setUnreliable(g.unreliable)
	checker := sc.clerk()
	installed := sc.check.restores
	did := make([]int, g.clients)
	for range 3 {
		g.round(sc, checker, did)
	}
	for i, n := range did {
		if least := 3 * g.least(); n < least {
			sc.fatalf("client %d did %d operations in three rounds, fewer than %d", i, n, least)
		}
	}
	sc.setUnreliable(false)
	sc.one(sc.command(), len(sc.ids), true)
	sc.await(10*time.Second, "all nodes are equal", sc.equal)
	if g.snapshots {
		sc.trimmed()
		if sc.check.restores == installed && (g.crash || g.partition) {
			sc.fatalf("nobody began from a snapshot")
		}
	}
	g.happened(sc)
	sc.end()
}

// round is one round, after which every client's key must hold just what the client appended.
func (g generic) round(sc *scenario, checker *clerk, did []int) {
	stop := false
	var clerks []*clerk
	var own []*string
	for i := range g.clients {
		k, last := sc.clerk(), new(string)
		if k.think = 10 * time.Millisecond; !g.unreliable { // the network sets the pace
			k.think *= time.Duration(max(2, g.clients))
		}
		clerks, own = append(clerks, k), append(own, last)
		next := appending(sc, k, i, last)
		if g.linear {
			next, k.whole = linear(k, g.clients), true
		}
		k.run(func() *history.Op {
			if stop {
				return nil
			}
			return next()
		})
	}
	parting := g.partition
	if parting {
		sc.sleep(time.Second)
		var part func()
		part = func() {
			if parting {
				sc.partition(sc.halves(false))
				sc.clock.AfterFunc(sc.between(1000*time.Millisecond, 1200*time.Millisecond), part)
			}
		}
		part()
	}
	if g.crash {
		sc.sleep(sc.between(0, 500*time.Millisecond)) // so that clients are at work
		for _, id := range sc.ids {
			sc.nodes[id].crash()
			sc.count("crash")
		}
		sc.sleepElection()
		for _, id := range sc.ids {
			sc.boot(id)
		}
	}
	sc.sleep(5 * time.Second)
	if parting = false; g.partition {
		sc.connectAll()
		sc.sleepElection()
	}
	stop = true
	sc.await(clerkLimit, "every client finishes", idle(clerks))
	for i, k := range clerks {
		did[i] += k.done
		if !g.linear {
			checker.expect(key(i), *own[i])
		}
		sc.counts["retries"] += k.retries
		sc.counts["repeats"] += k.repeats
		sc.counts["operations"] += k.done
	}
}

func (g generic) least() int {
	if g.atLeast == 0 {
		return 10
	}
	return max(g.atLeast, 0)
}

func key(i int) string { return fmt.Sprintf("%d", i) }

// appending is a client with a key of its own, to which it appends and which it reads, in turn as chance has it.
func appending(sc *scenario, k *clerk, i int, last *string) func() *history.Op {
	n, expected := -1, ""
	var asked *history.Op
	return func() *history.Op {
		if asked != nil && asked.Kind == history.Get && asked.Saw != history.Some(expected) {
			sc.check.fail("clients read what they wrote", "client %d: %v, expected %q", i, asked, expected)
		}
		asked = &history.Op{Kind: history.Get, Key: key(i)}
		switch n++; {
		case n == 0:
			asked.Kind = history.Put
		case k.rand.IntN(2) == 0:
			asked.Kind, asked.Arg = history.Append, fmt.Sprintf("(%d, %d), ", i, n)
			expected += asked.Arg
		}
		*last = expected
		return asked
	}
}

// linear is a client that half of the time appends to any key, and else mostly reads.
func linear(k *clerk, keys int) func() *history.Op {
	n := 0
	return func() *history.Op {
		n++
		op := &history.Op{Kind: history.Get, Key: key(k.rand.IntN(keys))}
		switch {
		case k.rand.IntN(2) == 0:
			op.Kind = history.Append
		case k.rand.IntN(10) == 0:
			op.Kind = history.Put
		}
		if op.Kind != history.Get {
			op.Arg = fmt.Sprintf("(%d, %d), ", k.id, n)
		}
		return op
	}
}

// trimmed demands that no log of these nodes is larger than it should be, all nodes if none are named.
func (sc *scenario) trimmed(ids ...raft.NodeID) {
	sc.t.Helper()
	if len(ids) == 0 {
		ids = sc.ids
	}
	for _, id := range ids {
		if n := sc.logBytes(id); n > logLimit {
			sc.fatalf("the log of node %d has %d bytes, more than %d", id, n, logLimit)
		}
		if sc.snapshotBytes(id) == 0 {
			sc.fatalf("node %d has no snapshot of %d entries", id, len(sc.check.log))
		}
	}
}

// happened demands that each fault did what it is for.
func (g generic) happened(sc *scenario) {
	sc.t.Helper()
	has := func(what string, n int, wanted bool) {
		if (n > 0) != wanted {
			sc.fatalf("%d %s", n, what)
		}
	}
	has("messages lost on links", sc.net.dropped, g.unreliable || g.partition)
	has("clerks' messages lost", sc.counts["clerk's message lost"], g.unreliable)
	has("partitions", sc.counts["partition"], g.partition)
	has("crashes", sc.counts["crash"], g.crash)
	if g.unreliable || g.crash || g.partition {
		has("attempts that failed", sc.counts["retries"], true)
	}
	if g.clients > 1 && (g.unreliable || g.crash) {
		has("writes sent again", sc.counts["repeats"], true)
	}
	if g.crash || g.partition && g.clients > 1 {
		has("further elections", sc.check.elections-1, true)
	}
	has("operations", sc.counts["operations"], true)
}
