package replication

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// leading starts term 3 with log (1: 1-5, 2: 6-10) and the no-op 11.
func (b *bench) leading(peers ...raft.NodeID) {
	b.reader.blocks = blocks(run(1, 1, 5), run(2, 6, 10))
	b.send(&Lead{Term: 3, Leader: 1, Shape: shape(run(1, 1, 5), run(2, 6, 10)), Peers: peers, Commit: 4})
	b.stage.run()
	b.extend(block(3, 11, 1, 0))
}

func (b *bench) extend(blocks ...*entry.Block) {
	b.reader.blocks = append(b.reader.blocks, blocks...)
	b.send(&Extend{Term: 3, Blocks: blocks})
	b.stage.run()
}

// caughtUp makes a node have all of leading's log and stream.
func (b *bench) caughtUp(nodes ...raft.NodeID) {
	b.t.Helper()
	for _, n := range nodes {
		f := b.followers[n]
		f.terms = []raft.Term{1, 1, 1, 1, 1, 2, 2, 2, 2, 2}
		for _, m := range f.take() {
			f.reply(m)
		}
		b.stage.run()
		if b.matched[n] != 11 {
			b.t.Fatalf("node %d matched %d, want 11", n, b.matched[n])
		}
	}
	b.take()
}

func TestNewLeaderProbesWithItsNoOp(t *testing.T) {
	b := newBench(t, Config{}, 2, 3)
	b.send(&Lead{Term: 3, Leader: 1, Shape: shape(run(1, 1, 5), run(2, 6, 10)), Peers: []raft.NodeID{1, 2, 3}, Commit: 4})
	b.stage.run()
	for n, f := range b.followers {
		if got := f.take(); len(got) != 0 {
			t.Fatalf("node %d got %+v before the no-op", n, got[0])
		}
	}
	b.extend(block(3, 11, 1, 0))
	for n, f := range b.followers {
		got := f.take()
		if len(got) != 1 || got[0].Prev != (raft.EntryID{Index: 10, Term: 2}) || len(got[0].Blocks) != 1 ||
			got[0].Term != 3 || got[0].Leader != 1 || got[0].Commit != 4 {
			t.Fatalf("node %d got %+v", n, got)
		}
		f.reply(got[0]) // refused: empty log
	}
	b.stage.run()
	for n, f := range b.followers {
		if got := f.take(); len(got) != 1 || len(got[0].Blocks) != 0 || got[0].Prev.Index != 0 {
			t.Fatalf("node %d: the answer to a refusal is %+v", n, got)
		}
	}
}

func TestAcknowledgementsAreReportedTogether(t *testing.T) {
	b := newBench(t, Config{}, 2, 3)
	b.leading(2, 3)
	ack := func(n raft.NodeID, i raft.Index) *Reply {
		return &Reply{From: n, Message: &raft.AppendEntriesReply{Term: 3, Success: true, Match: i}}
	}
	b.send(ack(2, 10), ack(3, 11), ack(2, 11), ack(2, 9), ack(7, 11))
	heard := b.take()
	if len(heard) != 1 || b.matched[2] != 11 || b.matched[3] != 11 {
		t.Fatalf("heard %+v, matched %v", heard, b.matched)
	}
	b.send(ack(2, 11), ack(3, 4))
	if heard := b.take(); len(heard) != 0 {
		t.Fatalf("repeated: %+v", heard)
	}
	b.send(ack(2, 400)) // more than the log has: the rules know whether the syncer's is short
	if heard := b.take(); len(heard) != 1 || heard[0].(*Refusal).From != 2 {
		t.Fatalf("believed: %+v", heard)
	}
	b.send(&Reply{From: 3, Message: &raft.AppendEntriesReply{Term: 3, Success: true, Match: 3, Prev: 4}}) // no correct follower says so
	if heard := b.take(); len(heard) != 1 || heard[0].(*Refusal).From != 3 {
		t.Fatalf("not passed on: %+v", heard)
	}
}

func TestCommitTravelsWithTheNextMessage(t *testing.T) {
	b := newBench(t, Config{}, 2)
	b.leading(2)
	b.caughtUp(2)
	b.send(&Advance{Term: 3, Commit: 11}, &Advance{Term: 2, Commit: 50}, &Advance{Term: 3, Commit: 6})
	if got := b.followers[2].take(); len(got) != 0 {
		t.Fatalf("sent for the sake of a commit: %+v", got)
	}
	b.extend(block(3, 12, 1, 1))
	if got := b.followers[2].take(); len(got) != 1 || got[0].Commit != 11 {
		t.Fatalf("got %+v", got)
	}
}

func TestWindowOfMessages(t *testing.T) {
	b := newBench(t, Config{Pace: raft.Pace{MaxMessages: 4}}, 2, 3)
	b.leading(2, 3)
	b.caughtUp(2, 3)
	for i := raft.Index(12); i < 32; i++ {
		b.extend(block(3, i, 1, 10))
	}
	got := b.followers[2].take()
	if len(got) != 4 {
		t.Fatalf("%d messages in flight, want 4", len(got))
	}
	// One answer makes room for one message, with all that waited.
	b.followers[2].reply(got[0])
	more := b.followers[2].take()
	if len(more) != 1 || len(more[0].Blocks) != 16 || more[0].Prev.Index != 15 {
		t.Fatalf("refilled with %d messages: %+v", len(more), more)
	}
	for _, m := range append(got[1:], more...) {
		b.followers[2].reply(m)
	}
	b.stage.run()
	if b.matched[2] != 31 || b.matched[3] != 11 {
		t.Fatalf("matched %v", b.matched)
	}
}

func TestWindowOfBytes(t *testing.T) {
	one := block(3, 12, 1, 1000).Size()
	b := newBench(t, Config{Pace: raft.Pace{MaxBytes: 4*one + one/2}, MaxMessageBytes: 3 * one}, 2)
	b.leading(2)
	b.caughtUp(2)
	f := b.followers[2]
	var many []*entry.Block
	for i := raft.Index(12); i < 32; i++ {
		many = append(many, block(3, i, 1, 1000))
	}
	b.extend(many...)
	for f.last() < 31 {
		got, bytes := f.take(), 0
		for _, m := range got {
			size := 0
			for _, x := range m.Blocks {
				size += x.Size()
			}
			if size > 3*one {
				t.Fatalf("%d bytes in a message, limit %d", size, 3*one)
			}
			bytes += size
		}
		if len(got) == 0 || bytes > 4*one+one/2 {
			t.Fatalf("%d messages, %d bytes in flight, limit %d", len(got), bytes, 4*one+one/2)
		}
		for _, m := range got {
			f.handle(m)
		}
		b.send(&Reply{From: 2, Message: &raft.AppendEntriesReply{Term: 3, Success: true, Match: f.last()}})
	}
	// A block above every limit goes, alone.
	b.stage.run()
	b.extend(block(3, 32, 1, 100_000))
	b.extend(block(3, 33, 1, 1))
	if got := f.take(); len(got) != 1 || len(got[0].Blocks) != 1 {
		t.Fatalf("the large block came in %d messages", len(got))
	}
}

func TestWhatWaitedTogetherGoesTogether(t *testing.T) {
	b := newBench(t, Config{}, 2)
	b.leading(2)
	b.caughtUp(2)
	for i := raft.Index(12); i < 22; i++ {
		b.send(&Extend{Term: 3, Blocks: []*entry.Block{block(3, i, 1, 10)}})
	}
	if got := b.followers[2].take(); len(got) != 1 || len(got[0].Blocks) != 10 {
		t.Fatalf("%d messages for 10 blocks that waited together", len(got))
	}
}

// A mailbox that never runs empty must not hold up what is to be sent.
func TestBusyMailboxStillSends(t *testing.T) {
	b := newBench(t, Config{}, 2)
	b.leading(2)
	b.caughtUp(2)
	for i := range raft.Index(10 * DefaultSettleAfter) {
		b.send(&Extend{Term: 3, Blocks: []*entry.Block{block(3, 12+i, 1, 1)}})
	}
	if got := b.followers[2].take(); len(got) != 10 {
		t.Fatalf("%d messages, want 10", len(got))
	}
}

func TestFollowerInsideABlockGetsTheRestOfIt(t *testing.T) {
	b := newBench(t, Config{}, 2)
	b.leading(2)
	f := b.followers[2]
	f.terms = []raft.Term{1, 1, 1, 1, 1, 2, 2} // 8 is in the middle of a block
	f.auto = true
	for _, m := range f.take() {
		f.reply(m)
	}
	b.stage.run()
	if f.last() != 11 || b.matched[2] != 11 {
		t.Fatalf("ends at %d, matched %d", f.last(), b.matched[2])
	}
	for _, m := range f.got {
		for _, x := range m.Blocks {
			if x.First() < 8 {
				t.Errorf("sent %v again", x)
			}
		}
	}
}

func TestRepliesOfOtherTerms(t *testing.T) {
	b := newBench(t, Config{}, 2)
	b.leading(2)
	reply := func(term raft.Term) *raft.AppendEntriesReply {
		return &raft.AppendEntriesReply{Term: term, Success: true, Match: 11}
	}
	b.send(&Reply{From: 2, Message: reply(2)})
	if heard := b.take(); len(heard) != 0 {
		t.Fatalf("an old reply counted: %+v", heard)
	}
	newer := reply(4)
	b.send(&Reply{From: 2, Message: newer})
	heard := b.take()
	if len(heard) != 1 || heard[0].(*Refusal).Message != raft.Message(newer) || heard[0].(*Refusal).From != 2 {
		t.Fatalf("heard %+v", heard)
	}
	b.send(&Rest{Term: 3}, &Reply{From: 2, Message: reply(3)}, &Reply{From: 2, Message: reply(9)}, &Extend{Term: 3, Blocks: blocks(run(3, 12, 12))})
	if heard := b.take(); len(heard) != 0 {
		t.Fatalf("heard %+v at rest", heard)
	}
	b.stage.Advance(time.Minute)
	if b.stage.timers != 0 {
		t.Fatal("a timer runs at rest")
	}
}

func TestPeersComeAndGo(t *testing.T) {
	b := newBench(t, Config{}, 2, 3, 4)
	b.leading(2, 3)
	b.caughtUp(2, 3)
	b.send(&Peers{Term: 3, Peers: []raft.NodeID{2, 4}}, &Peers{Term: 2, Peers: []raft.NodeID{9}})
	b.stage.run()
	got := b.followers[4].take()
	if len(got) != 1 || got[0].Prev.Index != 11 || len(got[0].Blocks) != 0 {
		t.Fatalf("a new peer got %+v", got)
	}
	b.followers[4].auto = true
	b.followers[4].reply(got[0])
	b.stage.run()
	b.extend(block(3, 12, 1, 1))
	if got := b.followers[3].take(); len(got) != 0 {
		t.Fatalf("a former peer got %+v", got)
	}
	if got := b.followers[2].take(); len(got) != 1 || len(got[0].Blocks) != 1 {
		t.Fatalf("a peer that stayed got %+v", got)
	}
	if b.matched[4] != 12 {
		t.Fatalf("the new peer matched %d", b.matched[4])
	}
}

func TestRestartProbesAgain(t *testing.T) {
	b := newBench(t, Config{}, 2, 3)
	b.leading(2, 3)
	b.caughtUp(2, 3)
	b.matched = map[raft.NodeID]raft.Index{} // told again
	b.answer = func(m any) bool {
		if _, ok := m.(*OnDuty); !ok {
			return false
		}
		// Entry 12 is not on disk yet and told as a block.
		b.send(&Lead{Term: 3, Leader: 1, Shape: shape(run(1, 1, 5), run(2, 6, 10), run(3, 11, 11)), Peers: []raft.NodeID{2, 3}})
		b.send(&Extend{Term: 3, Blocks: []*entry.Block{block(3, 12, 1, 1)}})
		return true
	}
	for _, f := range b.followers {
		f.auto = true
	}
	b.send(&Extend{Term: 3, Blocks: []*entry.Block{block(3, 14, 1, 1)}}) // 12 and 13 are missing: broken contract
	b.stage.Advance(time.Second)
	if !strings.Contains(b.logged.String(), "does not follow") {
		t.Fatal("the gap was not noticed")
	}
	if b.matched[2] != 12 || b.matched[3] != 12 {
		t.Fatalf("matched %v after the restart", b.matched)
	}
	if b.reader.reads != 0 {
		t.Error("read from disk what was told")
	}
}

func TestRepeatedBlocksAreNoNews(t *testing.T) {
	b := newBench(t, Config{}, 2)
	b.leading(2)
	b.caughtUp(2)
	b.send(&Extend{Term: 3, Blocks: []*entry.Block{block(3, 11, 1, 0), block(3, 12, 1, 0)}}, &Extend{Term: 3, Blocks: []*entry.Block{block(3, 12, 1, 0)}})
	if got := b.followers[2].take(); len(got) != 1 || len(got[0].Blocks) != 1 {
		t.Fatalf("got %+v", got)
	}
}

func TestNoSenderIsRetriedAtTheSamePace(t *testing.T) {
	b := newBench(t, Config{Pace: raft.Pace{RetryFirst: 100 * time.Millisecond, RetryMax: 400 * time.Millisecond}}, 2)
	b.leading(2, 3) // nobody knows where 3 is
	b.caughtUp(2)
	b.stage.Advance(10 * time.Second)
	f := b.follow(3)
	f.auto = true
	b.stage.Advance(400 * time.Millisecond)
	if f.total == 0 || b.matched[3] != 11 {
		t.Fatalf("%d messages, matched %d", f.total, b.matched[3])
	}
}

func TestUnknownMessagesAreLogged(t *testing.T) {
	b := newBench(t, Config{})
	b.send("what")
	b.stage.run()
	if got := b.logged.String(); !strings.Contains(got, "unexpected message") {
		t.Fatalf("logged %q", got)
	}
}

func TestValidate(t *testing.T) {
	err := Config{MaxMessageBytes: -1, CacheBytes: -1, Pace: raft.Pace{MaxBytes: -1, MaxMessages: -1, RetryMax: -1}}.Validate()
	for _, want := range []string{"Stage", "MaxMessageBytes", "CacheBytes", "MaxBytes", "MaxMessages", "retries"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// What a leader believes a follower to have is fed to nobody. A reply that confirms more than the leader's log holds is a lie, or early: it
// may be believed by the rules, which can tell, and must not let the syncer think that the follower has all there is.
func TestTooMuchConfirmedIsNotBelieved(t *testing.T) {
	b := newBench(t, Config{}, 2)
	b.leading(2)
	b.send(&Reply{From: 2, Message: &raft.AppendEntriesReply{Term: 3, Success: true, Match: 1_000_000}})
	f := b.followers[2]
	f.auto = true
	for _, m := range f.take() {
		f.reply(m)
	}
	b.stage.Advance(10 * time.Second)
	if b.matched[2] != b.inside.view.shape.Last() {
		t.Fatalf("the follower was not fed: matched %v of %d", b.matched, b.inside.view.shape.Last())
	}
}
