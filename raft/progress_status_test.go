package raft

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever a syncer may tell a Progress, in whatever order, with answers that are lost, late, doubled or a liar's, its invariants hold after
// every call, and a follower that answers is fed to the end.
func TestProgressInvariants(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 5))
		pace := testPace
		if r.IntN(2) == 0 {
			pace.MinBytes, pace.MaxMessages = 1+r.IntN(60), 1+r.IntN(5)
		}
		now, first, last := time.Duration(0), Index(1), Index(r.IntN(20))
		p := NewProgress(pace, last)
		check := func(what string) {
			if err := p.Check(); err != nil {
				t.Fatalf("seed %d, after %s: %v; %v", seed, what, err, p)
			}
		}
		check("the start")
		answer := func(at Index) {
			switch r.IntN(6) {
			case 0:
				p.Refused(now, &AppendEntriesReply{Prev: at, Hint: EntryID{Index: Index(r.IntN(int(at) + 1)), Term: 1}, Doubt: uint64(r.IntN(8) / 7)}, Shape{Runs: []Run{{First: 1, Last: last, Term: 1}}})
				check("a refusal")
			case 1:
				p.Heard()
				check("a sign of life")
			default:
				p.Acked(now, min(at, last))
				check("an acknowledgement")
			}
		}
		for range 1500 {
			now += time.Duration(r.IntN(4)) * ms
			switch r.IntN(12) {
			case 0:
				last += Index(r.IntN(9))
			case 1:
				first = min(first+Index(r.IntN(6)), last+1)
			case 2, 3:
				p.Expire(now)
				check("an expiry")
			case 4:
				p.SnapshotDone(now, min(p.Match()+Index(r.IntN(10)), last))
				check("a snapshot")
			case 5:
				p.SnapshotFailed(now)
				check("a snapshot that failed")
			case 6, 7, 8:
				answer(Index(r.IntN(int(last) + 2)))
			default:
				switch p.Advise(now, first, last) {
				case SendEntries:
					p.Sent(now, min(last, p.Next()+Index(r.IntN(4))), r.IntN(60))
				case SendProbe:
					p.Sent(now, p.Next()-1, 0)
				case SendSnapshot:
					p.SnapshotStarted(max(first-1, p.Next()))
				}
				check("sending")
			}
		}
		for n := 0; p.Match() < last || p.Mode() != Stream; n++ {
			if n > 3000 {
				t.Fatalf("seed %d: not fed to %d: %v", seed, last, p)
			}
			now += 50 * ms
			p.Expire(now)
			switch p.SnapshotDone(now, last); p.Advise(now, first, last) {
			case SendEntries:
				p.Sent(now, p.Next(), 1)
			case SendProbe:
				p.Sent(now, p.Next()-1, 0)
			case SendSnapshot:
				p.SnapshotStarted(last)
			}
			p.Acked(now, p.Next()-1)
			check("the end")
		}
	}
}

// Each invariant is noticed when it does not hold.
func TestProgressCheckNotices(t *testing.T) {
	streaming := func() *Progress {
		p := NewProgress(testPace, 0)
		p.Sent(0, 1, 0)
		p.Acked(0, 1)
		p.Sent(0, 2, 10)
		p.Sent(0, 3, 10)
		return p
	}
	for name, spoil := range map[string]func(*Progress){
		"next behind match":   func(p *Progress) { p.forget(); p.match = p.next },
		"a gap in flight":     func(p *Progress) { p.flight[0].through--; p.flight[0].first-- },
		"a gap behind flight": func(p *Progress) { p.next++ },
		"bytes":               func(p *Progress) { p.bytes++ },
		"too many messages":   func(p *Progress) { p.pace.MaxMessages = 1 },
		"two probes":          func(p *Progress) { p.mode = Probe },
		"beside a snapshot":   func(p *Progress) { p.mode = Snapshot },
		"pause in a stream":   func(p *Progress) { p.paused = true },
		"retry too soon":      func(p *Progress) { p.retry = 0 },
		"retry too late":      func(p *Progress) { p.retry = time.Hour },
		"window":              func(p *Progress) { p.window.size = 1000 },
		"lost and sent again": func(p *Progress) { p.lost = append(p.lost, sending{first: 2, through: 2}) },
		"lost out of order":   func(p *Progress) { p.forget(); p.lost = []sending{{first: 2, through: 2}, {first: 4, through: 4}} },
	} {
		p := streaming()
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		if spoil(p); p.Check() == nil {
			t.Errorf("%s: nothing was noticed: %v", name, p)
		}
	}
}

func TestProgressInWords(t *testing.T) {
	p := NewProgress(testPace, 4)
	if got := p.String(); got != "probe: match 0, next 5, 0 messages with 0 of 100 bytes unanswered" {
		t.Error(got)
	}
	p.Sent(0, 4, 0)
	p.Acked(0, 4)
	p.Sent(0, 6, 30)
	if got := p.String(); got != "stream: match 4, next 7, 1 messages with 30 of 100 bytes unanswered" {
		t.Error(got)
	}
	if got := Snapshot.String() + " " + ProgressMode(9).String(); got != "snapshot unknown" {
		t.Error(got)
	}
}

// A leading Replica tells how it feeds the others, and its Check looks at that, too.
func TestReplicaTellsOfProgress(t *testing.T) {
	rs, deliver := trio(t, false)
	if _, err := rs[1].Propose([]byte("a")); err != nil {
		t.Fatal(err)
	}
	deliver()
	if p, ok := rs[1].Progress(2); !ok || p.Mode != Stream || p.Match != 2 || p.Next != 3 || p.Messages != 0 {
		t.Errorf("got %v %v", p, ok)
	}
	if p, ok := rs[3].Progress(1); ok {
		t.Errorf("one that does not lead feeds: %v", p)
	}
	if p, ok := rs[1].Progress(1); ok {
		t.Errorf("the leader feeds itself: %v", p)
	}
	rs[1].followers[0].progress.bytes++
	if err := rs[1].Check(); err == nil {
		t.Error("a broken progress is not noticed")
	}
}
