package actors

import (
	"maps"
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
