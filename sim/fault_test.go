package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// TestDisturbancesAddUp: each lasts as long as it was drawn, whatever begins and ends meanwhile, and a link has the weather of all of them.
func TestDisturbancesAddUp(t *testing.T) {
	s := New(Config{Seed: 1, Nodes: 3, Spares: -1, Clients: -1, Quiet: true, Length: time.Minute})
	at := func(d time.Duration, what string, want bool, got func(Weather) bool) {
		t.Helper()
		s.until(func() bool { return s.clock.Now() >= d })
		if got(s.net.weather(Link{1, 2}, nil)) != want {
			t.Errorf("after %v: %s is %v", d, what, !want)
		}
	}
	cut := func(w Weather) bool { return w.Cut }
	drops := func(w Weather) bool { return w.Drop > 0.35 }
	s.strike(0, Fault{Kind: Isolate, A: 1, For: 4 * time.Second})
	s.strike(1, Fault{Kind: OneWay, A: 1, B: 2, For: 2 * time.Second})
	s.strike(2, Fault{Kind: Partition, Set: []raft.NodeID{2}, For: time.Second})
	s.strike(3, Fault{Kind: Storm, Rate: 0.2, For: 6 * time.Second})
	s.strike(4, Fault{Kind: Storm, Rate: 0.2, For: 5 * time.Second})
	for d := time.Duration(0); d < 4*time.Second; d += time.Second {
		at(d, "the cut", true, cut)
	}
	at(3*time.Second, "twice the storm", true, drops)
	at(4500*time.Millisecond, "the cut", false, cut)
	at(4500*time.Millisecond, "twice the storm", true, drops)
	at(5500*time.Millisecond, "twice the storm", false, drops)
	at(5500*time.Millisecond, "the storm", true, func(w Weather) bool { return w.Drop > 0 })
	at(6500*time.Millisecond, "fair weather", true, func(w Weather) bool { return w == fair })
	s.strike(5, Fault{Kind: Isolate, A: 1, For: time.Second})
	s.net.clear()
	at(6500*time.Millisecond, "the cut", false, cut)
}

// TestPausedLeader: nobody hears of a leader that is suspended, so there is soon another; it goes on as if nothing had happened, and learns.
func TestPausedLeader(t *testing.T) {
	s := New(Config{Seed: 1, Nodes: 3, Spares: -1, Quiet: true, Length: time.Minute})
	s.until(func() bool { return s.leader() != nil })
	old := s.leader()
	view := &old.life.view
	s.strike(0, Fault{Kind: Pause, A: old.id, For: 3 * time.Second})
	s.strike(1, Fault{Kind: Pause, A: old.id, For: time.Second})
	term, sent := view.term, s.clock.Now()
	s.until(func() bool { return s.clock.Now() > sent+2900*time.Millisecond })
	if view.role != raft.Leader || view.term != term || s.leader() == old {
		t.Errorf("the suspended leader is a %v of term %d; %s", view.role, view.term, s.roles())
	}
	s.until(func() bool { return s.clock.Now() > sent+4*time.Second })
	if view.role == raft.Leader || view.term == term || s.check.first != nil {
		t.Errorf("it did not wake up: %s; %v", s.roles(), s.check.first)
	}
}

// TestCrashWithin: a node that crashes within a handler says nothing more, and lives again.
func TestCrashWithin(t *testing.T) {
	var faults []Fault
	for i := range 40 {
		faults = append(faults, Fault{At: time.Duration(i+1) * 100 * time.Millisecond, Kind: CrashIn, A: raft.NodeID(1 + i%3), N: 1 + i%12, For: 50 * time.Millisecond})
	}
	r := Run(Config{Seed: 2, Nodes: 3, Spares: -1, Quiet: true, Faults: faults, Length: 5 * time.Second, Liveness: true})
	complain(t, r)
	if n := r.Counts["fault crash-in"]; n < 20 {
		t.Errorf("%d crashes within handlers, of %d", n, len(faults))
	}
}

// TestNothingFailsInTheCalm: what was armed and has not struck never will, or a node could fail after it was seen to be well.
func TestNothingFailsInTheCalm(t *testing.T) {
	s := New(Config{Seed: 1, Nodes: 3, Spares: -1, Quiet: true, Think: time.Millisecond, Length: time.Minute})
	s.until(func() bool { return s.leader() != nil && len(s.check.log) > 10 })
	for _, id := range s.ids {
		n := s.nodes[id]
		n.disk.failSync, n.disk.crashIn, n.life.trap = 1, 1, "Apply"
	}
	syncs := s.leader().disk.syncs
	s.heal()
	if s.leader() == nil || s.leader().disk.syncs == syncs {
		t.Fatal("nothing was synced: the test shows nothing")
	}
	for what, n := range s.counts {
		if what != "client timeout" && what != "nodes left down" && !strings.HasPrefix(what, "refused") {
			t.Errorf("%s: %d times", what, n)
		}
	}
}
