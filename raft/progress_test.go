package raft

import (
	"math/rand/v2"
	"testing"
	"time"
)

const ms = time.Millisecond

var testPace = Pace{MaxBytes: 100, MaxMessages: 3, RetryFirst: 10 * ms, RetryMax: 40 * ms}

func (p *Progress) expect(t testing.TB, mode ProgressMode, match, next Index, messages int) {
	t.Helper()
	if err := p.Check(); err != nil {
		t.Fatalf("%v; %v", err, p)
	}
	if n, _ := p.Inflight(); p.Mode() != mode || p.Match() != match || p.Next() != next || n != messages {
		t.Fatalf("mode %d, match %d, next %d, %d in flight; want %d, %d, %d, %d", p.Mode(), p.Match(), p.Next(), n, mode, match, next, messages)
	}
}

func (p *Progress) advises(t testing.TB, want Advice, now time.Duration, first, last Index) {
	t.Helper()
	if got := p.Advise(now, first, last); got != want {
		t.Fatalf("advice %d at %v for %d..%d, want %d; %v", got, now, first, last, want, p)
	}
}

func TestProgressProbesThenStreams(t *testing.T) {
	p := NewProgress(testPace, 10)
	p.expect(t, Probe, 0, 11, 0)
	p.advises(t, SendProbe, 0, 1, 10)
	p.advises(t, SendEntries, 0, 1, 12)
	p.Sent(0, 12, 5)
	p.expect(t, Probe, 0, 13, 1)
	p.advises(t, Wait, 0, 1, 20) // one message, then wait
	if !p.Acked(ms, 12) {
		t.Fatal("not moved")
	}
	p.expect(t, Stream, 12, 13, 0)
	for i := range Index(3) {
		p.advises(t, SendEntries, ms, 1, 20)
		p.Sent(ms, 13+i, 10)
	}
	p.expect(t, Stream, 12, 16, 3)
	p.advises(t, Wait, ms, 1, 20) // the window is full
	p.Acked(2*ms, 14)
	p.expect(t, Stream, 14, 16, 1)
	p.advises(t, SendEntries, 2*ms, 1, 20)
	p.advises(t, Wait, 2*ms, 1, 15)
	if p.Acked(2*ms, 13) {
		t.Fatal("an old acknowledgement moved something")
	}
	p.expect(t, Stream, 14, 16, 1)
}

func TestProgressBytes(t *testing.T) {
	p := NewProgress(testPace, 0)
	p.Sent(0, 1, 0)
	p.Acked(0, 1)
	p.advises(t, SendEntries, 0, 1, 9)
	p.Sent(0, 2, 5000) // one message may always go
	p.advises(t, Wait, 0, 1, 9)
	if n, bytes := p.Inflight(); n != 1 || bytes != 5000 {
		t.Fatal(n, bytes)
	}
	p.Acked(0, 2)
	p.Sent(0, 3, 99)
	p.advises(t, SendEntries, 0, 1, 9)
	p.Sent(0, 4, 1)
	p.advises(t, Wait, 0, 1, 9)
	p.Acked(0, 3)
	if n, bytes := p.Inflight(); n != 1 || bytes != 1 {
		t.Fatal(n, bytes)
	}
	one := NewProgress(Pace{}, 0) // nothing said: one message at a time, and a patience above zero
	one.Sent(0, 1, 1)
	one.Acked(0, 1)
	one.advises(t, SendEntries, 0, 1, 9)
	one.Sent(0, 2, 1)
	one.advises(t, Wait, 0, 1, 9)
	if at, ok := one.Deadline(); !ok || at <= 0 {
		t.Fatal(at, ok)
	}
}

func TestProgressExpires(t *testing.T) {
	p := NewProgress(testPace, 0)
	if _, ok := p.Deadline(); ok || p.Expire(time.Hour) {
		t.Fatal("nothing was sent")
	}
	p.Sent(0, 1, 0)
	p.Acked(5*ms, 1)
	p.Sent(5*ms, 2, 1)
	p.Sent(8*ms, 3, 1)
	p.Acked(9*ms, 2) // answers renew the patience
	if at, ok := p.Deadline(); !ok || at != 19*ms {
		t.Fatal(at, ok)
	}
	if p.Expire(19*ms - 1) {
		t.Fatal("early")
	}
	if !p.Expire(19 * ms) {
		t.Fatal("late")
	}
	p.expect(t, Probe, 2, 3, 0)
	if _, ok := p.Deadline(); ok {
		t.Fatal("nothing is in flight")
	}
	for _, patience := range []time.Duration{20 * ms, 40 * ms, 40 * ms} { // backs off up to RetryMax
		p.advises(t, SendProbe, 19*ms, 1, 9) // without entries: the follower may be gone
		p.Sent(100*ms, 2, 0)
		if at, _ := p.Deadline(); at != 100*ms+patience {
			t.Fatal(at, patience)
		}
		if !p.Expire(100*ms + patience) {
			t.Fatal("not expired")
		}
		p.expect(t, Probe, 2, 3, 0)
	}
	p.Acked(200*ms, 3) // a late answer to what was given up: answers take that long now
	p.expect(t, Stream, 3, 4, 0)
	p.Sent(200*ms, 4, 1)
	if at, _ := p.Deadline(); at != 360*ms {
		t.Fatal("waits until", at)
	}
	for i := range Index(40) { // until they come as soon as before
		p.Acked(200*ms, 4+i)
		p.Sent(200*ms, 5+i, 1)
	}
	if at, _ := p.Deadline(); at != 210*ms {
		t.Fatal("the back-off is not over", at)
	}
}

// A probe with entries that expires goes back to where it began.
// A follower that was silent for long is back: the patience that grew meanwhile, 40ms, is over after the first one, 10ms.
func TestProgressHeard(t *testing.T) {
	p := NewProgress(testPace, 5)
	p.Heard() // with nothing in flight there is nothing to hurry
	if at, ok := p.Deadline(); ok {
		t.Fatalf("patience until %v with nothing", at)
	}
	now := time.Duration(0)
	for range 4 { // 10, 20, 40, 40 ms
		p.Sent(now, 5, 0)
		now, _ = p.Deadline()
		p.Expire(now)
	}
	p.Sent(now, 5, 0)
	if at, _ := p.Deadline(); at != now+40*ms {
		t.Fatalf("patience for %v", at-now)
	}
	p.Heard()
	if at, _ := p.Deadline(); at != now+10*ms {
		t.Fatalf("patience for %v once it was heard", at-now)
	}
	now += 10 * ms
	if !p.Expire(now) {
		t.Fatal("nothing was lost")
	}
	p.Heard()
	p.Sent(now, 5, 0)
	if at, _ := p.Deadline(); at != now+10*ms {
		t.Fatalf("the next patience is %v", at-now)
	}
	// The pause after a failed snapshot is for its sender's sake, and stays.
	p.SnapshotStarted(3)
	p.SnapshotFailed(now)
	before, _ := p.Deadline()
	p.Heard()
	if at, _ := p.Deadline(); at != before {
		t.Fatalf("the pause of %v became %v", before-now, at-now)
	}
}

func TestProgressExpiredProbeWithEntries(t *testing.T) {
	p := NewProgress(testPace, 10)
	p.Sent(0, 15, 50)
	p.Expire(10 * ms)
	p.expect(t, Probe, 0, 11, 0)
	p.advises(t, SendProbe, 10*ms, 1, 15)
}

func TestProgressIgnoresStaleRefusals(t *testing.T) {
	shape := Shape{Runs: []Run{{1, 100, 1}}}
	refuse := func(prev, hint Index) *AppendEntriesReply {
		return &AppendEntriesReply{Term: 1, Prev: prev, Hint: EntryID{hint, 1}}
	}
	p := NewProgress(testPace, 50)
	if p.Refused(0, refuse(50, 10), shape) {
		t.Fatal("refused what was not sent")
	}
	p.Sent(0, 50, 0)
	for _, prev := range []Index{49, 51, 0} {
		if p.Refused(0, refuse(prev, 10), shape) {
			t.Fatalf("took the refusal of %d for that of 50", prev)
		}
	}
	if !p.Refused(0, refuse(50, 10), shape) {
		t.Fatal("ignored")
	}
	p.expect(t, Probe, 0, 11, 0)
	p.advises(t, SendProbe, 0, 1, 100)
	if p.Refused(0, refuse(50, 5), shape) {
		t.Fatal("a duplicate moved it")
	}
	p.Sent(0, 10, 0)
	p.Acked(0, 10)
	p.Sent(0, 20, 1)
	p.Sent(0, 30, 1)
	for _, prev := range []Index{10, 5} { // it has these on disk
		if p.Refused(0, refuse(prev, 3), shape) {
			t.Fatal("went behind what is acknowledged")
		}
	}
	if !p.Refused(0, refuse(20, 15), shape) { // the first of them was lost
		t.Fatal("ignored")
	}
	p.expect(t, Probe, 10, 16, 0)
	p.Sent(0, 20, 1)
	p.Acked(0, 20)
	p.Sent(0, 30, 1)
	if p.Refused(0, refuse(31, 15), shape) {
		t.Fatal("refused what was not sent yet")
	}
	p.Sent(0, 40, 1)
	if !p.Refused(0, refuse(30, 3), shape) { // a hint behind what is acknowledged
		t.Fatal("ignored")
	}
	p.expect(t, Probe, 20, 21, 0)
	p.SnapshotStarted(40)
	if p.Refused(0, refuse(20, 15), shape) {
		t.Fatal("a late refusal broke off a snapshot (cockroach issue 106793)")
	}
	p.expect(t, Snapshot, 20, 21, 0)
}

func TestProgressSnapshots(t *testing.T) {
	p := NewProgress(testPace, 50)
	p.Sent(0, 50, 0)
	p.Refused(0, &AppendEntriesReply{Prev: 50}, Shape{Prev: EntryID{20, 1}, Runs: []Run{{21, 60, 1}}})
	p.advises(t, SendSnapshot, 0, 21, 60)
	p.SnapshotStarted(40)
	p.advises(t, Wait, 0, 21, 60)
	if _, ok := p.Deadline(); ok || p.Expire(time.Hour) {
		t.Fatal("the stream has its own patience")
	}
	if p.Acked(0, 5); p.Mode() != Snapshot {
		t.Fatal("an older acknowledgement ended it")
	}
	p.SnapshotFailed(100 * ms)
	p.advises(t, Wait, 100*ms, 21, 60)
	at, ok := p.Deadline()
	if !ok || at != 110*ms {
		t.Fatal(at, ok)
	}
	p.advises(t, SendSnapshot, at, 21, 60)
	if p.Expire(at) {
		t.Fatal("nothing was lost")
	}
	if _, ok = p.Deadline(); ok {
		t.Fatal("expires again")
	}
	p.SnapshotStarted(40)
	p.SnapshotFailed(200 * ms)
	if at, _ = p.Deadline(); at != 220*ms {
		t.Fatal("does not back off", at)
	}
	p.SnapshotStarted(40)
	p.SnapshotDone(300*ms, 40)
	p.expect(t, Probe, 5, 41, 0)
	p.advises(t, SendEntries, 300*ms, 21, 60)
	p.SnapshotDone(300*ms, 60) // a duplicate
	p.SnapshotFailed(300 * ms)
	p.expect(t, Probe, 5, 41, 0)
	p.SnapshotStarted(40)
	if !p.Acked(400*ms, 40) { // the reply itself says more than that the stream ended
		t.Fatal("not moved")
	}
	p.expect(t, Stream, 40, 41, 0)
	// Every term that the leader's log still has is newer than the follower's: only a snapshot helps.
	old := NewProgress(testPace, 50)
	old.Sent(0, 50, 0)
	old.Refused(0, &AppendEntriesReply{Prev: 50, Hint: EntryID{40, 3}}, Shape{Prev: EntryID{20, 5}, Runs: []Run{{21, 60, 5}}})
	old.advises(t, SendSnapshot, 0, 21, 60)
	// The edge: the entry before the first is compacted, but its term is known.
	edge := NewProgress(testPace, 20)
	edge.advises(t, SendEntries, 0, 21, 60)
	edge.Sent(0, 20, 0)
	edge.Refused(0, &AppendEntriesReply{Prev: 20, Hint: EntryID{19, 1}}, Shape{Prev: EntryID{20, 1}, Runs: []Run{{21, 60, 1}}})
	edge.advises(t, SendSnapshot, 0, 21, 60)
}

// reconcile lets a leader's Progress and a follower's Node find out where their logs part, and counts round trips.
func reconcile(t testing.TB, leader, follower []Term) (trips int) {
	t.Helper()
	const term = 1000
	s := newSubject(t, disk(voters(1, 2, 3), term, follower...))
	shape := Shape{Runs: logOf(leader...)}
	p := NewProgress(testPace, shape.Last())
	for p.Match() < shape.Last() {
		if trips++; trips > len(leader)+len(follower)+3 {
			t.Fatalf("does not end: leader %v, follower %v, at %d", leader, follower, p.Next())
		}
		m := &AppendEntries{Term: term, Leader: 2}
		m.Prev.Index = p.Next() - 1
		m.Prev.Term, _ = shape.TermAt(m.Prev.Index)
		through := m.Prev.Index
		if p.Advise(0, 1, shape.Last()) == SendEntries {
			through = shape.Last()
			for i := m.Prev.Index + 1; i <= through; i++ {
				term, _ := shape.TermAt(i)
				m.Runs = append(m.Runs, Run{i, i, term})
			}
		}
		p.Sent(0, through, 0)
		r, _ := sent[*AppendEntriesReply](t, s.get(2, m), 2)
		if r.Success {
			p.Acked(0, r.Match)
		} else if !p.Refused(0, r, shape) {
			t.Fatalf("the refusal %+v of %+v is ignored", r, m)
		}
	}
	if got := terms(s.Shape()); len(got) < len(leader) {
		t.Fatalf("%v", got)
	}
	return trips
}

// However many entries differ, what counts is how many terms do (§5.3, end): a whole term of either log is skipped a round trip.
func TestBacktrackingCountsTermsNotEntries(t *testing.T) {
	fill := func(n int, t Term) (ts []Term) {
		for range n {
			ts = append(ts, t)
		}
		return ts
	}
	for _, c := range []struct {
		name             string
		leader, follower []Term
		most             int
	}{
		{"equal", fill(500, 1), fill(500, 1), 1},
		{"behind", fill(500, 1), fill(100, 1), 3},
		{"empty", fill(500, 1), nil, 3},
		{"one term of 500 uncommitted", append(fill(10, 1), fill(500, 3)...), append(fill(10, 1), fill(500, 2)...), 3},
		{"longer, of one older term", append(fill(10, 1), fill(5, 3)...), append(fill(10, 1), fill(500, 2)...), 3},
	} {
		if got := reconcile(t, c.leader, c.follower); got > c.most {
			t.Errorf("%s: %d round trips, want at most %d", c.name, got, c.most)
		}
	}
	r := rand.New(rand.NewPCG(8, 8))
	grow := func(prefix []Term, from Term, runs, each int) []Term {
		out := append([]Term(nil), prefix...)
		for range runs {
			from += Term(1 + r.IntN(3))
			out = append(out, fill(1+r.IntN(each), from)...)
		}
		return out
	}
	for range 2000 {
		common := grow(nil, 0, r.IntN(4), 20)
		base := Term(0)
		if len(common) > 0 {
			base = common[len(common)-1]
		}
		runs := 1 + r.IntN(8)
		leader, follower := grow(common, base, runs, 30), grow(common, base, runs, 30)
		// Log Matching holds between real logs: the same term at the same index means the same prefix.
		for i := len(common); i < min(len(leader), len(follower)); i++ {
			for j := len(common); j < len(follower); j++ {
				if follower[j] == leader[i] {
					follower = follower[:min(j, len(follower))]
				}
			}
		}
		if got := reconcile(t, leader, follower); got > runs+3 {
			t.Fatalf("%d round trips for %d differing terms: leader %v, follower %v", got, runs, leader, follower)
		}
	}
}
