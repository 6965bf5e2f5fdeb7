package remote

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// greet calls n as node 1, and returns the connection and the verdict.
func greet(t *testing.T, n *node) (net.Conn, error) {
	t.Helper()
	return greetAs(t, n, raft.Incarnation{})
}

// greetAs is greet by a certain start of node 1.
func greetAs(t *testing.T, n *node, i raft.Incarnation) (net.Conn, error) {
	t.Helper()
	conn, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(hello{speaks: Speaks(), cluster: "test", from: 1, to: 2, person: person{self: i}}.append(nil)); err != nil {
		t.Fatal(err)
	}
	_, _, err = readVerdict(conn, Speaks())
	return conn, err
}

// unhurried gives a connection that lives all the time that a busy machine may need to show it.
func unhurried(c *Config) { c.HandshakeTimeout, c.ProbeTimeout = 2*patience, patience }

// Whoever calls in the name of a node does not end its connection, which shows that it lives.
func TestGreetingDoesNotEndALiveConnection(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, unhurried)
	a.knows(b)
	a.send(2, vote(1))
	b.inbox.next(t, "vote 1", isVote(1))
	for range 3 {
		var refused *RefusedError
		if _, err := greet(t, b); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "node 1 is connected already") {
			t.Fatalf("greeted with %v", err)
		}
	}
	b.logged("WARN connection refused", "two nodes share an ID")
	a.send(2, vote(2))
	b.inbox.next(t, "vote 2", isVote(2))
	if s := a.Stats().Peers[2]; s.Dials != 1 || s.Dropped != 0 || s.LastError != "" {
		t.Errorf("the live connection suffered: %+v", s)
	}
	if s := b.Stats(); s.Peers[1].Received != 2 || s.Refused != 3 {
		t.Errorf("stats %+v", s)
	}
}

// A connection whose far end is gone without a word gives way.
func TestSilentConnectionIsReplaced(t *testing.T) {
	b := start(t, 2, func(c *Config) { c.ProbeTimeout = 20 * time.Millisecond })
	older, err := greet(t, b)
	if err != nil {
		t.Fatal(err)
	}
	newer, err := greet(t, b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newer.Write(encode(t, vote(1))); err != nil {
		t.Fatal(err)
	}
	b.inbox.next(t, "vote 1", isVote(1))
	got := make([]byte, 2)
	if n, err := older.Read(got); n != 1 || got[0] != probe || err != nil {
		t.Errorf("no probe: %q, %v", got[:n], err)
	}
	if n, err := older.Read(got); n != 0 || err == nil || isTimeout(err) {
		t.Errorf("the older connection still lives: %d bytes, %v", n, err)
	}
	if s := b.Stats(); s.Conns != 1 {
		t.Errorf("%d connections", s.Conns)
	}
}

// Anything that arrives shows that a connection lives: one that is busy need not answer at once.
func TestBusyConnectionLives(t *testing.T) {
	b := start(t, 2, unhurried)
	older, err := greet(t, b)
	if err != nil {
		t.Fatal(err)
	}
	verdict := make(chan error)
	go func() {
		_, err := greet(t, b)
		verdict <- err
	}()
	if n, err := older.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if _, err := older.Write(encode(t, vote(1))); err != nil {
		t.Fatal(err)
	}
	if err := <-verdict; err == nil || !strings.Contains(err.Error(), "connected already") {
		t.Errorf("greeted with %v", err)
	}
	b.inbox.next(t, "vote 1", isVote(1))
}

// A connection that its own side has given up does not stand in its successor's way.
func TestReleasedConnectionGivesWay(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, unhurried)
	a.knows(b)
	a.send(2, vote(1))
	b.inbox.next(t, "vote 1", isVote(1))
	system.Root.Send(a.Sender(2), &Post{Envelope{1, (*AppendBlocks)(nil)}}) // a panic: the sender starts afresh
	a.sendUntil(2, vote(2), b.inbox.found(isVote(2)))
}

// A peer that sent nonsense is hung up on, which is counted, and may call again.
func TestHangUp(t *testing.T) {
	a, b, c := start(t, 1, nil), start(t, 2, nil), start(t, 3, nil)
	a.knows(b)
	c.knows(b)
	for i, n := range []*node{a, c} {
		n.send(2, vote(raft.Term(i)))
		b.inbox.next(t, "a vote", isVote(raft.Term(i)))
	}
	reason := errors.New("term 2^60 is not possible")
	b.HangUp(1, reason)
	b.logged("WARN connection broken", "hung up on the peer", "not possible")
	a.logged("WARN no connection", "the peer closed the connection")
	if s := b.Stats().Peers[1]; s.HungUp != 1 || !strings.Contains(s.LastError, "not possible") {
		t.Errorf("stats %+v", s)
	}
	if err := error(&HungUpError{reason}); !errors.Is(err, reason) {
		t.Error(err)
	}
	a.sendUntil(2, vote(7), b.inbox.found(isVote(7)))
	c.send(2, vote(8))
	b.inbox.next(t, "vote 8", isVote(8))
	if s := c.Stats().Peers[2]; s.Dials != 1 {
		t.Errorf("another node's connection was ended: %+v", s)
	}
	b.HangUp(99, reason) // nobody
}

// A peer that goes away with something unread resets the connection. That is told as any other end.
func TestResetIsAnEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := peer.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = c.Read(make([]byte, 1))
	if told := broken(err); !errors.Is(err, syscall.ECONNRESET) || !errors.Is(told, errHungUp) || !errors.Is(told, err) {
		t.Errorf("%v is told as %v", err, told)
	}
	if told := broken(io.ErrUnexpectedEOF); errors.Is(told, errHungUp) {
		t.Error(told)
	}
}
