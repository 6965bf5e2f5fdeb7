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
	a.send(2, e)
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
		a.send(2, e)
		if q := a.Stats().Peers[2].Queued[Snapshots]; q > limit {
			t.Fatalf("%d bytes queued, the limit is %d", q, limit)
		}
	}
	begun := time.Now()
	a.stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Stop took %v", took)
	}
	if q := a.Stats().Peers[2].Queued[Snapshots]; q != 0 {
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

// What carries payload, and waits in queues, sockets or a receiver that is stuck, holds up nothing that is urgent, and neither
// holds up the other.
func TestNothingUrgentWaitsBehindPayload(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b)
	release := make(chan struct{})
	stuck := make(chan any, 100)
	b.TCP.deliver = func(from raft.NodeID, batch []Envelope) {
		switch m := batch[0].Message.(type) {
		case *SnapshotChunk, *AppendBlocks:
			stuck <- m
			<-release
		}
		b.deliver(from, batch)
	}
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	lane := map[bool]bool{}
	for range 32 {
		a.send(2, appendOf(1<<20), Envelope{1, &SnapshotChunk{Data: make([]byte, 1<<20)}})
	}
	for len(lane) < 2 {
		select {
		case m := <-stuck:
			_, log := m.(*AppendBlocks)
			lane[log] = true
		case <-time.After(patience):
			t.Fatalf("the lanes of payload hold up each other: %v", lane)
		}
	}
	for _, c := range golden {
		switch c.envelope.Message.(type) {
		case *SnapshotChunk, *AppendBlocks:
			continue
		}
		for range 10 {
			a.send(2, c.envelope)
			sameBatch(t, []Envelope{b.inbox.next(t, c.name, nil).Envelope}, []Envelope{c.envelope})
		}
	}
}

func TestStopIsIdempotentAndFreesThePort(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b)
	b.knows(a)
	a.send(2, vote(1))
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
	a.send(2, vote(1))
	b.inbox.next(t, "vote 1", isVote(1))
	a.send(2, vote(2))
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
	a.send(2, vote(1))
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
