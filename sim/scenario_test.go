package sim

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

var (
	storySeed  = flag.Uint64("story.seed", 1, "first seed of every scenario")
	storySeeds = flag.Uint64("story.seeds", 0, "seeds of every scenario; 0: a few, as each asks for")
)

// stories runs a scenario with some seeds. To repeat one: go test ./sim -run Name -story.seed N -story.seeds 1.
func stories(t *testing.T, name string, seeds uint64, set setting, story func(*scenario)) {
	t.Helper()
	if *storySeeds > 0 {
		seeds = *storySeeds
	}
	t.Run(name, func(t *testing.T) {
		for seed := *storySeed; seed < *storySeed+seeds; seed++ {
			set.Seed = seed
			sc := newScenario(t, set)
			story(sc)
			sc.healthy()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	})
}

// A fakeTester notes that a scenario failed.
type fakeTester struct{ said string }

func (f *fakeTester) Helper() {}
func (f *fakeTester) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	panic(f)
}

// complaint is what a scenario says when it fails, empty if it does not.
func complaint(sc *scenario, f func()) (said string) {
	fake, t := &fakeTester{}, sc.t
	sc.t = fake
	defer func() {
		sc.t = t
		if r := recover(); r != nil && r != any(fake) {
			panic(r)
		}
		said = fake.said
	}()
	f()
	return ""
}

// What the helpers demand, they also miss when it is not there.
func TestScenarioComplains(t *testing.T) {
	stories(t, "leaders", 1, setting{Nodes: 3}, func(sc *scenario) {
		leader := sc.checkOneLeader()
		if said := complaint(sc, sc.checkNoLeader); !strings.Contains(said, "expected no leader") || !strings.Contains(said, fmt.Sprint("seed ", sc.set.Seed)) {
			t.Errorf("with a leader: %q", said)
		}
		sc.disconnect(sc.ids...)
		sc.sleepElection()
		sc.checkNoLeader()
		if said := complaint(sc, func() { sc.checkOneLeader() }); !strings.Contains(said, "expected one leader") {
			t.Errorf("without a leader: %q", said)
		}
		if said := complaint(sc, func() { sc.one(sc.command(), 1, true) }); !strings.Contains(said, "no agreement") {
			t.Errorf("one without a leader: %q", said)
		}
		if sc.start(leader, sc.command()) != nil {
			t.Error("a node that leads no more took a command")
		}
	})
	stories(t, "agreement", 1, setting{Nodes: 3}, func(sc *scenario) {
		leader := sc.checkOneLeader()
		index := sc.one(sc.command(), 3, false)
		sc.disconnect(sc.other(leader, 1))
		if said := complaint(sc, func() { sc.one(sc.command(), 3, false) }); !strings.Contains(said, "no agreement of 3") {
			t.Errorf("agreement of 3 without the third: %q", said)
		}
		if said := complaint(sc, func() { sc.wait(index+1, 3, 0) }); !strings.Contains(said, "only 2") {
			t.Errorf("waiting for the third: %q", said)
		}
		sc.connect(sc.other(leader, 1))
		if !sc.wait(index+1, 3, sc.term(leader)) {
			t.Error("the term moved")
		}
		sc.check.fail("a property", "a detail")
		if said := complaint(sc, func() { sc.sleep(time.Millisecond) }); !strings.Contains(said, "a property: a detail") {
			t.Errorf("after a violation: %q", said)
		}
		sc.check.first = nil
	})
}

// Messages are counted, lost, delayed and held as a scenario asks for.
func TestScenarioFates(t *testing.T) {
	stories(t, "fates", 1, setting{Nodes: 3}, func(sc *scenario) {
		leader := sc.checkOneLeader()
		one := sc.one(sc.command(), 3, false)
		if sc.messages["raft.RequestVote"] == 0 || sc.messages["remote.Pulse"] == 0 || sc.requests == 0 || sc.requests >= sc.net.sent {
			t.Errorf("counted %v, %d requests of %d messages", sc.messages, sc.requests, sc.net.sent)
		}
		// Acknowledgements are held: the entry is on all disks and nobody knows.
		sc.intercept = func(l Link, m any) fate {
			if r, ok := m.(*raft.AppendEntriesReply); ok && r.Success {
				return hold
			}
			return 0
		}
		p := sc.start(leader, sc.command())
		sc.sleep(300 * time.Millisecond)
		if p == nil || p.answer != nil || sc.committed(p.index) != 0 || len(sc.held) == 0 {
			t.Fatalf("seed %d: %+v is answered or applied by %d; %d held", sc.set.Seed, p, sc.committed(one+1), len(sc.held))
		}
		sc.intercept = nil
		for len(sc.held) > 0 {
			sc.release(sc.held[0])
		}
		sc.await(100*time.Millisecond, "the commit", func() bool { return sc.committed(p.index) == 3 })
		// Late ones come late.
		sc.intercept = func(_ Link, m any) fate {
			if isReply(m) {
				return fate(100 * time.Millisecond)
			}
			return 0
		}
		before := sc.clock.Now()
		sc.one(sc.command(), 3, false)
		if took := sc.clock.Now() - before; took < 100*time.Millisecond || sc.delayed == 0 {
			t.Errorf("agreed after %v with replies 100ms late; %d delayed", took, sc.delayed)
		}
		// Lost ones never come: nobody hears of the leader any more.
		sc.intercept = func(Link, any) fate { return lose }
		sc.sleepElection()
		sc.checkNoLeader()
	})
}

// What a disk holds is told in bytes.
func TestScenarioSizes(t *testing.T) {
	stories(t, "sizes", 1, setting{Nodes: 3, SnapshotEvery: 10, TrailingEntries: 1}, func(sc *scenario) {
		sc.checkOneLeader()
		if n := sc.snapshotBytes(1); n != 0 {
			t.Errorf("%d bytes of snapshots before any", n)
		}
		before := sc.logBytes(1)
		sc.one(sc.command(), 3, false)
		sc.sleep(50 * time.Millisecond)
		grown := sc.logBytes(1) - before
		if grown < len(sc.command()) || grown > 200 {
			t.Errorf("one command of %d bytes takes %d in the log", len(sc.command()), grown)
		}
		for range 10 {
			sc.one(sc.command(), 3, false)
		}
		sc.sleep(50 * time.Millisecond)
		if n := sc.snapshotBytes(1); n == 0 {
			t.Error("no snapshot after 11 commands")
		}
		if n := sc.logBytes(1); n > 10*grown {
			t.Errorf("log of %d bytes after the snapshot", n)
		}
	})
}
