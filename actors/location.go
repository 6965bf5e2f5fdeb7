package actors

import (
	"cmp"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Members move, and memberships say where they were. The transport finds who has moved by its own word, or where the program looked for it before
// the log said otherwise. The leader then has the membership say what was found (docs/decisions/0025), so that those find it, too, who start later.

// A LocationError: the membership says of a member's address or tag what the member does not, and the host is to leave it at that
// (HostConfig.KeepAddresses).
type LocationError struct {
	Peer  raft.NodeID
	Named raft.Member // as the membership has it
	Found raft.Member // with the address at which it is connected, and the tag that it says of itself; empty: not known
}

func (e *LocationError) Error() string {
	if e.Found.Addr == "" || e.Found.Addr == e.Named.Addr {
		return fmt.Sprintf("node %d says that its tag is %s, and the membership says %s: correct it (ctl set-addr %d %s %s, actors.Change.Addresses), or start the node with the other",
			e.Peer, e.Found.Tag, e.Named.Tag, e.Peer, cmp.Or(e.Found.Addr, e.Named.Addr, "RAFT"), e.Found.Tag)
	}
	return fmt.Sprintf("node %d listens at %s, and the membership says %s: correct it (ctl set-addr %d %s %s, actors.Change.Addresses), or start the node where it was",
		e.Peer, e.Found.Addr, e.Named.Addr, e.Peer, e.Found.Addr, cmp.Or(e.Found.Tag, "HTTP"))
}

// misnamed is what is wrong with what the membership says of a member, where nobody is to correct it unasked; nil: nothing. That it has no tag for one is
// no claim.
func misnamed(named, found raft.Member) *LocationError {
	addr := found.Addr == named.Addr || found.Addr == ""
	tag := found.Tag == named.Tag || found.Tag == "" || named.Tag == ""
	if addr && tag {
		return nil
	}
	return &LocationError{Peer: named.ID, Named: named, Found: found}
}

// maxTag bounds the tags that members tell, in bytes.
const maxTag = 1 << 10

// locations is what a replica knows of where members are, besides what its transport finds.
type locations struct {
	looked time.Duration          // when it was looked at last
	self   string                 // leading: where followers are connected to this node
	tags   map[raft.NodeID]saying // leading: what members say is their tag
}

// A saying is a member's word on its tag, which it repeats while the membership says otherwise.
type saying struct {
	tag string
	at  time.Duration // when it was heard last
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
	r.forgetTags()
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
		right := r.corrected(m)
		if right == m {
			continue
		}
		if wrong = append(wrong, right); right.Addr != m.Addr {
			moved = append(moved, m.ID)
		}
	}
	return wrong, moved
}

// corrected is a member as the membership should have it.
func (r *replica) corrected(m raft.Member) raft.Member {
	if at := r.foundAt(m); at != "" && m.Addr != "" {
		m.Addr = at
	}
	m.Tag = cmp.Or(r.tag(m.ID), m.Tag)
	return m
}

// ownMisplacement is what the membership says wrongly of this node itself, which nobody is to correct unasked: no trouble of this replica's.
func (r *replica) ownMisplacement(m raft.Member) error {
	if r.host.locator == nil || !r.host.cfg.KeepAddresses {
		return nil
	}
	found := r.corrected(m)
	if found.Addr == m.Addr && r.host.locator.Advertised() != m.Addr { // where others reach it they know better
		found.Addr = ""
	}
	if is := misnamed(m, found); is != nil {
		return is
	}
	return nil
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
	return r.locations.tags[id].tag
}

// forgetTags forgets what members said that are heard and say it no more: they were started again with what the membership says.
func (r *replica) forgetTags() {
	for id, said := range r.locations.tags {
		if r.active(id) && r.locations.looked-said.at > 4*r.cfg.ElectionTimeout.Max {
			delete(r.locations.tags, id)
		}
	}
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

// tellMisplaced names those of whom the membership says something wrong, until that is over.
func (r *replica) tellMisplaced(wrong []raft.Member) {
	now := map[raft.NodeID]*LocationError{}
	for _, found := range wrong {
		named, _ := r.effective.Membership.Member(found.ID)
		if r.leader.Role != raft.Leader { // whom nobody has told of tags
			found.Tag = ""
		}
		if is := misnamed(named, found); is != nil && found.ID != r.host.cfg.Node {
			now[found.ID] = is
		}
	}
	for id, what := range r.troubles {
		if _, misplaced := what.(*LocationError); misplaced && now[id] == nil {
			r.untroubled(id)
		}
	}
	for _, found := range wrong {
		is := now[found.ID]
		if was, misplaced := r.troubles[found.ID].(*LocationError); is != nil && (r.troubles[found.ID] == nil || misplaced && *was != *is) {
			r.troubled(found.ID, is)
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
			r.locations.tags = map[raft.NodeID]saying{}
		}
		r.locations.tags[from] = saying{l.Tag, r.now()}
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
