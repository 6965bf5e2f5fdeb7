package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// TestRuaftAgreement is ruaft's agreement suite. Indices count from the first command: a leader here begins its term with an
// entry of its own.
func TestRuaftAgreement(t *testing.T) {
	stories(t, "basic_agreement", 5, setting{Nodes: 5}, func(sc *scenario) {
		leader := sc.checkOneLeader()
		base := sc.life(leader).view.last.Index
		for i := raft.Index(1); i <= 3; i++ {
			if n := sc.committed(base + i); n != 0 {
				sc.fatalf("%d nodes applied command %d before it was proposed", n, i)
			}
			if got := sc.one(sc.command(), 5, false); got != base+i {
				sc.fatalf("command %d has index %d, expected %d", i, got, base+i)
			}
		}
	})
	stories(t, "fail_agree", 5, setting{Nodes: 3}, func(sc *scenario) {
		sc.one(sc.command(), 3, false)
		leader := sc.checkOneLeader()
		away := sc.other(leader, 1)
		sc.disconnect(away)
		sc.one(sc.command(), 2, false)
		sc.one(sc.command(), 2, false)
		sc.sleepElection()
		sc.one(sc.command(), 2, false)
		last := sc.one(sc.command(), 2, false)
		if n := sc.committed(last); n != 2 || sc.life(away).machine.index >= last {
			sc.fatalf("%d nodes applied what was agreed on without one", n)
		}
		sc.connect(away)
		sc.one(sc.command(), 3, true)
		sc.sleepElection()
		sc.one(sc.command(), 3, true)
	})
	stories(t, "fail_no_agree", 5, setting{Nodes: 5}, func(sc *scenario) {
		first := sc.one(sc.command(), 5, false)
		leader := sc.checkOneLeader()
		away := []raft.NodeID{sc.other(leader, 1), sc.other(leader, 2), sc.other(leader, 3)}
		sc.disconnect(away...)
		p := sc.start(leader, sc.command())
		if p == nil || p.index != first+1 {
			sc.fatalf("the leader put its second command at %+v, the first is at %d", p, first)
		}
		sc.sleepElection()
		sc.sleepElection()
		if n := sc.committed(p.index); n != 0 {
			sc.fatalf("%d nodes applied what no majority has", n)
		}
		sc.connect(away...)
		p = sc.start(sc.checkOneLeader(), sc.command())
		if p == nil || p.index < first+1 || p.index > first+3 {
			sc.fatalf("the next command is at %+v, the first is at %d", p, first)
		}
		sc.one(sc.command(), 5, true)
	})
	stories(t, "rejoin", 5, setting{Nodes: 3}, func(sc *scenario) {
		sc.one(sc.command(), 3, true)
		first := sc.checkOneLeader()
		sc.disconnect(first)
		var tail []*proposal
		for range 3 {
			p := sc.start(first, sc.command())
			if p == nil {
				sc.fatalf("a leader that was just cut off takes no command")
			}
			tail = append(tail, p)
		}
		sc.one(sc.command(), 2, true)
		second := sc.checkOneLeader()
		sc.disconnect(second)
		sc.connect(first)
		sc.one(sc.command(), 2, true)
		sc.connect(second)
		sc.one(sc.command(), 3, true)
		for _, p := range tail {
			if sc.holds(p.index, p.data) || !sc.unknown(p) {
				sc.fatalf("the cut off leader's %+v was to be dropped, with its outcome unknown", p)
			}
		}
	})
	stories(t, "backup", 3, setting{Nodes: 5}, backup)
}

// backup: leaders of two partitions in turn gather 50 entries each that never commit; followers are brought in line again quickly: with a
// refusal or two each, not one for each entry.
func backup(sc *scenario) {
	refusals := 0
	sc.intercept = func(_ Link, m any) fate {
		if r, ok := m.(*raft.AppendEntriesReply); ok && !r.Success {
			refusals++
		}
		return 0
	}
	sc.one(sc.command(), 5, true)
	first := sc.checkOneLeader()
	at := func(k int) raft.NodeID { return sc.other(first, k) }
	sc.disconnect(at(2), at(3), at(4))
	for range 50 {
		sc.propose(first, sc.command())
	}
	sc.sleep(500 * time.Millisecond)
	sc.disconnect(at(0), at(1))
	sc.connect(at(2), at(3), at(4))
	for range 50 {
		sc.one(sc.command(), 3, true)
	}
	second := sc.checkOneLeader()
	other := at(2)
	if second == other {
		other = sc.other(second, 1)
	}
	sc.disconnect(other)
	log := sc.life(second).view.last.Index
	for range 50 {
		sc.propose(second, sc.command())
	}
	sc.sleep(500 * time.Millisecond)
	if grown := sc.life(second).view.last.Index - log; grown < 50 {
		sc.fatalf("%d of 50 entries are in the second leader's log", grown)
	}
	sc.disconnect(sc.ids...)
	sc.connect(at(0), at(1), other)
	for range 50 {
		sc.one(sc.command(), 3, true)
	}
	sc.connect(sc.ids...)
	sc.one(sc.command(), 5, true)
	if refusals == 0 || refusals > 12 {
		sc.fatalf("%d refusals", refusals)
	}
}

// TestRuaftCount is count of the agreement suite, with ruaft's times: a heartbeat every 150ms and elections after 200ms to 400ms.
func TestRuaftCount(t *testing.T) {
	set := setting{Nodes: 3, Heartbeat: 150 * time.Millisecond, Election: election.Timeout{Min: 200 * time.Millisecond, Max: 400 * time.Millisecond}}
	stories(t, "count", 10, set, count)
}

// count: an election, ten entries and a second of idleness take few requests. The first second or so of a leader, which ruaft counts
// with the election, has a few heartbeats more than ruaft's, and the entry that begins a term.
func count(sc *scenario) {
	sc.await(2*time.Second, "the first leader's own entry is everywhere", func() bool {
		l := sc.leader()
		return l != nil && l.life.view.commit == 1 && !slices.ContainsFunc(sc.ids, func(id raft.NodeID) bool { return sc.life(id).view.last.Index != 1 })
	})
	candidates := max(1, sc.messages["raft.RequestVote"]/4) // two prevotes and two votes each
	if n := sc.requests; n < 1 || n > 10*candidates {
		sc.fatalf("%d requests for an election with %d candidates: %v", n, candidates, sc.messages)
	}
	leader := sc.checkOneLeader()
	before := sc.requests
	first := sc.start(leader, sc.command())
	var all []*proposal
	for range 10 {
		p := sc.start(leader, sc.command())
		if p == nil || p.term != first.term || p.index != first.index+raft.Index(len(all)+1) {
			sc.fatalf("command %d after %+v is at %+v", len(all)+1, first, p)
		}
		all = append(all, p)
	}
	for _, p := range all {
		if !sc.wait(p.index, 3, first.term) || !sc.holds(p.index, p.data) {
			sc.fatalf("entry %d is not what was proposed in term %d", p.index, p.term)
		}
	}
	if term := sc.checkTerms(); term != first.term {
		sc.fatalf("term %d became %d, though nothing failed", first.term, term)
	}
	if n := sc.requests - before; n < 2 || n > 28 {
		sc.fatalf("%d requests for ten entries: %v", n, sc.messages)
	}
	before = sc.requests
	sc.sleepElection()
	if n := sc.requests - before; n < 2 || n >= 20 {
		sc.fatalf("%d requests in an idle second: %v", n, sc.messages)
	}
}
