package remote

import (
	"runtime"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// linked returns two nodes with connections both ways, over which nothing is under way.
func linked(t *testing.T) (a, b *node) {
	t.Helper()
	a, b = start(t, 1, nil), start(t, 2, nil)
	a.knows(b).send(2, vote(1000))
	b.inbox.next(t, "the first", isVote(1000))
	b.knows(a).send(1, vote(1000))
	a.inbox.next(t, "the first", isVote(1000))
	return a, b
}

// A blocked node neither hears nor is heard, whichever side blocks. Others are not affected.
func TestChaosBlock(t *testing.T) {
	a, b := linked(t)
	c := start(t, 3, nil)
	a.knows(c)
	a.SetChaos(Chaos{Block: []raft.NodeID{2}})
	// One way after the other, so that each drop is known for what it is before the block ends.
	dropped := func(count uint64) {
		t.Helper()
		for deadline := time.Now().Add(patience); a.Stats().Peers[2].Dropped < count; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("not %d dropped: %+v", count, a.Stats())
			}
		}
	}
	a.send(2, vote(1))
	dropped(1)
	b.send(1, vote(2))
	dropped(2)
	a.send(3, vote(3))
	c.inbox.next(t, "vote 3", isVote(3))
	a.SetChaos(Chaos{})
	a.send(2, vote(4))
	if d := b.inbox.next(t, "a vote", nil); !isVote(4)(d) {
		t.Errorf("%+v came through the block", d.Message)
	}
	b.send(1, vote(5))
	a.inbox.next(t, "vote 5", isVote(5))
	if s := a.Stats().Peers[2]; s.Dials != 1 {
		t.Errorf("the block cost the connection: %+v", s)
	}
}

func TestChaosDropsAllOrSome(t *testing.T) {
	for _, side := range []string{"out", "in"} {
		t.Run(side, func(t *testing.T) {
			a, b := linked(t)
			disturbed := a
			if side == "in" {
				disturbed = b
			}
			disturbed.SetChaos(Chaos{Drop: 0.5})
			const count = 1000
			for i := range raft.Term(count) {
				a.send(2, vote(i))
			}
			// The last word gets through once the weather is fair, and tells that all before it is decided.
			for deadline := time.Now().Add(patience); ; {
				s := a.Stats().Peers[2].Dropped + a.Stats().Peers[2].Sent
				if side == "in" {
					s = b.Stats().Peers[1].Dropped + b.Stats().Peers[1].Received
				}
				if s >= count+1 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%+v %+v", a.Stats(), b.Stats())
				}
			}
			disturbed.SetChaos(Chaos{})
			a.send(2, vote(count))
			b.inbox.next(t, "the last", isVote(count))
			if n := b.inbox.count(); n < count/4 || n > count*3/4 {
				t.Errorf("%d of %d came through", n, count)
			}
		})
	}
}

// What is delayed keeps its order and comes late; it comes at once when the weather clears.
func TestChaosDelay(t *testing.T) {
	for _, side := range []string{"out", "in"} {
		t.Run(side, func(t *testing.T) {
			a, b := linked(t)
			disturbed := a
			if side == "in" {
				disturbed = b
			}
			const delay = 50 * time.Millisecond
			disturbed.SetChaos(Chaos{Delay: delay})
			begun := time.Now()
			for i := range raft.Term(10) {
				a.send(2, vote(i))
			}
			for i := range raft.Term(10) {
				if d := b.inbox.next(t, "the next", nil); !isVote(i)(d) {
					t.Fatalf("%+v in place of vote %d", d.Message, i)
				}
			}
			if took := time.Since(begun); took < delay {
				t.Errorf("took %v, less than the delay", took)
			}
			disturbed.SetChaos(Chaos{Delay: time.Hour})
			a.send(2, vote(11))
			for deadline := time.Now().Add(patience); side == "in" && b.Stats().Peers[1].RecvBytes < a.Stats().Peers[2].SentBytes; {
				if time.Now().After(deadline) {
					t.Fatal("the message does not reach the delay line")
				}
			}
			disturbed.SetChaos(Chaos{})
			a.send(2, vote(12))
			for _, i := range []raft.Term{11, 12} {
				if d := b.inbox.next(t, "the next", nil); !isVote(i)(d) {
					t.Fatalf("%+v in place of vote %d", d.Message, i)
				}
			}
		})
	}
}

// Stop does not wait for what is delayed.
func TestStopUnderDelay(t *testing.T) {
	a, b := linked(t)
	a.SetChaos(Chaos{Delay: time.Hour})
	a.send(2, vote(1))
	b.send(1, vote(2))
	begun := time.Now()
	a.stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Stop took %v", took)
	}
}
