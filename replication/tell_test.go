package replication

import (
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// takeTold returns what the parent was told of feeding since last time.
func (b *bench) takeTold() []*Feeding {
	b.stage.run()
	out := b.told
	b.told = nil
	return out
}

// The parent is told how followers are fed: at once of new ones, then at the pace of TellEvery while numbers move, at last of how they came to
// rest, and nothing after that.
func TestFeedingIsTold(t *testing.T) {
	const every = 50 * time.Millisecond
	b := newBench(t, Config{TellEvery: every}, 2)
	b.leading(2)
	if told := b.takeTold(); len(told) != 1 || len(told[0].Followers) != 1 || told[0].Term != 3 || told[0].Followers[0].Peer != 2 {
		t.Fatalf("of a new follower: %+v", told)
	}
	b.stage.Advance(every)
	b.takeTold()
	b.caughtUp(2)
	f := b.followers[2]
	f.auto = true
	for i := range raft.Index(100) {
		b.extend(block(3, 12+i, 1, 0))
		b.stage.Advance(time.Millisecond)
	}
	told := b.takeTold()
	if n := len(told); n < 1 || n > 3 {
		t.Errorf("told %d times within %v", n, 100*time.Millisecond)
	}
	b.stage.Advance(every)
	told = append(told, b.takeTold()...)
	last := told[len(told)-1].Followers[0]
	if last.Mode != raft.Stream || last.Match != 111 || last.Next != 112 || last.Messages != 0 || last.Bytes != 0 || last.Window <= 0 {
		t.Errorf("told last %v", last)
	}
	b.stage.Advance(time.Hour)
	if told := b.takeTold(); len(told) != 0 || b.stage.timers != 0 {
		t.Errorf("at rest: told %+v, %d timers run", told, b.stage.timers)
	}
	b.send(&Peers{Term: 3, Peers: nil})
	if told := b.takeTold(); len(told) != 1 || len(told[0].Followers) != 0 {
		t.Errorf("nobody is left: %+v", told)
	}
}

// That a follower needs a snapshot is told at once, and that it has it.
func TestSnapshotsAreToldAtOnce(t *testing.T) {
	b := newBench(t, Config{TellEvery: time.Hour}, 2)
	b.leading(2)
	b.takeTold()
	b.send(&Trim{Term: 3, First: 9, Prev: raft.EntryID{Index: 8, Term: 2}})
	for _, m := range b.followers[2].take() { // it has nothing
		b.followers[2].reply(m)
	}
	if told := b.takeTold(); len(told) != 1 || told[0].Followers[0].Mode != raft.Snapshot {
		t.Fatalf("it needs a snapshot: %+v", told)
	}
	b.send(&SnapshotDone{Peer: 2, Index: 9})
	if told := b.takeTold(); len(told) != 1 || told[0].Followers[0].Mode == raft.Snapshot || told[0].Followers[0].Next < 10 {
		t.Errorf("it has it: %+v", told)
	}
}
