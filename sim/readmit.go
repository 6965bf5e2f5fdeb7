package sim

import (
	"maps"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// putBackTold restarts a node from an older disk, or from none, whose folder tells all other members so, whoever leads. The others are a quorum,
// and one node at a time is on its way back: two could let each other in.
func (s *Sim) putBackTold(n *node, kept old) {
	if len(s.neighbours) > 0 || n.gone || n.starting || s.returned != nil || len(n.disk.rotten) > 0 || s.rotting == n.id || n.disk.image(groupID).life > 0 {
		return
	}
	for _, id := range s.ids {
		if s.nodes[id].disk.image(groupID).hard.Doubt || s.nodes[id].readmits {
			return
		}
	}
	for _, members := range s.inForce() {
		if !members.Has(n.id) || !quorum(members, func(id raft.NodeID) bool { return id != n.id && s.votes(id) }) {
			return
		}
	}
	if n.life != nil {
		n.crash()
	}
	n.lost = append(n.lost, n.disk.stable)
	n.disk.stable, n.disk.files, n.disk.folder = maps.Clone(kept.stable), kept.files, kept.folder
	back := &returned{node: n, folder: *kept.folder}
	s.returned = back
	n.readmits = true
	s.trace.note("node %d goes back to %v, start %d, and its folder tells", n.id, n.disk.image(groupID).last(), n.disk.folder.start)
	s.count("fault go-back, told by the folder")
	s.up(n)
	back.self = n.life // it may have been told already
	s.clock.AfterFunc(time.Duration(s.rng.Int64N(int64(time.Second))), func() { s.letBack(n) })
}

// letBack is an operator who reads that a node does not count: lets it back in, and promotes it, until it votes or is no member any more.
func (s *Sim) letBack(n *node) {
	leader, asked := s.leader(), n.pleads
	m, member := s.check.settled.Member(n.id)
	voter := member && !s.check.settled.IsLearner(n.id)
	known := s.returned == nil || s.returned.node != n
	store := n.disk.folder.store
	// One that was taken out and put in again meanwhile is known by the folder that it has now.
	anew := known && m.Store == 0 && leader != nil && leader.disk.folder.met[n.id].Store == store
	switch named := m.Store == store || anew; {
	case n.gone, !member:
		n.readmits = false
		return
	case named && voter:
		s.count(votesAgain)
		n.readmits = false
		return
	case known && leader != nil && leader.life.group != nil && leader.life.running() && asked != leader.life:
		change := actors.Change{Promote: []raft.NodeID{n.id}}
		if !named {
			change = actors.Change{Readmit: []raft.NodeID{n.id}}
		}
		n.pleads = leader.life
		leader.life.ask(&actors.ChangeMembers{Change: change}, func(answer any) {
			n.pleads = nil
			if r, ok := answer.(*actors.Refused); ok {
				s.trace.note("node %d is not let back yet: %v", n.id, r.Err)
				s.count("not let back yet")
			}
		})
	}
	s.clock.AfterFunc(50*time.Millisecond, func() { s.letBack(n) })
}
