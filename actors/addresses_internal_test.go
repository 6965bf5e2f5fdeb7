package actors

import (
	"maps"
	"slices"
	"testing"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// lastTold is a transport that remembers the address it was told last of each node.
type lastTold struct {
	remote.Transport
	addrs map[raft.NodeID]string
}

func (l *lastTold) SetPeer(node raft.NodeID, addr string) { l.addrs[node] = addr }

// An address that came with a membership goes with it, when a new leader's log takes its place.
func TestRolledBackAddressesAreForgotten(t *testing.T) {
	told := &lastTold{addrs: map[raft.NodeID]string{}}
	h := &Host{cfg: HostConfig{Node: 1}, transport: told}
	h.SetPeer(2, "two:1")
	h.SetPeer(4, "four:1")
	members := func(addrs ...string) (m raft.Membership) {
		for i, addr := range addrs {
			m.Voters = append(m.Voters, raft.NodeID(i+1))
			m.Members = append(m.Members, raft.Member{ID: raft.NodeID(i + 1), Addr: addr})
		}
		return m
	}
	before := members("one:1", "", "three:1")
	h.learnAddresses(raft.Membership{}, before)
	h.SetPeer(3, "three:3") // later than the membership
	h.learnAddresses(before, members("one:2", "two:2", "three:2", "four:2"))
	want := map[raft.NodeID]string{2: "two:2", 3: "three:2", 4: "four:2"}
	if !maps.Equal(told.addrs, want) {
		t.Errorf("in force: %v, want %v", told.addrs, want)
	}
	h.learnAddresses(members("one:2", "two:2", "three:2", "four:2"), before)
	want[2], want[3] = "two:1", "three:1"
	if !maps.Equal(told.addrs, want) {
		t.Errorf("rolled back: %v, want %v", told.addrs, want)
	}
}

// calling is a transport that remembers whom it was told to call.
type calling struct {
	*lastTold
	called []raft.NodeID
}

func (c *calling) Greet(node raft.NodeID) {
	if c.addrs[node] != "" {
		c.called = append(c.called, node)
	}
}

// A member whose address is given later than the group began is called then: followers have nothing to tell each other, and would not hear of each
// other's present starts.
func TestMembersAreCalledOnceTheirAddressIsGiven(t *testing.T) {
	line := &calling{lastTold: &lastTold{addrs: map[raft.NodeID]string{}}}
	h := &Host{cfg: HostConfig{Node: 1}, transport: line}
	g := &Group{host: h, id: 1}
	g.status.Store(&Status{Phase: Running, Members: []MemberStatus{{Member: raft.Member{ID: 1}}, {Member: raft.Member{ID: 2}}}})
	h.groups.Store(g.id, g)
	for _, node := range []raft.NodeID{1, 2, 3} { // itself, a member, and a stranger
		h.SetPeer(node, "somewhere:1")
	}
	if !slices.Equal(line.called, []raft.NodeID{2}) {
		t.Errorf("it calls %v", line.called)
	}
}
