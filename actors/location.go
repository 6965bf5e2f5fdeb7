package actors

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Members move, and memberships say where they were. The transport finds who has moved by its own word, or where the program looked for it before
// the log said otherwise. The leader then has the membership say what was found (docs/decisions/0025), so that those find it, too, who start later.

// A LocationError: a member is not where the membership says, and the host is to leave it at that (HostConfig.KeepAddresses).
type LocationError struct {
	Peer         raft.NodeID
	Named, Found string // addresses: the membership's, and where it is connected
}

func (e *LocationError) Error() string {
	return fmt.Sprintf("node %d listens at %s, and the membership says %s: correct it (ctl set-addr %d %s HTTP, actors.Change.Addresses), or start the node where it was",
		e.Peer, e.Found, e.Named, e.Peer, e.Found)
}

// maxTag bounds the tags that members tell, in bytes.
const maxTag = 1 << 10

// locations is what a replica knows of where members are, besides what its transport finds.
type locations struct {
	looked time.Duration          // when it was looked at last
	self   string                 // leading: where followers are connected to this node
	tags   map[raft.NodeID]string // leading: what members say is their tag
}

// locate has the replica look around: to itself, since a change of members is not to come in between what a step did and what follows from it.
type locate struct{}

// mayLocate looks, now and then, after a step, whether it is time to look around.
func (r *replica) mayLocate(now time.Duration) {
	if r.host.locator != nil && now-r.locations.looked >= r.cfg.ElectionTimeout.Max {
		r.locations.looked = now
		r.ctx.Send(r.ctx.Self(), &locate{})
	}
}

// locate looks whether members are where the membership says, and what it says of them.
func (r *replica) locate() {
	wrong, moved := r.misplaced()
	keep := r.host.cfg.KeepAddresses
	if keep {
		r.tellMisplaced(wrong)
	}
	switch {
	case r.leader.Role == raft.Leader && !keep:
		r.relocate(wrong, moved)
	case r.leader.Role != raft.Leader && r.leader.Leader != raft.None:
		r.tellLocations(wrong)
	}
}

// misplaced are the members of which the membership says something wrong, as it should say it. Moved are those that are elsewhere.
func (r *replica) misplaced() (wrong []raft.Member, moved []raft.NodeID) {
	for _, m := range r.effective.Membership.Members {
		right := m
		if at := r.foundAt(m); at != "" && m.Addr != "" {
			right.Addr = at
		}
		if tag := r.tag(m.ID); tag != "" {
			right.Tag = tag
		}
		if right == m {
			continue
		}
		if wrong = append(wrong, right); right.Addr != m.Addr {
			moved = append(moved, m.ID)
		}
	}
	return wrong, moved
}

// foundAt is where a member is, if that is known to be elsewhere than where the membership says. Where this node itself is, those know who reach it.
func (r *replica) foundAt(m raft.Member) string {
	switch self := r.host.cfg.Node; {
	case m.ID != self:
		if r.host.guard.objection(m.ID, m.Store) != nil {
			return ""
		}
		return r.host.locator.Located(m.ID)
	case len(r.effective.Membership.IDs()) == 1:
		return r.host.locator.Advertised()
	}
	return r.locations.self
}

// tag is what a member's tag is to be, as far as it has said.
func (r *replica) tag(id raft.NodeID) string {
	if id == r.host.cfg.Node {
		return r.cfg.Tag
	}
	return r.locations.tags[id]
}

// relocate has the membership say what was found.
func (r *replica) relocate(wrong []raft.Member, moved []raft.NodeID) {
	if len(wrong) == 0 || r.change.request != nil {
		return
	}
	target, err := Change{Addresses: wrong}.apply(r.node.Membership(), r.newcomer)
	if err != nil {
		r.log.Warn("what members say of themselves is not taken over", "err", err)
		return
	}
	r.flush()
	if fx := r.step(raft.ChangeMembership{Target: target, Located: moved}, nil); fx.Refused == nil { // else it is tried again
		for _, m := range wrong {
			r.log.Info("a member is where it says itself, and the membership is made to say so", "peer", uint64(m.ID), "addr", m.Addr, "tag", m.Tag)
		}
	}
}

// tellMisplaced names who is not where the membership says, until that is over.
func (r *replica) tellMisplaced(wrong []raft.Member) {
	for id, what := range r.troubles {
		if is, misplaced := what.(*LocationError); misplaced && !slices.ContainsFunc(wrong, func(m raft.Member) bool { return m.ID == id && m.Addr == is.Found }) {
			r.untroubled(id)
		}
	}
	for _, m := range wrong {
		if named, _ := r.effective.Membership.Member(m.ID); m.ID != r.host.cfg.Node && named.Addr != m.Addr && r.troubles[m.ID] == nil {
			r.troubled(m.ID, &LocationError{Peer: m.ID, Named: named.Addr, Found: m.Addr})
		}
	}
}

// tellLocations tells the leader what it cannot know by itself.
func (r *replica) tellLocations(wrong []raft.Member) {
	self, leader := r.host.cfg.Node, r.leader.Leader
	for _, m := range wrong {
		named, _ := r.effective.Membership.Member(m.ID)
		switch {
		case m.ID == leader && named.Addr != m.Addr:
			r.host.tell(leader, r.cfg.Group, &remote.Location{Node: leader, Addr: m.Addr})
		case m.ID == self && named.Tag != m.Tag:
			r.host.tell(leader, r.cfg.Group, &remote.Location{Node: self, Tag: m.Tag})
		}
	}
}

// toldLocation follows what a member tells the leader.
func (r *replica) toldLocation(from raft.NodeID, l *remote.Location) {
	m, member := r.effective.Membership.Member(from)
	if !member || r.host.locator == nil || r.leader.Role != raft.Leader || r.host.guard.objection(from, m.Store) != nil {
		return
	}
	switch {
	case l.Node == r.host.cfg.Node && l.Addr == r.host.locator.Advertised():
		r.locations.self = l.Addr
	case l.Node == from && len(l.Tag) <= maxTag && utf8.ValidString(l.Tag):
		if r.locations.tags == nil {
			r.locations.tags = map[raft.NodeID]string{}
		}
		r.locations.tags[from] = l.Tag
	}
}

// there are the members that are known to be where a membership has them, unlike the one in force.
func (r *replica) there(target raft.Membership) (ids []raft.NodeID) {
	if r.host.locator == nil {
		return nil
	}
	for _, m := range target.Members {
		now, _ := r.effective.Membership.Member(m.ID)
		own := m.ID == r.host.cfg.Node && m.Addr == r.host.locator.Advertised() // nobody has to have said so: it listens there
		if m.Addr != now.Addr && (own || now.ID != raft.None && m.Addr == r.foundAt(now)) {
			ids = append(ids, m.ID)
		}
	}
	return ids
}
