package raft

import "testing"

// A new learner refuses what it is sent first, twice since the first refusal seemed lost, and gets a snapshot. The second refusal comes last:
// it was given before the snapshot and must not send the learner back for another (cockroach pull request 106793).
func TestLateRefusalAfterASnapshot(t *testing.T) {
	shape := Shape{Prev: EntryID{100, 4}, Runs: []Run{{101, 120, 4}}}
	refusal := &AppendEntriesReply{Term: 4, Prev: 110}     // its log is empty
	for name, since := range map[string]func(p *Progress){ // the snapshot's acknowledgement
		"at once":               func(*Progress) {},
		"while it is being fed": func(p *Progress) { p.Sent(33*ms, 105, 10) },
		"while it is fed more":  func(p *Progress) { p.Sent(33*ms, 120, 10) },
		"when it has caught up": func(p *Progress) { p.Sent(33*ms, 120, 10); p.Acked(34*ms, 120) },
	} {
		p := NewProgress(testPace, 110)
		p.Sent(0, 110, 0)
		if !p.Expire(30 * ms) {
			t.Fatalf("%s: the refusal did not seem lost", name)
		}
		p.Sent(30*ms, 110, 0)
		if !p.Refused(31*ms, refusal, shape) {
			t.Fatalf("%s: the refusal is ignored", name)
		}
		p.advises(t, SendSnapshot, 31*ms, 101, 120)
		p.SnapshotStarted(100)
		if !p.Acked(32*ms, 100) {
			t.Fatalf("%s: the snapshot's acknowledgement changes nothing", name)
		}
		since(p)
		match := p.Match()
		p.Refused(35*ms, refusal, shape)
		if p.Match() != match || p.Next() <= match {
			t.Errorf("%s: match %d, next %d after the refusal; matched %d", name, p.Match(), p.Next(), match)
		}
		if a := p.Advise(35*ms, 101, 120); a == SendSnapshot {
			t.Errorf("%s: another snapshot is sent", name)
		}
	}
}

// A refusal that was on its way while later messages were acknowledged says nothing of what the follower has: it has not lost its log (openraft
// issue 1501). What it is known to have stays, and it is fed on from there.
func TestLateRefusalIsNoLostLog(t *testing.T) {
	shape := Shape{Runs: []Run{{1, 20, 4}}}
	p := NewProgress(testPace, 10)
	p.Sent(0, 10, 0) // an empty probe, to which the follower lacks entry 10
	if !p.Refused(ms, &AppendEntriesReply{Term: 4, Prev: 10, Hint: EntryID{5, 4}}, shape) {
		t.Fatal("the refusal is ignored")
	}
	p.Sent(2*ms, 5, 0)
	p.Acked(3*ms, 5)
	p.Sent(4*ms, 15, 10)
	p.Acked(5*ms, 15)
	p.Sent(6*ms, 20, 10)
	for _, prev := range []Index{0, 5, 10, 15} { // the same one twice, and others as late
		if p.Refused(7*ms, &AppendEntriesReply{Term: 4, Prev: prev}, shape) {
			t.Errorf("a refusal of what follows %d is believed", prev)
		}
		if p.Match() != 15 || p.Next() != 21 || p.Mode() != Stream {
			t.Fatalf("after a late refusal of what follows %d: match %d, next %d, mode %v", prev, p.Match(), p.Next(), p.Mode())
		}
	}
}
