package heartbeat

import (
	"reflect"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// A leader is a group's actor as the heartbeat sees it: it answers probes unless it is stuck.
type leader struct {
	pid    *actor.PID
	stuck  bool
	probes int
}

func (b *bench) leader(id raft.GroupID) *leader {
	l := &leader{}
	l.pid = b.system.Root.Spawn(stage.Props(b.stage, func() actor.Actor {
		return actor.ReceiveFunc(func(c actor.Context) {
			if m, ok := c.Message().(*Probe); ok {
				l.probes++
				if !l.stuck {
					c.Send(b.beat, &Alive{Group: id, Term: m.Term})
				}
			}
		})
	}))
	return l
}

// watched is lead for a group that is looked after.
func watched(l *leader, g raft.GroupID, t raft.Term, peers ...raft.NodeID) *Lead {
	m := lead(g, t, peers...)
	m.Actor = l.pid
	return m
}

// wantTold compares what the parent was told since last time.
func (b *bench) wantTold(want ...any) {
	b.t.Helper()
	b.stage.run()
	if !reflect.DeepEqual(b.told, want) {
		b.t.Fatalf("at %v the parent was told %+v, want %+v", b.stage.now, b.told, want)
	}
	b.told = nil
}

// A group that leads and does not answer loses its beats when the limit is over, it alone, and gets them again by its own word only.
func TestStuckGroupLosesItsBeats(t *testing.T) {
	b := newBench(t, 2, 3)
	stuck, well := b.leader(1), b.leader(2)
	b.send(watched(stuck, 1, 5, 2, 3), watched(well, 2, 6, 2))
	b.stage.run()
	stuck.stuck = true
	for b.stage.now < DefaultStall-interval {
		b.stage.advance(interval)
		b.wantTold()
	}
	if stuck.probes != 1 || well.probes == 0 {
		t.Errorf("asked %d and %d times", stuck.probes, well.probes)
	}
	b.heard(2)
	b.heard(3)
	b.stage.advance(interval)
	b.wantTold(Stalled{Group: 1, Term: 5})
	for range 30 {
		if got := b.beats(2); len(got) != 1 || got[2].Term != 6 {
			t.Fatalf("at %v node 2 got %+v", b.stage.now, got)
		}
		b.silence(3)
		b.stage.advance(interval)
	}
	b.heard(2)
	b.send(&Alive{Group: 1, Term: 4}, &Advance{Group: 1, Term: 4}) // of a term that it leads no more
	b.silence(2, 3)
	b.send(&Alive{Group: 1, Term: 5})
	if got := b.beats(3); len(got) != 1 || got[1].Term != 5 {
		t.Errorf("a group that is back beats %+v", got)
	}
	b.wantTold(Resumed{Group: 1, Term: 5})
	b.heard(2)
	b.stage.advance(interval)
	if got := b.beats(2); len(got) != 2 {
		t.Errorf("from then on node 2 gets %+v", got)
	}
	b.stage.advance(DefaultStall)
	b.wantTold(Stalled{Group: 1, Term: 5}) // it answers no more
}

// Whatever a group says in its term is a sign of life: one that works is never asked, and never taken for stuck.
func TestSignsOfLife(t *testing.T) {
	for name, sign := range map[string]func(i int, l *leader) any{
		"alive":   func(int, *leader) any { return &Alive{Group: 1, Term: 5} },
		"advance": func(int, *leader) any { return &Advance{Group: 1, Term: 5, Commit: raft.EntryID{Index: 11, Term: 5}} },
		"round":   func(i int, _ *leader) any { return &BeatNow{Group: 1, Term: 5, Round: uint64(i)} },
		"lead":    func(_ int, l *leader) any { return watched(l, 1, 5, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 2)
			l := b.leader(1)
			l.stuck = true
			b.send(watched(l, 1, 5, 2))
			for i := range 100 {
				b.stage.advance(DefaultStall/2 - interval)
				b.send(sign(i, l))
				b.stage.run()
			}
			b.wantTold()
			if l.probes != 0 {
				t.Errorf("asked %d times", l.probes)
			}
		})
	}
}

// Time counts only while ticks come in time: a process that was suspended, or gets no turns, takes no group for stuck.
func TestLateTicksDoNotCount(t *testing.T) {
	b := newBench(t, 2)
	l := b.leader(1)
	l.stuck = true
	b.send(watched(l, 1, 5, 2))
	b.stage.advance(DefaultStall - 2*interval)
	for range 100 {
		b.stage.run()
		b.stage.now += time.Minute // and then the timer fires
		b.stage.advance(0)
	}
	b.wantTold()
	for range 100 { // each a whole interval late
		b.stage.run()
		b.stage.now += 2 * interval
		b.stage.advance(0)
	}
	b.wantTold()
	b.stage.advance(2 * interval)
	b.wantTold(Stalled{Group: 1, Term: 5})
}

// What ends or renews a leadership ends the wait for the group as well.
func TestStalledGroupsEnd(t *testing.T) {
	stall := func(t *testing.T) (*bench, *leader) {
		b := newBench(t, 2)
		l := b.leader(1)
		l.stuck = true
		b.send(watched(l, 1, 5, 2))
		b.stage.advance(DefaultStall)
		b.wantTold(Stalled{Group: 1, Term: 5})
		b.heard(2)
		return b, l
	}
	t.Run("deposed", func(t *testing.T) {
		b, _ := stall(t)
		b.send(&Rest{Group: 1, Term: 5}, &Alive{Group: 1, Term: 5})
		b.stage.advance(3 * DefaultStall)
		b.silence(2)
		b.wantTold()
	})
	t.Run("leads again", func(t *testing.T) {
		b, l := stall(t)
		b.send(watched(l, 1, 7, 2))
		if got := b.beats(2); got[1].Term != 7 {
			t.Errorf("beats %+v", got)
		}
		b.wantTold() // its daemons have their orders
		b.stage.advance(DefaultStall)
		b.wantTold(Stalled{Group: 1, Term: 7})
	})
	t.Run("registers again", func(t *testing.T) {
		b, l := stall(t)
		b.send(watched(l, 1, 5, 2))
		if got := b.beats(2); got[1].Term != 5 {
			t.Errorf("beats %+v", got)
		}
		b.wantTold(Resumed{Group: 1, Term: 5})
	})
}

// A group without followers has nobody who could take over.
func TestGroupWithoutPeersIsNotWatched(t *testing.T) {
	b := newBench(t, 2)
	l, other := b.leader(1), b.leader(2)
	l.stuck = true
	b.send(watched(l, 1, 5), watched(other, 2, 5, 2)) // of which the second has the timer run
	b.stage.advance(3 * DefaultStall)
	b.wantTold()
	if l.probes != 0 {
		t.Errorf("asked %d times", l.probes)
	}
}

// The price of a sign of life, which each of many groups gives twice in the limit's half.
func BenchmarkSignOf10kGroups(b *testing.B) {
	r, w := register{node: 1, groups: map[raft.GroupID]*group{}}, newWatch(DefaultStall)
	pid := actor.NewPID("here", "group")
	for id := raft.GroupID(0); id < 10_000; id++ {
		m := lead(id, 5, 2, 3)
		m.Actor = pid
		w.signed(r.lead(m))
	}
	b.ReportAllocs()
	for i := raft.GroupID(0); b.Loop(); i++ {
		w.signed(r.current(i%10_000, 5))
	}
}
