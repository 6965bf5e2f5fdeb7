package heartbeat

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

func lead(g raft.GroupID, t raft.Term, peers ...raft.NodeID) *Lead {
	return &Lead{Group: g, Term: t, Peers: peers, Round: 3, Commit: raft.EntryID{Index: 10, Term: 2}}
}

func TestOnePulsePerPeerAndInterval(t *testing.T) {
	b := newBench(t, 2, 3, 4)
	for g := raft.GroupID(1); g <= 50; g++ {
		b.send(lead(g, 5, 1, 2, 3)) // names itself, which is nobody's peer
	}
	for _, n := range []raft.NodeID{2, 3} { // at once, in one message
		if got := b.beats(n); len(got) != 50 || got[7] != (raft.Heartbeat{
			Term: 5, Leader: 1, Round: 3, Commit: raft.EntryID{Index: 10, Term: 2},
		}) {
			t.Fatalf("node %d got %d beats, %+v", n, len(got), got[7])
		}
	}
	for i := 1; i <= 5; i++ {
		b.stage.advance(interval)
		for _, n := range []raft.NodeID{2, 3} {
			got := b.beats(n)
			if sent := got[50].Sent; len(got) != 50 || sent != time.Duration(i)*interval {
				t.Fatalf("node %d got %d beats, sent %v in interval %d", n, len(got), sent, i)
			}
		}
	}
	b.silence(4)
}

func TestLargePulsesAreSplit(t *testing.T) {
	b := newBench(t, 2)
	for g := raft.GroupID(1); g <= 250; g++ {
		b.send(lead(g, 5, 2))
	}
	for range 3 {
		got := b.heard(2)
		if len(got) != 3 || len(byGroup(t, got)) != 250 {
			t.Fatalf("%d pulses with %d groups, want 3 with 250", len(got), len(byGroup(t, got)))
		}
		for _, p := range got {
			if len(p.Beats) > 100 {
				t.Errorf("a pulse with %d beats", len(p.Beats))
			}
		}
		b.stage.advance(interval)
	}
}

func TestAdvanceIsCarriedByTheNextPulse(t *testing.T) {
	b := newBench(t, 2)
	b.send(lead(1, 5, 2))
	before := b.heard(2)
	b.send(&Advance{Group: 1, Term: 5, Commit: raft.EntryID{Index: 12, Term: 5}})
	b.send(&Advance{Group: 1, Term: 5, Commit: raft.EntryID{Index: 11, Term: 5}}) // never back
	b.send(&Advance{Group: 1, Term: 4, Commit: raft.EntryID{Index: 99, Term: 4}}) // stale
	b.send(&Advance{Group: 9, Term: 5, Commit: raft.EntryID{Index: 99, Term: 5}}) // unknown
	b.silence(2)
	b.stage.advance(interval)
	if got := b.beats(2)[1].Commit; got != (raft.EntryID{Index: 12, Term: 5}) {
		t.Errorf("carried %v", got)
	}
	if got := before[0].Beats[0].Commit.Index; got != 10 {
		t.Errorf("a pulse that was sent changed: commit %d", got)
	}
}

func TestBeatNowIsBatched(t *testing.T) {
	b := newBench(t, 2, 3, 4)
	b.send(lead(1, 5, 2, 3), lead(2, 6, 2), lead(3, 7, 4))
	b.stage.run()
	b.heard(2)
	b.heard(3)
	b.heard(4)
	b.stage.advance(20 * time.Millisecond)
	b.send(&BeatNow{Group: 1, Term: 5, Round: 8}, &BeatNow{Group: 2, Term: 6, Round: 4}, &BeatNow{Group: 1, Term: 5, Round: 9},
		&BeatNow{Group: 3, Term: 6, Round: 44}, &BeatNow{Group: 9, Term: 1, Round: 1})
	got := b.beats(2)
	if len(got) != 2 || got[1].Round != 9 || got[2].Round != 4 || got[1].Sent != 20*time.Millisecond {
		t.Errorf("node 2 got %+v", got)
	}
	if got := b.beats(3); len(got) != 1 || got[1].Round != 9 {
		t.Errorf("node 3 got %+v", got)
	}
	b.silence(4) // asked for in a stale term

	b.stage.advance(30 * time.Millisecond) // the interval does not move
	if got := b.beats(2); len(got) != 2 || got[1].Round != 9 || got[1].Sent != interval {
		t.Errorf("the next pulse is %+v", got)
	}
	if got := b.beats(4); got[3].Round != 3 {
		t.Errorf("stale round %d", got[3].Round)
	}
}

func TestStaleTermsAreIgnored(t *testing.T) {
	b := newBench(t, 2, 3)
	b.send(lead(1, 5, 2))
	b.heard(2)
	b.send(lead(1, 4, 3), &Rest{Group: 1, Term: 4})
	b.silence(2, 3)
	b.stage.advance(interval)
	if got := b.beats(2)[1].Term; got != 5 {
		t.Errorf("term %d, want 5", got)
	}
	b.silence(3)
	b.send(&Rest{Group: 1, Term: 6}) // of a term it never led here: surely over
	b.stage.advance(time.Second)
	b.silence(2, 3)
}

func TestTimerRunsOnlyWhileThereIsSomebody(t *testing.T) {
	b := newBench(t, 2)
	timers := func(want int) {
		t.Helper()
		b.stage.run()
		if got := len(b.stage.timers); got != want {
			t.Fatalf("%d timers run, want %d", got, want)
		}
	}
	timers(0)
	b.send(lead(1, 5)) // alone in its group
	timers(0)
	b.send(lead(1, 5, 2))
	timers(1)
	b.send(lead(2, 5, 2))
	timers(1)
	b.send(&Rest{Group: 1, Term: 5})
	timers(1)
	b.send(&Rest{Group: 2, Term: 5})
	timers(0)
}

func TestAPeerThatIsGoneCostsNothing(t *testing.T) {
	b := newBench(t, 2)
	b.send(lead(1, 5, 2, 3))
	b.beats(2)
	b.stage.advance(interval)
	b.beats(2)
	b.peers[2] = nil
	b.stage.advance(interval)
	b.silence(2)
}

func TestLeadReplacesPeersAndKeepsWhatIsNewer(t *testing.T) {
	b := newBench(t, 2, 3)
	b.send(lead(1, 5, 2), &BeatNow{Group: 1, Term: 5, Round: 9}, &Advance{Group: 1, Term: 5, Commit: raft.EntryID{Index: 20, Term: 5}})
	b.heard(2)
	b.send(lead(1, 5, 3)) // built before the round and the commit moved
	if got := b.beats(3)[1]; got.Round != 9 || got.Commit.Index != 20 {
		t.Errorf("went back: %+v", got)
	}
	b.send(lead(1, 6, 3)) // rounds begin anew with a term
	if got := b.beats(3)[1]; got.Round != 3 || got.Term != 6 {
		t.Errorf("not replaced: %+v", got)
	}
	b.stage.advance(interval)
	b.beats(3)
	b.silence(2)
}

func TestLatePulsesAreNotCaughtUp(t *testing.T) {
	b := newBench(t, 2)
	b.send(lead(1, 5, 2))
	b.heard(2)
	b.stage.now = 10*interval + 10*time.Millisecond // the machine slept
	b.stage.advance(0)
	b.beats(2)
	b.stage.advance(interval)
	b.beats(2)
}

func TestRestartForgetsEveryGroup(t *testing.T) {
	b := newBench(t, 2)
	b.send(lead(1, 5, 2))
	b.heard(2)
	stale := b.stage.timers[0].f
	b.system.Root.Send(b.parent, func(c actor.Context) { c.(actor.Supervisor).RestartChildren(b.beat) })
	b.stage.advance(time.Second)
	if b.duty != 2 {
		t.Fatalf("reported for duty %d times, want 2", b.duty)
	}
	b.silence(2)
	b.send(lead(1, 5, 2))
	b.beats(2)
	stale() // of the earlier incarnation
	b.silence(2)
	b.stage.advance(interval)
	b.beats(2)
}

func TestUnknownMessagesAreLogged(t *testing.T) {
	b := newBench(t)
	b.send("what")
	b.stage.run()
	if got := b.logged.String(); !strings.Contains(got, "unexpected message") {
		t.Fatalf("logged %q", got)
	}
}

func TestValidate(t *testing.T) {
	err := Config{Interval: -1, MaxBeats: -1}.Validate()
	for _, want := range []string{"Interval", "MaxBeats", "Sender", "Node"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// The register must hold exactly what a plain map of the same orders holds.
func TestRegisterAgainstAModel(t *testing.T) {
	r := register{node: 1, groups: map[raft.GroupID]*group{}}
	model := map[raft.GroupID]*Lead{}
	random := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		id := raft.GroupID(random.IntN(20))
		if random.IntN(3) == 0 {
			m := &Rest{Group: id, Term: raft.Term(random.IntN(6))}
			r.rest(m)
			if old := model[id]; old != nil && old.Term <= m.Term {
				delete(model, id)
			}
		} else {
			m := &Lead{Group: id, Term: raft.Term(random.IntN(6)), Round: 1}
			for n := raft.NodeID(2); n < 8; n++ {
				if random.IntN(2) == 0 {
					m.Peers = append(m.Peers, n, n)
				}
			}
			r.lead(m)
			if old := model[id]; old == nil || old.Term <= m.Term {
				model[id] = m
			}
		}
		compare(t, &r, model)
	}
}

func compare(t *testing.T, r *register, model map[raft.GroupID]*Lead) {
	t.Helper()
	want := map[raft.NodeID]int{}
	for _, m := range model {
		for _, n := range slices.Compact(slices.Clone(m.Peers)) {
			want[n]++
		}
	}
	for _, p := range r.peers {
		if len(p.beats) == 0 || len(p.beats) != want[p.node] || len(p.owners) != len(p.beats) {
			t.Fatalf("node %d has %d beats, want %d", p.node, len(p.beats), want[p.node])
		}
		delete(want, p.node)
		for at, b := range p.beats {
			o := p.owners[at]
			if m := model[b.Group]; m == nil || m.Term != b.Term || r.groups[b.Group] != o.group || o.group.seats[o.seat] != (seat{p, at}) {
				t.Fatalf("node %d: beat %d of group %d is out of place", p.node, at, b.Group)
			}
		}
	}
	if len(want) != 0 || len(r.groups) != len(model) {
		t.Fatalf("%d groups, want %d; peers missing: %v", len(r.groups), len(model), want)
	}
}

// One interval of 10,000 groups with two peers each.
func BenchmarkPulse10kGroups(b *testing.B) {
	r := register{node: 1, groups: map[raft.GroupID]*group{}}
	for g := raft.GroupID(0); g < 10_000; g++ {
		r.lead(lead(g, 5, 2, 3))
	}
	var sink *remote.Pulse
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range r.peers {
			for from := 0; from < len(p.beats); from += DefaultMaxBeats {
				sink = p.pulse(from, DefaultMaxBeats, 1)
			}
		}
	}
	_ = sink
}

func BenchmarkAdvance(b *testing.B) {
	r := register{node: 1, groups: map[raft.GroupID]*group{}}
	for g := raft.GroupID(0); g < 10_000; g++ {
		r.lead(lead(g, 5, 2, 3))
	}
	b.ReportAllocs()
	for i := raft.Index(0); b.Loop(); i++ {
		g := r.current(raft.GroupID(i%10_000), 5)
		g.commit = raft.EntryID{Index: i, Term: 5}
		g.write()
	}
}
