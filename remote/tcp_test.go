package remote

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

func isVote(term raft.Term) func(delivery) bool {
	return func(d delivery) bool {
		m, ok := d.Message.(*raft.RequestVote)
		return ok && m.Term == term
	}
}

func TestTwoNodesExchangeEveryKind(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b)
	b.knows(a)
	for _, c := range golden {
		a.send(2, c.envelope)
		got := b.inbox.next(t, c.name, nil)
		if got.from != 1 {
			t.Errorf("%s comes from node %d", c.name, got.from)
		}
		sameBatch(t, []Envelope{got.Envelope}, received([]Envelope{c.envelope}))
		b.send(1, got.Envelope)
		back := a.inbox.next(t, c.name, nil)
		sameBatch(t, []Envelope{back.Envelope}, received([]Envelope{c.envelope}))
	}
	if s := a.Stats().Peers[2]; !s.Connected[Control] || !s.Connected[Log] || !s.Connected[Snapshots] {
		t.Errorf("stats %+v", s)
	}
	a.stop() // a message may arrive before its sender has counted it
	b.stop()
	s := a.Stats().Peers[2]
	if want := uint64(len(golden)); s.Sent != want || s.Received != want || s.Dropped != 0 || s.Dials != uint64(lanes) {
		t.Errorf("stats %+v, want %d sent and received in %d dials", s, want, lanes)
	}
	if s.Connected[Control] || s.Connected[Log] || s.Connected[Snapshots] || s.LastError != "" || s.Addr != b.Addr() {
		t.Errorf("stats %+v", s)
	}
	if from := b.Stats().Peers[1]; from.RecvBytes != s.SentBytes {
		t.Errorf("%d bytes received of %d", from.RecvBytes, s.SentBytes)
	}
}

// Order is kept within each lane.
func TestOrderIsKeptUnderLoad(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b)
	const count = 20_000
	data := make([]byte, 128)
	for i := range count {
		e := vote(raft.Term(i))
		if i%3 == 0 {
			e.Message = &AppendBlocks{AppendEntries: raft.AppendEntries{Term: raft.Term(i + 1)},
				Blocks: []*entry.Block{block(raft.Term(i+1), 1, 1, data)}}
		}
		a.send(2, e)
	}
	control, log := 0, 0
	for range count {
		switch m := b.inbox.next(t, "the next", nil).Message.(type) {
		case *raft.RequestVote:
			if control++; control%3 == 0 {
				control++
			}
			if m.Term != raft.Term(control) {
				t.Fatalf("vote %d came in place of %d", m.Term, control)
			}
		case *AppendBlocks:
			if m.Term != raft.Term(log+1) {
				t.Fatalf("append %d came in place of %d", m.Term, log+1)
			}
			log += 3
		}
	}
}

func TestSenderExistsOnlyForPeersWithAddress(t *testing.T) {
	a := start(t, 1, func(c *Config) { c.Peers = map[raft.NodeID]string{1: "127.0.0.1:1", 2: "127.0.0.1:1"} })
	if a.Sender(1) != nil {
		t.Error("a sender to itself")
	}
	if a.Sender(3) != nil {
		t.Error("a sender to a stranger")
	}
	pid := a.Sender(2)
	if pid == nil || a.Sender(2) != pid {
		t.Error("no sender, or not the same")
	}
	a.SetPeer(2, "")
	if a.Sender(2) != nil {
		t.Error("a sender to a forgotten node")
	}
	a.SetPeer(2, "127.0.0.1:1")
	if again := a.Sender(2); again == nil || again.Equal(pid) {
		t.Error("a node that is known again has no new sender")
	}
	a.stop()
	if a.Sender(2) != nil {
		t.Error("a sender after Stop")
	}
}

func TestReconnectsAfterThePeerRestarts(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b)
	a.send(2, vote(1))
	b.inbox.next(t, "vote 1", isVote(1))
	addr := b.Addr()
	b.stop()
	a.logged("WARN no connection", "closed the connection")
	refused := a.log.found(func(line string) bool { return strings.Contains(line, "refused") })
	a.sendUntil(2, vote(2), refused) // nobody listens
	b = start(t, 2, func(c *Config) { c.Listen = addr })
	a.sendUntil(2, vote(3), b.inbox.found(isVote(3)))
	if d := b.inbox.next(t, "a vote", nil); !isVote(3)(d) {
		t.Errorf("%+v, sent while the peer was away, came late", d.Message)
	}
	s := a.Stats().Peers[2]
	if s.Dropped == 0 || !strings.Contains(s.LastError, "refused") || s.ErrorAt.IsZero() {
		t.Errorf("stats %+v", s)
	}
}

// A peer that calls is worth calling back, whatever pause was planned.
func TestCallFromThePeerEndsThePause(t *testing.T) {
	a := start(t, 1, func(c *Config) { c.BackoffFirst, c.BackoffMax = time.Hour, time.Hour })
	spare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := spare.Addr().String()
	_ = spare.Close()
	a.SetPeer(2, addr)
	a.send(2, vote(1))
	a.logged("WARN no connection")
	a.send(2, vote(2)) // dropped: the pause is an hour
	b := start(t, 2, func(c *Config) { c.Listen = addr })
	b.knows(a).send(1, vote(3))
	a.inbox.next(t, "vote 3", isVote(3))
	a.sendUntil(2, vote(4), b.inbox.found(isVote(4)))
	if n := a.Stats().Peers[2].Dials; n != 2 {
		t.Errorf("%d dials, want 2", n)
	}
}

func TestPeerMoves(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b)
	a.send(2, vote(1))
	b.inbox.next(t, "vote 1", isVote(1))
	moved := start(t, 2, nil)
	a.send(2, vote(2)) // to the old address: posts before the move may still leave
	a.knows(moved)
	a.send(2, vote(3))
	moved.inbox.next(t, "vote 3", isVote(3))
	b.inbox.next(t, "vote 2", isVote(2))
	if moved.inbox.count() != 0 || b.inbox.count() != 0 {
		t.Error("something arrived twice")
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

func TestMalformedFrameClosesTheConnection(t *testing.T) {
	b := start(t, 2, nil)
	conn, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	bad := encode(t, vote(1))
	bad[len(bad)-1] ^= 1
	if _, err := conn.Write(append(hello{speaks: Speaks(), cluster: "test", from: 1, to: 2}.append(nil), bad...)); err != nil {
		t.Fatal(err)
	}
	b.logged("WARN connection broken", "checksum mismatch")
	if s := b.Stats().Peers[1]; !strings.Contains(s.LastError, "checksum mismatch") || s.Received != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A frame that stops in the middle does not hold its connection for ever; one that never starts may.
func TestStalledFrameIsGivenUp(t *testing.T) {
	b := start(t, 2, func(c *Config) { c.ReadTimeout = 20 * time.Millisecond })
	conn, err := net.Dial("tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	greeting := hello{speaks: Speaks(), cluster: "test", from: 1, to: 2}.append(nil)
	for _, part := range [][]byte{greeting, encode(t, vote(1)), encode(t, vote(2))} {
		if _, err := conn.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	b.inbox.next(t, "vote 2", isVote(2))
	if _, err := conn.Write(encode(t, vote(3))[:frameHeader+1]); err != nil {
		t.Fatal(err)
	}
	b.logged("WARN connection broken", "i/o timeout")
}

func TestMessageThatCannotBeEncodedCostsAConnection(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b).send(2, Envelope{1, (*raft.RequestVote)(nil)})
	a.logged("ERROR panic while sending")
	a.sendUntil(2, vote(1), b.inbox.found(isVote(1)))
}

func TestPanicInDeliverEndsOneConnection(t *testing.T) {
	a := start(t, 1, nil)
	b := start(t, 2, nil)
	var once sync.Once
	b.TCP.deliver = func(from raft.NodeID, batch []Envelope) {
		once.Do(func() { panic("broken") })
		b.deliver(from, batch)
	}
	a.knows(b)
	a.send(2, vote(1))
	b.logged("ERROR panic", "broken")
	a.sendUntil(2, vote(2), b.inbox.found(isVote(2)))
}

func TestTooLargeMessageIsDroppedAlone(t *testing.T) {
	small := func(c *Config) { c.MaxFrame = 8 << 10 }
	a, b := start(t, 1, nil), start(t, 2, small) // b's limit counts, a learns it in the handshake
	a.knows(b)
	a.send(2, vote(1), Envelope{1, &SnapshotChunk{Data: make([]byte, 9<<10)}}, vote(2))
	b.inbox.next(t, "vote 1", isVote(1))
	b.inbox.next(t, "vote 2", isVote(2))
	a.logged("WARN message does not travel", "exceeds the frame limit")
	if s := a.Stats().Peers[2]; s.Dropped != 1 || s.Dials != 2 {
		t.Errorf("stats %+v", s)
	}
}

func TestStrangePostIsDropped(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b)
	a.send(2, Envelope{1, "text"})
	a.logged("ERROR post does not travel", "string")
	system.Root.Send(a.Sender(2), "text")
	a.logged("WARN unexpected message", "string")
	if s := a.Stats().Peers[2]; s.Dropped != 1 || s.Dials != 0 {
		t.Errorf("stats %+v", s)
	}
}
