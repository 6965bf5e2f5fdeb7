package remote

import (
	"net"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// A node that was just added is called by members that it has not read of: it must be able to answer them.
func TestAnswersACallerItHasNoAddressOf(t *testing.T) {
	a, b := start(t, 1, nil), start(t, 2, nil)
	a.knows(b)
	if pid := b.Sender(1); pid != nil {
		t.Fatal("node 2 knows node 1 before it was called")
	}
	system.Root.Send(a.Sender(2), &Post{Envelope: Envelope{Group: 1, Message: &raft.TimeoutNow{Term: 1, Leader: 1}}})
	b.inbox.next(t, "the call", func(delivery) bool { return true })
	pid := b.Sender(1)
	if pid == nil {
		t.Fatal("the caller's address was not learned")
	}
	system.Root.Send(pid, &Post{Envelope: Envelope{Group: 1, Message: &raft.HeartbeatReply{Term: 1}}})
	a.inbox.next(t, "the answer", func(delivery) bool { return true })
}

// What a node says of itself never replaces what the program or a membership said, and gives way to it.
func TestLearnedAddresses(t *testing.T) {
	n := start(t, 1, nil)
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9), Port: 5}
	address := func(node raft.NodeID) string { return n.known(node).address() }
	hear := func(node raft.NodeID, addr string) {
		n.known(node)
		n.learn(hello{from: node, addr: addr}, from, raft.Unmet)
	}
	for _, c := range []struct{ says, want string }{
		{"127.0.0.1:7", "127.0.0.1:7"}, {"0.0.0.0:8", "127.0.0.9:8"}, {"[::]:9", "127.0.0.9:9"}, {":10", "127.0.0.9:10"},
		{"nonsense", "127.0.0.9:10"}, {"host:0", "127.0.0.9:10"}, {"moved.example:11", "moved.example:11"},
	} {
		if hear(2, c.says); address(2) != c.want {
			t.Errorf("after %q: %q, want %q", c.says, address(2), c.want)
		}
	}
	n.SetPeer(2, "127.0.0.1:20")
	if hear(2, "127.0.0.1:7"); address(2) != "127.0.0.1:20" {
		t.Errorf("a set address was replaced by %q", address(2))
	}
}
