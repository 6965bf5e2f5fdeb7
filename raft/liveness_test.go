package raft

import (
	"fmt"
	"testing"
	"time"
)

// busy runs w and fails when no entry is committed in the cluster for longer than gap.
func (w *world) busy(t *testing.T, d, gap time.Duration) {
	t.Helper()
	last, since := len(w.committed), w.now
	for end := w.now + d; w.now < end; {
		w.tick()
		if l := w.leader(); l != nil && w.now%(5*testTick) == 0 {
			_, _ = l.Propose([]byte("x")) // refused only by one that was deposed meanwhile
		}
		if len(w.committed) > last {
			last, since = len(w.committed), w.now
		} else if w.now-since > gap {
			w.fatalf("nothing committed since %v: %s", since, w.picture())
		}
	}
}

// With any one link of five servers down, in one direction or both, the cluster keeps a leader and makes progress
// (Cloudflare's outage of November 2020).
func TestOneLinkDown(t *testing.T) {
	for a := NodeID(1); a <= 5; a++ {
		for b := NodeID(1); b <= 5; b++ {
			if a == b {
				continue
			}
			for _, oneWay := range []bool{true, false} {
				t.Run(fmt.Sprintf("%d-%d one way %v", a, b, oneWay), func(t *testing.T) {
					w := newWorld(t, uint64(a)*10+uint64(b), 5, 0, faults{})
					w.run(5 * testElection)
					w.cut[[2]NodeID{a, b}] = true
					w.cut[[2]NodeID{b, a}] = !oneWay
					w.busy(t, 60*testElection, 10*testElection)
					before := w.terms()
					w.busy(t, 60*testElection, 2*testElection)
					if after := w.terms(); after > before {
						t.Errorf("the leader does not last: term went from %d to %d", before, after)
					}
				})
			}
		}
	}
}

func (w *world) terms() (newest Term) {
	for t := range w.leaders {
		newest = max(newest, t)
	}
	return newest
}

// Only one server sees everybody; nobody else has a quorum, so it must come to lead.
func TestOnlyTheCentreSeesAQuorum(t *testing.T) {
	for centre := NodeID(1); centre <= 5; centre++ {
		w := newWorld(t, uint64(centre), 5, 0, faults{})
		w.run(5 * testElection)
		for _, a := range w.ids {
			for _, b := range w.ids {
				if a != b && a != centre && b != centre {
					w.cut[[2]NodeID{a, b}] = true
				}
			}
		}
		w.busy(t, 60*testElection, 20*testElection)
		if l := w.leader(); l.id != centre {
			t.Errorf("centre %d: %d leads", centre, l.id)
		}
	}
}

// A leader that hears one server of four is replaced, though it can still send to all.
func TestLeaderThatCannotHear(t *testing.T) {
	w := newWorld(t, 1, 5, 0, faults{})
	w.run(5 * testElection)
	deaf := w.leader()
	hears := 0
	for _, id := range w.ids {
		if id != deaf.id {
			if hears++; hears > 1 {
				w.cut[[2]NodeID{id, deaf.id}] = true
			}
		}
	}
	w.run(15 * testElection)
	w.busy(t, 30*testElection, 10*testElection)
	if l := w.leader(); l.id == deaf.id {
		t.Error("still leads")
	}
}

// A server without a quorum does not raise terms, and does not depose anybody when it comes back.
func TestRejoinDisturbsNobody(t *testing.T) {
	w := newWorld(t, 4, 5, 0, faults{})
	w.run(5 * testElection)
	leader, term := w.leader(), w.terms()
	away := w.ids[0]
	if away == leader.id {
		away = w.ids[1]
	}
	for _, id := range w.ids {
		w.cut[[2]NodeID{id, away}], w.cut[[2]NodeID{away, id}] = true, true
	}
	w.busy(t, 50*testElection, 5*testElection)
	if got := w.servers[away].node.Term(); got != term {
		t.Errorf("term %d alone, was %d", got, term)
	}
	clear(w.cut)
	w.busy(t, 30*testElection, 5*testElection)
	if w.leader() != leader || w.terms() != term {
		t.Errorf("server %d leads term %d, was %d in %d", w.leader().id, w.terms(), leader.id, term)
	}
}

// Whatever terms and logs two servers of three have, with the third down, they elect one of them: neither the longer log nor
// the newer term can be refused for ever (etcd-io/raft issue 159, openraft issue 1796).
func TestPrevoteSkews(t *testing.T) {
	logs := [][]Term{{}, {1}, {1, 1, 1}, {1, 2}, {1, 1, 2, 2}, {1, 3}, {1, 1, 3}}
	for _, la := range logs {
		for _, lb := range logs {
			for ta := Term(3); ta <= 6; ta++ {
				for tb := Term(3); tb <= 6; tb++ {
					w := newWorld(t, uint64(ta*10+tb), 3, 0, faults{})
					w.crash(w.servers[3])
					w.skew(1, ta, la)
					w.skew(2, tb, lb)
					for end := w.now + 40*testElection; w.leader() == nil || len(w.committed) == 0; w.tick() {
						if w.now > end {
							w.fatalf("terms %d, %d; logs %v, %v: %s", ta, tb, la, lb, w.picture())
						}
					}
				}
			}
		}
	}
}

// skew restarts a server with this term and log.
func (w *world) skew(id NodeID, term Term, log []Term) {
	s := w.servers[id]
	w.crash(s)
	s.state.Hard = HardState{Term: term}
	for i, t := range log {
		s.state.Entries = append(s.state.Entries, CommittedEntry{Index: Index(i + 1), Term: t, Data: fmt.Appendf(nil, "%d of %d", i+1, t)})
	}
	w.start(s, Membership{})
}

// Two of three are alive and the leader gives up: the survivor that may lead does, soon (hashicorp/raft issues 606, 609).
func TestLeaderGivesUpWithTwoOfThree(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, seed, 3, 0, faults{})
		w.run(5 * testElection)
		leader := w.leader()
		for _, id := range w.ids {
			if id != leader.id {
				w.crash(w.servers[id])
				break
			}
		}
		_, _ = leader.Propose([]byte("only here"))
		leader.StepDown()
		w.busy(t, 30*testElection, 10*testElection)
	}
}

// The target of a transfer leads within one exchange of messages, prevote and contact with the old leader notwithstanding.
func TestTransferIsQuick(t *testing.T) {
	for seed := range uint64(10) {
		w := newWorld(t, seed, 5, 0, faults{})
		w.run(5 * testElection)
		old := w.leader()
		to := w.ids[0]
		if to == old.id {
			to = w.ids[1]
		}
		if err := old.Transfer(to); err != nil {
			t.Fatal(err)
		}
		w.run(testElection / 2)
		if l := w.leader(); l == nil || l.id != to || w.happened["transferred"] != 1 {
			t.Fatalf("seed %d: %s", seed, w.picture())
		}
	}
}
