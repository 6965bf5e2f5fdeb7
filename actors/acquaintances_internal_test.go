package actors

import (
	"maps"
	"testing"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A notebook is a Lineage in memory.
type notebook struct {
	met map[raft.NodeID]raft.Acquaintance
}

func (n *notebook) Incarnation() raft.Incarnation {
	return raft.Incarnation{Store: 1, Start: 1, Nonce: 1}
}
func (n *notebook) Speak() (raft.Incarnation, error)       { return n.Incarnation(), nil }
func (n *notebook) Renew() (raft.Incarnation, error)       { return n.Incarnation(), nil }
func (n *notebook) Met() map[raft.NodeID]raft.Acquaintance { return maps.Clone(n.met) }
func (n *notebook) Meet(node raft.NodeID, a raft.Acquaintance) error {
	if n.met[node] = a; a == (raft.Acquaintance{}) {
		delete(n.met, node)
	}
	return nil
}

// Anybody may call in any node's name: of those who are members of nothing here a few are remembered. Members are never forgotten for them, be it
// that the membership that names them came later.
func TestStrangersDoNotFillTheMemory(t *testing.T) {
	notes := &notebook{met: map[raft.NodeID]raft.Acquaintance{2: {Incarnation: raft.Incarnation{Store: 22, Start: 2, Nonce: 2}}}}
	h := &Host{cfg: HostConfig{Node: 1, Tuning: HostTuning{Acquaintances: 3}}}
	g := h.newGuard(notes)
	call := func(node raft.NodeID) {
		t.Helper()
		start := raft.Incarnation{Store: uint64(node) * 11, Start: 1, Nonce: 1}
		if s, err := g.Greeted(node, remote.Call{Incarnation: start}, nil); err != nil || s != raft.Unmet {
			t.Fatalf("node %d is judged %d, %v", node, s, err)
		}
		g.Entered(node, start, raft.Unmet)
	}
	call(3)
	g.settled(1, raft.Membership{}, raft.Membership{Voters: []raft.NodeID{1, 2, 3}, Members: []raft.Member{{ID: 1}, {ID: 2}, {ID: 3}}})
	for node := raft.NodeID(10); node < 100; node++ {
		call(node)
	}
	for _, member := range []raft.NodeID{2, 3} {
		if a := notes.met[member]; a.Store != uint64(member)*11 || a.Stranger {
			t.Errorf("member %d is known as %+v", member, a)
		}
	}
	if n := len(notes.met); n != 2+3 {
		t.Errorf("%d nodes are remembered: %v", n, notes.met)
	}
	if n, judged := len(g.entered), len(g.judging); n > 1+3 || judged > 1+3 {
		t.Errorf("%d connections and %d judgements are remembered", n, judged)
	}
}
