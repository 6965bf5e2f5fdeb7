package remote

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// forward has whoever reaches l reach addr, until l is closed.
func forward(l net.Listener, addr string) {
	for {
		from, err := l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", addr)
		if err != nil {
			_ = from.Close()
			continue
		}
		pipe := func(a, b net.Conn) {
			_, _ = io.Copy(a, b)
			_ = a.Close()
		}
		go pipe(from, to)
		go pipe(to, from)
	}
}

// TestWhoIsWhereItIsSaidToBeHasNotMoved: a node that is reached by another address than it has itself, as behind a proxy, may be found at its own once, when it was
// not reached for a moment. It is not said to be there, where others may not reach it, and is called where it is said to be again.
func TestWhoIsWhereItIsSaidToBeHasNotMoved(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, guarded(p))
	a := start(t, 1, guarded(newPorter(incarnation(10, 6, 60))))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go forward(l, a.Addr())
	public := l.Addr().String()
	b.SetPeer(1, public)
	a.knows(b).sendUntil(2, vote(1), b.inbox.found(isVote(1)))
	b.sendUntil(1, vote(2), a.inbox.found(isVote(2)))
	at := func() string {
		if addr := b.known(1).at.Load(); addr != nil {
			return *addr
		}
		return ""
	}
	eventually(t, "it is called where it is said to be", func() bool { return at() == public })
	b.known(1).places.failed(public) // for a moment
	system.Root.Send(b.Sender(1), &moved{})
	b.known(1).at.Store(new(string))
	eventually(t, "it is called there again", func() bool {
		if addr := b.Located(1); addr == a.Addr() {
			t.Fatalf("it is located at %s", addr)
		}
		b.send(1, vote(3))
		return at() == public
	})
}

// A node calls before it is known by its folder: it is added later, or let back in. From then on it is looked for where it said then.
func TestWhoIsKnownLaterIsFoundWhereItSaid(t *testing.T) {
	for name, before := range map[string]raft.Acquaintance{"added": {}, "let back in": {Incarnation: incarnation(11, 5, 50)}} {
		p := newPorter(incarnation(20, 1, 1))
		p.known[1] = before
		b := start(t, 2, guarded(p))
		b.SetPeer(1, deserted)
		a := start(t, 1, guarded(newPorter(incarnation(10, 6, 60)))).knows(b)
		a.Greet(2)
		eventually(t, name+": it has called", func() bool { return a.Stats().Peers[2].Connected[Control] })
		p.mu.Lock()
		p.known[1] = raft.Acquaintance{Incarnation: raft.Incarnation{Store: 10}, Readmitted: true}
		p.mu.Unlock()
		eventually(t, name+": it is located", func() bool {
			b.send(1, vote(1))
			return b.Located(1) == a.Addr()
		})
	}
}

// Whom nobody knew when it called for the first time is not looked for by its word. Found where it says that it is by the program's, it is there.
func TestNewcomerIsLocatedWhereTheProgramFoundIt(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	b := start(t, 2, guarded(p))
	a := start(t, 1, guarded(newPorter(incarnation(10, 6, 60)))).knows(b)
	b.knows(a)
	b.SetPeer(1, deserted) // as a membership says
	a.Greet(2)
	eventually(t, "it is located", func() bool {
		b.send(1, vote(1))
		return b.Located(1) == a.Addr()
	})
}

// A locked guard is in the middle of ending a connection, under its own lock, whenever it is asked.
type locked struct {
	*porter
	mu sync.Mutex
	t  *TCP
}

func (l *locked) Known(node raft.NodeID) raft.Acquaintance {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.HangUp(9, errors.New("for another reason"))
	}
	return l.porter.Known(node)
}

// The guard ends connections under its own lock, and the transport asks it who is known: never under the transport's lock, or both wait for ever.
func TestGuardIsNotAskedUnderTheLock(t *testing.T) {
	p := &locked{porter: newPorter(incarnation(20, 1, 1))}
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, func(c *Config) { c.Guard = p })
	p.mu.Lock()
	p.t = b.TCP
	p.mu.Unlock()
	b.SetPeer(1, deserted)
	a := start(t, 1, guarded(newPorter(incarnation(10, 6, 60)))).knows(b)
	a.sendUntil(2, vote(1), b.inbox.found(isVote(1)))
	b.sendUntil(1, vote(2), a.inbox.found(isVote(2)))
	eventually(t, "it is located", func() bool { return b.Located(1) == a.Addr() })
}

// Who calls in the name of a node that is known by another folder takes neither its learned address away nor what it said.
func TestAnotherFolderTakesNoAddressAway(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, guarded(p))
	a := start(t, 1, guarded(newPorter(incarnation(10, 6, 60)))).knows(b)
	a.sendUntil(2, vote(1), b.inbox.found(isVote(1)))
	b.sendUntil(1, vote(2), a.inbox.found(isVote(2)))
	impostor := start(t, 1, guarded(newPorter(incarnation(11, 1, 70)))).knows(b)
	impostor.send(2, appendOf(10)) // on the lane that the node does not use now
	eventually(t, "it has called", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.peers[1].words.another.addr == impostor.Addr()
	})
	if at := b.known(1).address(); at != a.Addr() {
		t.Errorf("node 1 is looked for at %s, where another folder runs", at)
	}
	b.SetPeer(1, deserted)
	eventually(t, "the node is found where it said", func() bool {
		b.send(1, vote(3))
		return b.Located(1) == a.Addr()
	})
}

// A newcomer calls before anybody has an address of it. A membership that has a wrong one is corrected by what it said then.
func TestWordFromBeforeAnyAddressCounts(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	b := start(t, 2, guarded(p))
	a := start(t, 1, guarded(newPorter(incarnation(10, 6, 60)))).knows(b)
	a.sendUntil(2, vote(1), b.inbox.found(isVote(1)))
	b.sendUntil(1, vote(2), a.inbox.found(isVote(2)))
	b.SetPeer(1, deserted)
	eventually(t, "it is located", func() bool {
		b.send(1, vote(3))
		return b.Located(1) == a.Addr()
	})
}

// A node that was wiped calls from elsewhere while the one before is remembered, and is let back in.
func TestWipedNodeIsFoundElsewhere(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, guarded(p))
	b.SetPeer(1, deserted)
	before := start(t, 1, guarded(newPorter(incarnation(10, 6, 60)))).knows(b)
	before.sendUntil(2, vote(1), b.inbox.found(isVote(1)))
	before.SetPeer(2, "")
	wiped := start(t, 1, guarded(newPorter(incarnation(11, 1, 70)))).knows(b)
	wiped.send(2, appendOf(10))
	eventually(t, "it has called", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.peers[1].words.another.addr == wiped.Addr()
	})
	p.mu.Lock()
	p.known[1] = raft.Acquaintance{Incarnation: raft.Incarnation{Store: 11}, Readmitted: true}
	p.mu.Unlock()
	eventually(t, "it is located", func() bool {
		b.send(1, vote(3))
		return b.Located(1) == wiped.Addr()
	})
}
