package remote

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// deserted is an address of this machine at which nobody listens.
const deserted = "127.0.0.1:1"

// A node that has moved says where it is, and is found there by those that know it by its folder, on every lane, as long as it is not where it is said to be.
func TestMovedNodeIsFound(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, guarded(p))
	a := start(t, 1, guarded(newPorter(incarnation(10, 6, 60))))
	b.SetPeer(1, deserted)
	a.knows(b).sendUntil(2, vote(1), b.inbox.found(isVote(1)))
	b.sendUntil(1, vote(2), a.inbox.found(isVote(2)))
	eventually(t, "it is located", func() bool { return b.Located(1) != "" })
	if s := b.Stats().Peers[1]; s.Addr != deserted || s.Located != a.Addr() || b.Located(1) != a.Addr() || a.Advertised() != a.Addr() {
		t.Errorf("%+v, advertised %q", s, a.Advertised())
	}
	big := appendOf(1 << 10)
	b.sendUntil(1, big, a.inbox.found(func(d delivery) bool { _, small := d.Message.(*raft.RequestVote); return !small }))
	b.knows(a)
	b.sendUntil(1, vote(3), a.inbox.found(isVote(3)))
	eventually(t, "it is where it is said to be", func() bool { return b.Located(1) == b.Stats().Peers[1].Addr })
}

// Nobody's word moves a node that is not known by its folder.
func TestWordOfAnotherFolderMovesNobody(t *testing.T) {
	for name, known := range map[string]raft.Acquaintance{"unmet": {}, "wiped": {Incarnation: incarnation(11, 5, 50)}} {
		p := newPorter(incarnation(20, 1, 1))
		p.known[1] = known
		b := start(t, 2, guarded(p))
		b.SetPeer(1, deserted)
		a := start(t, 1, guarded(newPorter(incarnation(10, 6, 60)))).knows(b)
		a.Greet(2)
		eventually(t, "it has called", func() bool { return a.Stats().Peers[2].Connected[Control] })
		if list := b.known(1).places.list(); !slices.Equal(list, []string{deserted}) {
			t.Errorf("%s: looked for at %q", name, list)
		}
	}
}

// The original of a copy lives where it says itself, although it is said to be elsewhere.
func TestMovedOriginalIsAskedWhetherItLives(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, guarded(p))
	b.SetPeer(1, deserted)
	original := start(t, 1, guarded(newPorter(incarnation(10, 5, 50)))).knows(b)
	original.Greet(2)
	eventually(t, "it has called", func() bool { return original.Stats().Peers[2].Connected[Control] })
	original.SetPeer(2, "") // from now on it can only be asked
	copied := start(t, 1, guarded(newPorter(incarnation(10, 6, 60)))).knows(b)
	copied.Greet(2)
	copied.logged("WARN no connection", "a copy")
}

// Where a node is dialled: where it is said to be, then where it says itself, then where it was said to be before. Who answers is dialled there again.
func TestPlaces(t *testing.T) {
	var p places
	says := func(want ...string) {
		t.Helper()
		if list := p.list(); !slices.Equal(list, want) {
			t.Fatalf("%q, want %q", list, want)
		}
	}
	next := func(want string) {
		t.Helper()
		if got := p.next(); got != want {
			t.Fatalf("next %q, want %q", got, want)
		}
	}
	next("")
	p.says("own") // of a node without an address it is learned, as one
	says()
	p.set("file")
	says("file")
	p.failed("file")
	next("file") // there is no other
	p.set("log")
	says("log", "file")
	p.failed("log")
	next("file")
	p.failed("log") // another lane found out the same
	next("file")
	p.says("own")
	says("log", "own", "file")
	next("file")
	p.says("own")
	says("log", "own", "file")
	p.failed("file")
	next("log")
	p.failed("log")
	next("own")
	p.says("new")
	says("log", "new", "own")
	next("own")
	p.set("own") // as a change says
	says("own", "log")
	next("own")
	p.says("log") // it has moved back
	says("own", "log")
	p.set("")
	says()
}

// What this node says of itself is where it was told to listen, by that name.
func TestAdvertised(t *testing.T) {
	for _, c := range []struct{ listen, advertise, want string }{
		{"localhost:0", "", "localhost:PORT"}, {"127.0.0.1:0", "", "127.0.0.1:PORT"}, {"0.0.0.0:0", "", ""}, {":0", "", ""}, {"[::]:0", "", ""},
		{"0.0.0.0:0", "node.example:7", "node.example:7"},
	} {
		n := start(t, 1, func(cfg *Config) { cfg.Listen, cfg.Advertise = c.listen, c.advertise })
		want := c.want
		if i := len(want) - len("PORT"); i > 0 && want[i:] == "PORT" {
			_, port, _ := net.SplitHostPort(n.Addr())
			want = want[:i] + port
		}
		if got := n.Advertised(); got != want {
			t.Errorf("%+v: %q, want %q", c, got, want)
		}
	}
}

// A node that is reached by another address than it has itself, as behind a proxy, is not where it says.
func TestNodeBehindAnotherAddressIsNotLocated(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, guarded(p))
	a := start(t, 1, func(c *Config) { guarded(newPorter(incarnation(10, 6, 60)))(c); c.Advertise = deserted })
	b.knows(a)
	a.knows(b).Greet(2)
	b.sendUntil(1, vote(1), a.inbox.found(isVote(1)))
	eventually(t, "it has said where it is", func() bool { return slices.Contains(b.known(1).places.list(), deserted) })
	if at := b.Located(1); at != "" {
		t.Errorf("located at %s", at)
	}
}

// Where a node was said to be before may be another one now, or a copy: it is passed over.
func TestAnotherFolderIsPassedOver(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, guarded(p))
	other := start(t, 1, guarded(newPorter(incarnation(11, 1, 1))))
	b.SetPeer(1, other.Addr())
	b.SetPeer(1, deserted)
	eventually(t, "it tries there", func() bool {
		b.send(1, vote(1))
		return strings.Contains(b.Stats().Peers[1].LastError, "another folder")
	})
	if other.inbox.count() != 0 {
		t.Error("it talks to another folder")
	}
}
