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
