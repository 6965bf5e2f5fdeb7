package remote

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A peer that does not read costs QueueBytes and what its socket takes, then drops, then is given up.
func TestBackpressureIsBounded(t *testing.T) {
	addr, greeted := deaf(t, 2)
	const limit = 2 << 20
	a := start(t, 1, func(c *Config) { c.QueueBytes, c.WriteTimeout = limit, time.Hour })
	a.SetPeer(2, addr)
	e := Envelope{1, &SnapshotChunk{Data: make([]byte, 100_000)}}
	a.send(2, Main, e)
	select {
	case <-greeted:
	case <-time.After(patience):
		t.Fatal("no connection")
	}
	deadline := time.Now().Add(patience)
	for a.Stats().Peers[2].Dropped < 100 {
		if time.Now().After(deadline) {
			t.Fatalf("nothing is dropped: %+v", a.Stats())
		}
		a.send(2, Main, e)
		if q := a.Stats().Peers[2].Queued[Main]; q > limit {
			t.Fatalf("%d bytes queued, the limit is %d", q, limit)
		}
	}
	begun := time.Now()
	a.stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Stop took %v", took)
	}
	if q := a.Stats().Peers[2].Queued[Main]; q != 0 {
		t.Errorf("%d bytes still queued after Stop", q)
	}
}

func TestPeerThatDoesNotReadIsGivenUp(t *testing.T) {
	addr, _ := deaf(t, 2)
	a := start(t, 1, func(c *Config) { c.WriteTimeout = 50 * time.Millisecond })
	a.SetPeer(2, addr)
	// Whichever comes first: the deadline of the write or the kernel's of the acknowledgement.
	timedOut := func(text string) bool {
		return strings.Contains(text, "i/o timeout") || strings.Contains(text, "timed out")
	}
	gone := a.log.found(timedOut)
	a.sendUntil(2, Envelope{1, &SnapshotChunk{Data: make([]byte, 8<<20)}}, gone)
	if s := a.Stats().Peers[2]; !timedOut(s.LastError) {
		t.Errorf("stats %+v", s)
	}
}

// A bulk lane whose receiver is stuck holds up nothing on the main lane.
func TestBulkDoesNotDelayMain(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	release := make(chan struct{})
	stuck := make(chan struct{})
	var once sync.Once
	b.TCP.deliver = func(from raft.NodeID, batch []Envelope) {
		if _, bulk := batch[0].Message.(*SnapshotChunk); bulk {
			once.Do(func() { close(stuck) })
			<-release
		}
		b.deliver(from, batch)
	}
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	a.knows(b)
	e := Envelope{1, &SnapshotChunk{Data: make([]byte, 1<<20)}}
	for range 32 {
		a.send(2, Bulk, e)
	}
	<-stuck
	for i := range raft.Term(100) {
		a.send(2, Main, vote(i))
		b.inbox.next(t, "a vote", isVote(i))
	}
	if b.inbox.count() != 0 {
		t.Error("bulk overtook its own lane")
	}
}

func TestStopIsIdempotentAndFreesThePort(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b)
	b.knows(a)
	a.send(2, Main, vote(1))
	b.inbox.next(t, "vote 1", isVote(1))
	var all sync.WaitGroup
	for range 3 {
		all.Go(a.stop)
	}
	all.Wait()
	a.stop()
	l, err := net.Listen("tcp", a.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := a.Start(a.deliver); err == nil {
		t.Error("Start after Stop")
	}
	unstarted, err := NewTCP(a.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := unstarted.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestStopSendsWhatWasPosted(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b)
	a.send(2, Main, vote(1))
	b.inbox.next(t, "vote 1", isVote(1))
	a.send(2, Main, vote(2))
	a.stop()
	b.inbox.next(t, "vote 2", isVote(2))
}

func TestStopReportsThatItRanOutOfTime(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	release, stuck := make(chan struct{}), make(chan struct{})
	b.TCP.deliver = func(raft.NodeID, []Envelope) {
		close(stuck)
		<-release
	}
	a.knows(b)
	a.send(2, Main, vote(1))
	<-stuck
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Stop(ctx); err == nil {
		t.Error("Stop says that all is done while Deliver runs")
	}
	close(release)
	b.stop()
}

func TestListenFailureIsReported(t *testing.T) {
	a := start(t, 1, nil)
	b, err := NewTCP(Config{System: system, Stage: live, Node: 2, Listen: a.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(a.deliver); err == nil {
		t.Error("two listen on one port")
	}
	if err := b.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
