package sim

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
)

// In some runs nodes have addresses. Every program knows those of the founders. Those of the others an operator gives who reads that one is missing,
// or a change of the membership, which may be rolled back. Every node listens at two of them, so that it shows by whose word it is looked for. Or at
// one alone, and starts now and then at another: then it has to be found.

// given is the address of a node by the word of programs and operators, moved the one that changes of the membership name.
func given(id raft.NodeID) string { return fmt.Sprintf("node-%d", id) }
func moved(id raft.NodeID) string { return fmt.Sprintf("node-%d-moved", id) }

// What happens to addresses.
const (
	unaddressed = "no address of a node is known"
	takenBack   = "an address is taken back with its change"
	toldAddress = "an operator says where a node listens"
	elsewhere   = "a node starts elsewhere"
	notThere    = "a message to where a node is no more"
)

// oldNews is older than any event may be for what hung on its way.
const oldNews = 4 * time.Second

const lookedFor = "nodes are looked for where the membership says, or the program"

// addressed runs are those in which nodes have addresses.
func (c Config) addressed() bool {
	return rand.New(rand.NewPCG(c.Seed, 0xadd2)).IntN(4) == 0 && !c.Quiet && len(c.Broken) == 0
}

// advertised: whoever calls says where it listens, which is believed where nobody knows better, as TCP does. In half of the runs.
func (c Config) advertised() bool { return rand.New(rand.NewPCG(c.Seed, 0xadd3)).IntN(2) == 0 }

// moves: in half of those runs nodes start elsewhere now and then, those by whose folders others know them.
func (c Config) moves() bool {
	return c.addressed() && rand.New(rand.NewPCG(c.Seed, 0xadd5)).IntN(2) == 0
}

// keeps: in a quarter of these memberships are left as they are, and who is elsewhere is named.
func (c Config) keeps() bool {
	return c.moves() && rand.New(rand.NewPCG(c.Seed, 0xadd6)).IntN(4) == 0
}

// settleIn has a node that starts listen where it did, or elsewhere.
func (n *node) settleIn() {
	s := n.sim
	if n.told == nil || !s.cfg.moves() || !s.folders {
		return
	}
	switch {
	case n.home == "":
		n.home = given(n.id)
	case !s.calm && s.rng.IntN(2) == 0:
		n.home = fmt.Sprintf("node-%d-house-%d", n.id, n.lives)
		s.count(elsewhere)
	}
}

// places are where a node is looked for: where it is said to be, where it says itself, and where it was said to be before (remote.places).
func (t *transport) places(id raft.NodeID) []string {
	if t.believe(id) {
		return []string{t.addrs[id], t.own[id], t.before[id]}
	}
	return []string{t.addrs[id], t.before[id]}
}

// reaches reports whether a node is where it is looked for.
func (t *transport) reaches(id raft.NodeID) bool {
	home := t.net.sim.nodes[id].home
	return home == "" || t.addrs == nil || slices.Contains(t.places(id), home)
}

// Located implements remote.Locator.
func (t *transport) Located(id raft.NodeID) string {
	t.believe(id)
	if n := t.net.sim.nodes[id]; n != nil && n.home != "" && t.own[id] == n.home && t.connected(id) {
		return n.home
	}
	return ""
}

// Advertised implements remote.Locator.
func (t *transport) Advertised() string { return t.life.node.home }

// CheckAddr implements remote.Locator. Addresses are mere names here.
func (t *transport) CheckAddr(string) error { return nil }

// relocations are changes of members' addresses. Some strike as their leader is cut off from all others.
func (c Config) relocations(ids []raft.NodeID) (plan []Fault) {
	if !c.addressed() {
		return nil
	}
	r := rand.New(rand.NewPCG(c.Seed, 0xadd4))
	for range 1 + r.IntN(6) {
		plan = append(plan, Fault{
			At: time.Duration(r.Int64N(int64(c.Length))), Kind: Relocate, A: ids[r.IntN(len(ids))], For: time.Duration(r.Int64N(int64(time.Second))), N: r.IntN(stranded + 1),
		})
	}
	return plan
}

// stranded as Fault.N: the leader is cut off.
const stranded = 1

// relocate turns such a fault into a change of the membership that the leader has now. Nobody could correct a wrong address of a node that nobody
// has met.
func (s *Sim) relocate(f Fault, now raft.Membership) actors.Change {
	a := []raft.Member{{ID: f.A, Addr: moved(f.A)}}
	if n := s.nodes[f.A]; n != nil && !now.Has(f.A) {
		a[0].Addr = cmp.Or(n.home, a[0].Addr)
	}
	if now.IsVoter(f.A) {
		return actors.Change{AddVoters: a, Force: true} // it is a voter as before, elsewhere
	}
	return actors.Change{AddLearners: a}
}

// know has the programs know where the founders listen.
func (s *Sim) know() {
	if s.cfg.addressed() {
		for _, id := range s.ids {
			s.nodes[id].told, s.nodes[id].toldAt = map[raft.NodeID]bool{}, map[raft.NodeID]time.Duration{}
			for _, founder := range s.founders {
				s.nodes[id].told[founder], s.nodes[id].toldAt[founder] = true, -2*oldNews
			}
		}
	}
}

// introduce has the program of a life that begins say where others listen.
func (l *life) introduce() {
	for _, id := range l.node.sim.ids {
		if l.node.told[id] {
			l.give(id)
		}
	}
}

// give is the program's word on where a node listens.
func (l *life) give(id raft.NodeID) {
	if t := l.transport; id != l.node.id {
		t.program, t.word[id] = true, cmp.Or(l.node.sim.nodes[id].home, given(id))
		l.host.SetPeer(id, t.word[id])
		t.program = false
	}
}

// tell is an operator who says to a node where another one listens: now if it does not know, and whenever it starts.
func (s *Sim) tell(n *node, id raft.NodeID) {
	if n.told == nil {
		return
	}
	if !n.told[id] {
		n.told[id], n.toldAt[id] = true, s.clock.Now()
	}
	if l := n.life; l != nil && l.host != nil && !n.starting && (l.transport.addrs[id] == "" || !l.transport.reaches(id)) {
		s.count(toldAddress)
		l.give(id)
	}
}

// tellAll is tell of everybody.
func (s *Sim) tellAll() {
	for _, id := range s.ids {
		for _, other := range s.ids {
			s.tell(s.nodes[id], other)
		}
	}
}

// missed: a replica says that it does not know where a node listens. An operator reads it.
func (s *Sim) missed(e *actors.PeerTrouble) {
	what := (*actors.NoAddressError)(nil)
	if !errors.As(e.Err, &what) || s.nodes[what.Peer] == nil { // of nodes that do not exist nobody knows it
		return
	}
	// An event that waited for a publisher that hung is no news.
	if n := s.nodes[e.Node]; n.told == nil || n.told[what.Peer] && s.clock.Now()-n.toldAt[what.Peer] > oldNews {
		s.check.fail("an address is missing only where nobody gave it", "node %d: %v", e.Node, e.Err)
		return
	}
	if s.nodes[e.Node].told[what.Peer] {
		return
	}
	s.count(unaddressed)
	s.after(time.Duration(s.rng.Int64N(int64(300*time.Millisecond))), func() { s.tell(s.nodes[e.Node], what.Peer) })
}

// SetPeer implements remote.Transport: a program's word, or what a membership says that came into force, or, when such a one was rolled back, the program's
// word again.
func (t *transport) SetPeer(id raft.NodeID, addr string) {
	s, me := t.net.sim, t.life.node.id
	if addr == nowhere {
		s.check.fail("what is refused has no effect", "node %d looks for node %d where a refused change says", me, id)
	}
	if t.addrs == nil {
		return
	}
	if _, begins := s.handled.(*persister.Loaded); !t.program && !begins && t.life.view.node != nil {
		m, _ := t.life.view.node.Membership().Member(id)
		if m.Addr != addr && (m.Addr != "" || addr != t.word[id]) {
			s.check.fail(lookedFor, "node %d looks for node %d at %q, its membership says %q", me, id, addr, m.Addr)
		}
		if addr == t.word[id] {
			s.count(takenBack)
		}
	}
	if was := t.addrs[id]; was != addr && was != "" {
		t.before[id] = was
	}
	t.addrs[id] = addr
}

// learn takes the word of a node that calls for where it listens.
func (t *transport) learn(from raft.NodeID) {
	if t.addrs != nil && t.addrs[from] == "" && t.net.sim.cfg.advertised() {
		t.addrs[from] = cmp.Or(t.net.sim.nodes[from].home, given(from))
	}
}

// What a node said of where it is, and who it was. It was not known by its folder then, if something is unknown: what else was known of it.
type said struct {
	home    string
	self    raft.Incarnation
	unknown raft.Acquaintance
}

// learnOwn notes where a node says that it is.
func (t *transport) learnOwn(h *hello, standing raft.Standing) {
	if t.own == nil || h.caller.home == "" {
		return
	}
	w := said{home: h.caller.home, self: h.self}
	if standing != raft.Same && standing != raft.Next {
		w.unknown = t.guard.Known(h.caller.node.id)
	}
	t.said[h.caller.node.id] = w
}

// believe has a node be where it says that it is, once it is known by the folder that it said so on, as remote has it, and reports whether it is looked for
// there.
func (t *transport) believe(id raft.NodeID) bool {
	w, said := t.said[id]
	if !said || t.guard == nil {
		return t.own[id] != ""
	}
	known := t.guard.Known(id)
	if known.Known() && !known.Forked && known.Store == w.self.Store && (known.Start < w.self.Start || known.Incarnation == w.self) {
		t.own[id] = w.home
	}
	return known != w.unknown
}

// known reports whether a node exists and can be sent to.
func (t *transport) known(to raft.NodeID) bool {
	return t.net.sim.nodes[to] != nil && to != t.life.node.id && (t.addrs == nil || t.addrs[to] != "")
}

// found: once everybody has been told, nobody is missed, and each member is looked for where the membership says.
func (s *Sim) found() {
	ids, leader := s.members()
	for _, id := range ids {
		l := s.nodes[id].life
		for _, m := range l.view.members.Members {
			at := l.transport.addrs[m.ID]
			if s.cfg.moves() && at == l.transport.word[m.ID] { // an operator knew better since
				continue
			}
			if l.transport.addrs != nil && m.ID != id && m.Addr != "" && at != m.Addr {
				s.check.fail(lookedFor, "node %d looks for node %d at %q, its membership says %q", id, m.ID, at, m.Addr)
			}
		}
	}
	if leader == nil {
		return
	}
	for _, m := range leader.life.group.Status().Members {
		n := s.nodes[m.ID]
		if n == nil || n.gone {
			continue // it is never heard, so that nobody looks again
		}
		if missing := (*actors.NoAddressError)(nil); errors.As(m.Trouble, &missing) {
			s.check.fail("who was told of an address has no trouble with it", "node %d: %v", leader.id, m.Trouble)
		}
	}
}

// placed: memberships have been made to say where those members are that the leader knows by their folders, and hears.
func (s *Sim) placed() bool {
	ids, leader := s.members()
	if leader == nil || !s.cfg.moves() || s.cfg.keeps() || !s.folders {
		return true
	}
	for _, id := range ids {
		m, _ := leader.life.view.members.Member(id)
		l, t := s.nodes[id].life, leader.life.transport
		if l == nil || m.Addr == "" || id == leader.id || m.Addr == s.nodes[id].home {
			continue
		}
		known, self := leader.disk.folder.met[id], l.transport.guard.Self()
		if known.Incarnation == self && t.callers[id] == self && t.connected(id) && s.connected(id, leader.id) && !known.Forked {
			return false
		}
	}
	return true
}

// acquainted: members that folders tell apart, and that can talk with each other, have heard of each other's present starts, whoever leads. Else an older
// copy of one of the folders could be taken for the next start.
func (s *Sim) acquainted() bool {
	if !s.folders {
		return true
	}
	ids, _ := s.members()
	for _, a := range ids {
		for _, b := range ids {
			if a == b || !s.connected(a, b) {
				continue
			}
			if s.nodes[a].life == nil || s.nodes[b].life == nil {
				return false
			}
			known, self := s.nodes[a].disk.folder.met[b], s.nodes[b].life.transport.guard.Self()
			if known.Incarnation != self && !known.Forked {
				return false
			}
		}
	}
	return true
}
