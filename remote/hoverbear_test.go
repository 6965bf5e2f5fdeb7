package remote

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A wall is a listener that plays a peer by hand.
type wall struct {
	net.Listener
	t testing.TB
}

func newWall(t testing.TB) wall {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return wall{l, t}
}

// accept takes the next connection of node 1 to node 2 and greets it.
func (w wall) accept() net.Conn {
	w.t.Helper()
	_ = w.Listener.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	conn, err := w.Accept()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if h, _, err := readHello(conn, Speaks()); err != nil || h.from != 1 || h.to != 2 || h.cluster != "test" || h.lane != Control {
		w.t.Fatalf("hello %+v: %v", h, err)
	}
	if _, err := conn.Write(verdict{speaks: Speaks(), maxFrame: maxFrame}.append(nil)); err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// call connects to n as node 1, which listens at addr, and greets.
func call(t testing.TB, n *node, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(hello{speaks: Speaks(), cluster: "test", from: 1, to: 2, addr: addr}.append(nil)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readVerdict(conn, Speaks()); err != nil {
		t.Fatal(err)
	}
	return conn
}

// shutdown requires that the other side closes, or has closed, a connection.
func shutdown(t testing.TB, conn net.Conn) {
	t.Helper()
	if n, err := io.Copy(io.Discard, conn); isTimeout(err) {
		t.Fatalf("still open after %d bytes: %v", n, err)
	}
}

// eventually waits for what no message announces.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline, again := time.After(patience), time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("never %s", what)
		}
	}
}

// quick makes a node try again soon.
func quick(c *Config) { c.BackoffFirst, c.BackoffMax = time.Millisecond, 10*time.Millisecond }

// TestHoverbearServer is the test module of Hoverbear's src/server.rs, and backoff.rs as its connections use it. Its servers also have
// clients on the same port; here these are the demo's business, and what its client tests say of connections is tested with peers.
func TestHoverbearServer(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"test_illegal_peer_set": illegalPeerSet,
		"test_peer_connect":     peerConnect,
		"test_peer_accept": func(t *testing.T) {
			b := start(t, 2, nil)
			older := call(t, b, "127.0.0.1:11111")
			newer := call(t, b, "192.168.0.1:12345")
			shutdown(t, older)
			if addr := b.Stats().Peers[1].Addr; addr != "192.168.0.1:12345" {
				t.Errorf("node 1 is dialled at %s", addr)
			}
			if _, err := newer.Write(encode(t, vote(7))); err != nil {
				t.Fatal(err)
			}
			b.inbox.next(t, "vote 7", isVote(7))
		},
		"test_client_accept": func(t *testing.T) {
			b := start(t, 2, nil)
			conn := call(t, b, "")
			if n := b.Stats().Conns; n != 1 {
				t.Errorf("%d connections", n)
			}
			_ = conn.Close()
			eventually(t, "disposed of", func() bool { return b.Stats().Conns == 0 })
		},
		"test_invalid_accept": func(t *testing.T) {
			b := start(t, 2, nil)
			answer := talk(t, b, []byte("foo bar baz"))
			if _, _, err := readVerdict(bytes.NewReader(answer), Speaks()); err == nil {
				t.Error("accepted")
			}
			b.logged("WARN connection refused", "does not speak this protocol")
			eventually(t, "disposed of", func() bool { return b.Stats().Conns == 0 })
		},
		"test_invalid_peer_message":       invalidPeerMessage,
		"test_invalid_client_message":     invalidClientMessage,
		"test_unreachable_peer_reconnect": unreachablePeer,
		"test_connection_send": func(t *testing.T) {
			w := newWall(t)
			a := start(t, 1, nil)
			a.SetPeer(2, w.Addr().String())
			a.send(2, vote(42))
			d := deframer{heads: newHeads(kinds, newest), r: bufio.NewReader(w.accept()), limit: maxFrame, patience: func(int) {}}
			batch, _, err := d.next()
			if err != nil {
				t.Fatal(err)
			}
			sameBatch(t, batch, received([]Envelope{vote(42)}))
		},
		"test_exponential_backoff": pauses,
	} {
		t.Run(name, test)
	}
}

// reconnected posts until the node greets again and its message arrives.
func reconnected(t testing.TB, a *node, w wall) {
	t.Helper()
	before := a.Stats().Peers[2].Dials
	eventually(t, "dialled again", func() bool { a.send(2, vote(1)); return a.Stats().Peers[2].Dials > before })
	w.accept()
	eventually(t, "connected again", func() bool { return a.Stats().Peers[2].Connected[Control] })
}

// unbound is an address where nobody listens.
func unbound(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// illegalPeerSet: there an error, here ignored: one list of all nodes may serve every node.
func illegalPeerSet(t *testing.T) {
	a := start(t, 1, func(c *Config) { c.Peers = map[raft.NodeID]string{1: "127.0.0.1:1"} })
	if len(a.Stats().Peers) != 0 || a.Sender(1) != nil {
		t.Error("a node is its own peer")
	}
	cfg := Config{System: system, Stage: live, Node: 1, Listen: "127.0.0.1:0", Peers: map[raft.NodeID]string{0: "127.0.0.1:1"}}
	if _, err := NewTCP(cfg); err == nil || !strings.Contains(err.Error(), "node zero") {
		t.Errorf("node zero as a peer: %v", err)
	}
}

func peerConnect(t *testing.T) {
	w := newWall(t)
	a := start(t, 1, quick)
	a.SetPeer(2, w.Addr().String())
	a.send(2, vote(1))
	conn := w.accept()
	eventually(t, "connected", func() bool { return a.Stats().Peers[2].Connected[Control] })
	_ = conn.Close()
	a.logged("WARN no connection")
	eventually(t, "disconnected", func() bool { return !a.Stats().Peers[2].Connected[Control] })
	reconnected(t, a, w)
}

// invalidPeerMessage: on a connection that the node dialled, its peer has nothing to say.
func invalidPeerMessage(t *testing.T) {
	w := newWall(t)
	a := start(t, 1, quick)
	a.SetPeer(2, w.Addr().String())
	a.send(2, vote(1))
	conn := w.accept()
	if _, err := conn.Write([]byte("foo bar baz")); err != nil {
		t.Fatal(err)
	}
	shutdown(t, conn)
	a.logged("WARN no connection", "should only read")
	reconnected(t, a, w)
}

// invalidClientMessage: on a connection that the node accepted, what is no frame ends it.
func invalidClientMessage(t *testing.T) {
	b := start(t, 2, nil)
	conn := call(t, b, "")
	if _, err := conn.Write(bytes.Repeat([]byte("foo bar baz"), 10)); err != nil {
		t.Fatal(err)
	}
	shutdown(t, conn)
	eventually(t, "disposed of", func() bool { return b.Stats().Conns == 0 })
	if s := b.Stats().Peers[1]; s.LastError == "" || s.Received != 0 || b.inbox.count() != 0 {
		t.Errorf("stats %+v", s)
	}
	if _, err := call(t, b, "").Write(encode(t, vote(1))); err != nil { // the peer may come back
		t.Fatal(err)
	}
	b.inbox.next(t, "vote 1", isVote(1))
}

func unreachablePeer(t *testing.T) {
	a := start(t, 1, quick)
	a.SetPeer(2, unbound(t))
	again := func(dials uint64) {
		eventually(t, "dialled again", func() bool { a.send(2, vote(1)); return a.Stats().Peers[2].Dials >= dials })
	}
	again(1)
	a.logged("WARN no connection", "refused")
	again(4)
	if s := a.Stats().Peers[2]; s.Connected[Control] || s.Sent != 0 || !strings.Contains(s.LastError, "refused") {
		t.Errorf("stats %+v", s)
	}
}

// pauses: a pause doubles up to its limit, and half of it is drawn: there between once and twice, here between half and all of it.
func pauses(t *testing.T) {
	c := Config{BackoffFirst: 2 * time.Millisecond, BackoffMax: 36 * time.Millisecond}
	for failures, most := range []time.Duration{2, 4, 8, 16, 32, 36, 36} {
		most *= time.Millisecond
		for range 200 {
			if pause := c.backoff(failures); pause < most/2 || pause > most {
				t.Fatalf("after %d failures %v, want [%v, %v]", failures, pause, most/2, most)
			}
		}
	}
}
