package heartbeat

import (
	"cmp"
	"slices"
	"time"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// register knows which beats each peer node is due. A peer's beats stand ready in one slice,
// so that a pulse is a copy of it.
type register struct {
	node   raft.NodeID
	groups map[raft.GroupID]*group
	peers  []*peer // ascending by node; none is empty
}

// A group that this host leads.
type group struct {
	term     raft.Term
	round    uint64
	commit   raft.EntryID
	seats    []seat // one per peer
	founders uint32
	asked    bool // waits in actor.asked
	attention
}

// A seat is where a group's beat stands among a peer's.
type seat struct {
	peer *peer
	at   int
}

// A peer is a node with members of groups that this host leads.
type peer struct {
	node   raft.NodeID
	beats  []remote.Beat // all but Sent filled in
	owners []owner       // of the beat at the same place
	urgent []remote.Beat // being gathered
}

// An owner is the way back from a beat to its seat.
type owner struct {
	group *group
	seat  int
}

// lead registers g, unless it is known in a newer term, and returns it.
func (r *register) lead(m *Lead) *group {
	old := r.groups[m.Group]
	if old != nil && m.Term < old.term {
		return nil
	}
	g := &group{term: m.Term, round: m.Round, commit: m.Commit, founders: m.Founders, attention: attention{id: m.Group, actor: m.Actor, peers: m.Peers}}
	if old != nil {
		r.vacate(old)
		if old.term == m.Term {
			g.round = max(g.round, old.round)
			if g.commit.Index < old.commit.Index {
				g.commit = old.commit
			}
		}
	}
	r.groups[m.Group] = g
	r.occupy(g)
	return g
}

// occupy gives g its beats.
func (r *register) occupy(g *group) {
	for _, node := range g.peers {
		if node != r.node && node != raft.None {
			r.seat(g.id, g, node)
		}
	}
}

// current returns the group as registered in exactly this term, or nil.
func (r *register) current(id raft.GroupID, t raft.Term) *group {
	if g := r.groups[id]; g != nil && g.term == t {
		return g
	}
	return nil
}

// rest forgets the group unless it is known in a newer term, and returns what it has forgotten.
func (r *register) rest(m *Rest) *group {
	g := r.groups[m.Group]
	if g == nil || g.term > m.Term {
		return nil
	}
	r.vacate(g)
	delete(r.groups, m.Group)
	return g
}

func (r *register) seat(id raft.GroupID, g *group, node raft.NodeID) {
	p := r.peer(node)
	for _, s := range g.seats {
		if s.peer == p {
			return
		}
	}
	p.owners = append(p.owners, owner{group: g, seat: len(g.seats)})
	g.seats = append(g.seats, seat{peer: p, at: len(p.beats)})
	p.beats = append(p.beats, remote.Beat{Group: id, Heartbeat: raft.Heartbeat{
		Term: g.term, Leader: r.node, Round: g.round, Commit: g.commit, Founders: g.founders,
	}})
}

// peer returns the peer of this node, made if need be.
func (r *register) peer(node raft.NodeID) *peer {
	at, found := r.find(node)
	if !found {
		r.peers = slices.Insert(r.peers, at, &peer{node: node})
	}
	return r.peers[at]
}

func (r *register) find(node raft.NodeID) (int, bool) {
	return slices.BinarySearchFunc(r.peers, node, func(p *peer, n raft.NodeID) int { return cmp.Compare(p.node, n) })
}

// vacate takes g's beats away; the last beat of each peer moves to the empty place.
func (r *register) vacate(g *group) {
	for _, s := range g.seats {
		p, last := s.peer, len(s.peer.beats)-1
		p.beats[s.at], p.owners[s.at] = p.beats[last], p.owners[last]
		p.owners[s.at].group.seats[p.owners[s.at].seat].at = s.at
		p.owners[last] = owner{}
		p.beats, p.owners = p.beats[:last], p.owners[:last]
		if last == 0 {
			at, _ := r.find(p.node)
			r.peers = slices.Delete(r.peers, at, at+1)
		}
	}
	g.seats, g.asked = nil, false
}

// write brings g's beats up to date.
func (g *group) write() {
	for _, s := range g.seats {
		b := &s.peer.beats[s.at]
		b.Round, b.Commit = g.round, g.commit
	}
}

// pulse copies up to limit beats from place from on, as sent now.
func (p *peer) pulse(from, limit int, now time.Duration) *remote.Pulse {
	beats := slices.Clone(p.beats[from:min(from+limit, len(p.beats))])
	for i := range beats {
		beats[i].Sent = now
	}
	return &remote.Pulse{Beats: beats}
}
