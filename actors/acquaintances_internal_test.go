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

// Nor are those kept in mind who say nothing of themselves, or who were forgotten since they came: these greet anew when they may become members.
func TestStrangersAreNotKeptInMind(t *testing.T) {
	g, line := guarded(t)
	g.host.cfg.Tuning.Acquaintances = 2
	call := func(node raft.NodeID, store uint64) {
		t.Helper()
		i := raft.Incarnation{Store: store, Start: 1, Nonce: 1}
		if store == 0 {
			i = raft.Incarnation{}
		}
		s, err := g.Greeted(node, remote.Call{Incarnation: i}, alone{})
		if err != nil {
			t.Fatal(err)
		}
		g.Entered(node, i, s)
	}
	for node := raft.NodeID(10); node < 100; node++ {
		call(node, 0)
	}
	if len(g.entered) != 1 || len(g.judging) > 1 || len(line.ended) > 0 {
		t.Errorf("of a release without folders: %d connections and %d judgements are remembered", len(g.entered), len(g.judging))
	}
	for node := raft.NodeID(100); node < 110; node++ {
		call(node, 7)
	}
	if len(g.met) != 2 || len(g.entered) != 2 || len(line.ended) != 9 {
		t.Errorf("%d are remembered, %d connections, and %d have to greet anew", len(g.met), len(g.entered), len(line.ended))
	}
	if line.ended[0] != 3 || g.entered[3].Known() || g.Known(3).Known() {
		t.Errorf("the first to go is %v", line.ended)
	}
}

// A stranger that a membership names is none any more, before it is known to be committed.
func TestMembersAreNotForgottenForStrangers(t *testing.T) {
	g, _ := guarded(t) // node 3 has called
	status := running3(0)
	group := &Group{host: g.host, id: 1}
	group.status.Store(&status)
	g.host.groups.Store(group.id, group)
	g.host.cfg.Tuning.Acquaintances = 2
	for node := raft.NodeID(10); node < 30; node++ {
		if _, err := g.Greeted(node, remote.Call{Incarnation: raft.Incarnation{Store: 7, Start: 1, Nonce: 1}}, alone{}); err != nil {
			t.Fatal(err)
		}
	}
	if !g.Known(3).Known() || len(g.met) != 1+2 {
		t.Errorf("%+v", g.met)
	}
}

// Who is dropped is called no longer, unless another group here may have it.
func TestWhoIsDroppedIsNotGreeted(t *testing.T) {
	for name, c := range map[string]struct {
		other Status
		ends  bool
	}{
		"no member":  {Status{Phase: Running}, true},
		"a member":   {running3(0), false},
		"is loading": {Status{Phase: Starting, Stopped: true}, false},
	} {
		g, line := guarded(t, Status{Phase: Running}, c.other)
		g.host.ungreet(1, three(0), without3())
		if ends := len(line.ungreeted) == 1 && line.ungreeted[0] == 3; ends != c.ends {
			t.Errorf("%s: %v", name, line.ungreeted)
		}
	}
}
