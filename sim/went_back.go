package sim

import (
	"maps"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// An old is what a disk held some time ago.
type old struct {
	stable map[raft.GroupID]*image
	files  *tree
	folder *folder
}

// keep copies what any crash at this moment would leave.
func (d *disk) keep() old {
	k := old{stable: map[raft.GroupID]*image{}, files: d.files.synced(), folder: d.folder.clone()}
	for g, m := range d.stable {
		k.stable[g] = m.clone()
	}
	return k
}

// A return is a node that was put back to an older copy of its disk and does not know it yet. Where its folder tells, all other members can, as
// soon as it greets them. Else the one who can is the leader that it acknowledged more to: until then it hears and reaches nobody else, since
// what it does meanwhile nothing could mend.
type returned struct {
	node   *node
	leader *node // nil: its folder tells
	folder folder
	self   *life // of the node, where its folder tells
	life   *life // of the leader
	term   raft.Term
}

// goBack puts a node back to what its disk holds now, after a while, or to nothing. Where nodes have folders, it is restarted meanwhile, in half
// of the cases: then its folder tells.
func (s *Sim) goBack(f Fault) {
	n := s.nodes[f.A]
	kept := n.disk.keep()
	if f.N == wiped {
		kept = old{stable: map[raft.GroupID]*image{}, files: newTree()}
	}
	if s.folders && f.N != wiped && s.rng.IntN(2) == 0 {
		s.after(f.For/4, func() { s.down(n, f.For/4) })
	}
	s.after(f.For, func() { s.putBack(n, kept) })
}

// wiped as Fault.N is a disk on which nothing is left.
const wiped = 1

// putBack restarts a node from an older disk, if its leader will notice: it leads on, the node had acknowledged entries to it that the
// older disk lacks, and the others are a quorum.
func (s *Sim) putBack(n *node, kept old) {
	if s.folders {
		if kept.folder == nil {
			kept.folder = n.disk.newFolder()
		}
		all, none := s.foretold(n, kept.folder)
		if all {
			s.putBackTold(n, kept)
		}
		if !none {
			return
		}
	}
	leader, m := s.leader(), n.disk.image(groupID)
	if len(s.neighbours) > 0 || leader == nil || leader == n || n.gone || n.starting || s.returned != nil || len(n.disk.rotten) > 0 || s.rotting == n.id ||
		m.hard.Term != leader.life.view.term || m.hard.Doubt || m.life > 0 {
		return
	}
	rules := leader.life.view.node
	match, _, fed := rules.Follower(n.id)
	term, known := rules.TermAt(match)
	then := kept.stable[groupID]
	if then == nil {
		then = &image{}
	}
	if !fed || !known || match == 0 || s.check.holding(then, raft.EntryID{Index: match, Term: term}) || rules.InDoubt(n.id) {
		return
	}
	for _, members := range s.inForce() {
		if !quorum(members, func(id raft.NodeID) bool { return id != n.id && s.votes(id) }) {
			return
		}
	}
	n.crash()
	n.lost = append(n.lost, n.disk.stable)
	n.disk.stable, n.disk.files, n.disk.folder = maps.Clone(kept.stable), kept.files, kept.folder
	s.returned = &returned{node: n, leader: leader, life: leader.life, term: leader.life.view.term}
	s.trace.note("node %d goes back to %v", n.id, n.disk.image(groupID).last())
	s.count("fault go-back")
	s.up(n)
	if third := s.nodes[s.ids[s.rng.IntN(len(s.ids))]]; third != n && third != leader { // the fence may reach the one that went back before others
		s.after(time.Duration(s.rng.Int64N(int64(50*time.Millisecond))), func() { s.pause(third, time.Duration(s.rng.Int64N(int64(100*time.Millisecond)))) })
	}
}

// votes reports whether a node may have a vote: it can live, and is not in doubt.
func (s *Sim) votes(id raft.NodeID) bool {
	n := s.nodes[id]
	return n != nil && !n.gone && !n.disk.image(groupID).hard.Doubt && (s.returned == nil || s.returned.node != n)
}

// watchReturned looks after each step whether the node that was put back knows it by now. If the leader that could tell it has gone, nobody
// can, and it must never come back.
func (s *Sim) watchReturned() {
	r := s.returned
	switch {
	case r == nil:
	case r.node.gone:
		s.returned = nil
	case r.node.disk.image(groupID).hard.Doubt:
		s.count("gone back and noticed")
		s.returned = nil
	case r.leader == nil:
		r.spokeInVain(s)
	case r.leader.life != r.life || r.life.view.role != raft.Leader || r.life.view.term != r.term:
		s.giveUpReturned()
	}
}

// spokeInVain gives up an older copy that ended after it had spoken and before it heard what others make of it: its next start counts above the
// one that they know (docs/decisions/0021, "What cannot be told").
func (r *returned) spokeInVain(s *Sim) {
	n := r.node
	if n.starting {
		return
	}
	if ended, f := r.self != nil && n.life != r.self, n.disk.folder; ended && f.store == r.folder.store && f.start > r.folder.start {
		s.count("gone back, and nobody could tell any more")
		s.returned = nil
		n.gone = true
		if n.life != nil {
			n.crash()
		}
		return
	}
	r.self = n.life
}

func (s *Sim) giveUpReturned() {
	if r := s.returned; r != nil && r.leader != nil {
		s.count("gone back and nobody knew")
		s.returned = nil
		r.node.gone = true
		r.node.crash()
	}
}

// toldWithin is how long a leader takes at most to find out, once nothing is in its way, that a follower has gone back, and the follower to be told.
const toldWithin = 2 * time.Second

// awaitReturned: now that faults are over, the leader that remembers tells who was put back, as long as it leads. Nobody else can.
func (s *Sim) awaitReturned() {
	r := s.returned
	if r == nil || r.leader == nil {
		return
	}
	s.up(r.node)
	n, told := r.node, s.within(toldWithin, func() bool { return s.returned != r })
	able := n.life != nil && n.life.running() && n.disk.life.failure == nil && r.life.running()
	if !told && able && r.life.view.members.Has(n.id) && s.connected(r.leader.id, n.id) {
		s.check.fail("who was put back is told", "node %d does not know it yet, %v after the faults ended; node %d leads in term %d and remembers", n.id, toldWithin, r.leader.id, r.term)
	}
	s.giveUpReturned()
}

// shielded reports whether a message must not pass: one end was put back and does not know it, and the other cannot tell it.
func (s *Sim) shielded(l Link) bool {
	r := s.returned
	return r != nil && r.leader != nil && (l.From == r.node.id && l.To != r.leader.id || l.To == r.node.id && l.From != r.leader.id)
}

// held reports whether a node has an entry on its disk, or had when that was put back.
func (c *checker) held(n *node, id raft.EntryID) bool {
	if c.holding(n.disk.image(groupID), id) {
		return true
	}
	for _, stable := range n.lost {
		if m := stable[groupID]; m != nil && c.holding(m, id) {
			return true
		}
	}
	return false
}

// recalls: a leader reminds of what is in its log. Only who has gone back lacks what it acknowledged in this term.
func (c *checker) recalls(from, to raft.NodeID, w *raft.Recall) {
	c.leads(from, w.Leader, w.Term)
	if t, ok := c.ledTerm(w.Term, w.Entry.Index); w.Entry.Term != 0 && (!ok || t != w.Entry.Term) {
		c.fail("leaders send their log", "node %d recalls entry %v in term %d, its own is of term %d", from, w.Entry, w.Term, t)
	}
	n := c.sim.nodes[to]
	m := n.disk.image(groupID)
	if len(n.lost) == 0 && m.hard.Term == w.Term && w.Entry.Term != 0 && !c.holding(m, w.Entry) {
		c.fail("acknowledgements are durable before they are spoken", "node %d is reminded of %v, its disk ends at %v", to, w.Entry, m.last())
	}
}

// trusts: whoever is trusted again has an entry that somebody else in every quorum has, too.
func (c *checker) trusts(from, to raft.NodeID, w *raft.Trust) {
	c.leads(from, w.Leader, w.Term)
	if t, ok := c.ledTerm(w.Term, w.Entry.Index); !ok || t != w.Term || w.Entry.Term != w.Term {
		c.fail("trust rests on an entry of the term", "node %d names %v in term %d", from, w.Entry, w.Term)
	}
	// What was forgotten was said before the entry was made: memberships that came later do not matter once it is committed.
	all := c.sim.inForce()
	if i := w.Entry.Index; i <= raft.Index(len(c.log)) && c.log[i-1].members != nil {
		all = []raft.Membership{*c.log[i-1].members}
	}
	for _, m := range all {
		if quorum(m, func(id raft.NodeID) bool { return id == to || !c.held(c.sim.nodes[id], w.Entry) }) {
			c.fail("trust rests on every quorum", "node %d trusts node %d by %v, which a quorum of %v without it lacks", from, to, w.Entry, m.Voters)
		}
	}
	c.sim.count("trusted again")
}
