package sim

import (
	"errors"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Located implements remote.Locator.
func (l *benchLine) Located(id raft.NodeID) string { return l.located[id] }

// Advertised implements remote.Locator.
func (l *benchLine) Advertised() string { return l.own }

// CheckAddr implements remote.Locator.
func (l *benchLine) CheckAddr(addr string) error {
	if addr == nowhere {
		return errors.New("nobody is reached there")
	}
	return nil
}

// member is one of its members, as it has it.
func (h *hosted) member(id raft.NodeID) actors.MemberStatus {
	for _, m := range h.group.Status().Members {
		if m.ID == id {
			return m
		}
	}
	return actors.MemberStatus{}
}

// goesOn lets time pass, in which its followers answer.
func (h *hosted) goesOn(d time.Duration, followers ...raft.NodeID) {
	for range int(d / (20 * time.Millisecond)) {
		h.pass(20 * time.Millisecond)
		for _, id := range followers {
			h.answers(id)
		}
	}
}

// addressed is a group whose membership has addresses.
func addressed(c *actors.GroupConfig) {
	c.Addrs, c.Tag = map[raft.NodeID]string{1: "a", 2: "b", 3: "c"}, "one"
}

// movedMembers: a follower tells its leader where that is, and what itself is; a leader has the membership say what it was told, by members, and what
// it found.
func (b *bench) movedMembers() {
	h := b.putHost(&image{}, newTree(), nil, addressed)
	h.located, h.own = map[raft.NodeID]string{2: "b2", 3: "c"}, "a2"
	for range 5 {
		h.hears(2, &raft.Heartbeat{Term: 2, Leader: 2})
		h.pass(150 * time.Millisecond)
	}
	leader, self := false, false
	for _, l := range took[*remote.Location](h, 2) {
		leader, self = leader || *l == remote.Location{Node: 2, Addr: "b2"}, self || *l == remote.Location{Node: 1, Tag: "one"}
	}
	b.demand(leader && self, "it tells its leader where that is: %t, and its own tag: %t", leader, self)

	h = b.putHost(&image{}, newTree(), nil, addressed)
	h.located, h.own = map[raft.NodeID]string{3: "c2"}, "a2"
	h.leads()
	h.hears(9, &remote.Location{Node: 1, Addr: "a9"})
	h.hears(2, &remote.Location{Node: 1, Addr: "a3"}, &remote.Location{Node: 1, Addr: "a2"}, &remote.Location{Node: 2, Tag: "two"}, &remote.Location{Node: 3, Tag: "three"})
	h.goesOn(2*time.Second, 2, 3)
	one, two, three := h.member(1), h.member(2), h.member(3)
	h.hears(2, &remote.Location{Node: 2, Tag: "two"}) // what it said long ago is forgotten
	h.asks(&actors.ChangeMembers{Change: actors.Change{Addresses: []raft.Member{{ID: 2, Tag: "corrected"}}}})
	h.goesOn(2*time.Second, 2, 3)
	b.demand(h.member(2).Tag == "corrected", "what an operator has corrected since is made %q by what a member said before", h.member(2).Tag)
	b.demand(one.Addr == "a2" && one.Tag == "one" && two.Addr == "b" && two.Tag == "two" && three.Addr == "c2" && three.Tag == "", "the membership is made to say %v, %v, %v", one.Member, two.Member, three.Member)
}

// keptAddresses: a host that leaves memberships as they are names who is elsewhere, until an operator has corrected that; and addresses at which nobody
// can be reached are refused.
func (b *bench) keptAddresses() {
	b.hosts = func(c *actors.HostConfig) {
		c.KeepAddresses, c.ForceAddresses, c.Peers = true, true, map[raft.NodeID]string{2: "given"}
	}
	defer func() { b.hosts = nil }()
	h := b.putHost(&image{}, newTree(), nil, addressed)
	h.located = map[raft.NodeID]string{3: "c2"}
	h.leads()
	h.goesOn(time.Second, 2, 3)
	elsewhere := (*actors.LocationError)(nil)
	b.demand(errors.As(h.trouble(), &elsewhere) && strings.Contains(h.trouble().Error(), "set-addr 3 c2"), "who is elsewhere is in %v", h.trouble())
	asks := func(m raft.Member) error {
		r := h.asks(&actors.ChangeMembers{Change: actors.Change{Addresses: []raft.Member{m}}})
		h.answers(2)
		h.goesOn(time.Second, 2, 3)
		return r.err()
	}
	invalid := (*raft.InvalidChangeError)(nil)
	for _, m := range []raft.Member{{ID: 9, Addr: "i"}, {ID: 3, Addr: nowhere}} {
		err := asks(m)
		b.demand(errors.As(err, &invalid), "that node %d is at %q is told %v", m.ID, m.Addr, err)
	}
	unsafe := (*raft.UnsafeChangeError)(nil)
	err := h.asks(&actors.ChangeMembers{Change: actors.Change{AddLearners: []raft.Member{{ID: 4, Addr: "b"}}}}).err()
	b.demand(errors.As(err, &unsafe) && unsafe.Servers[0].Why == raft.Taken && unsafe.Error() != "", "a node at another's address is told %v", err)
	err = asks(raft.Member{ID: 3, Addr: "c2"})
	b.demand(err == nil && h.member(3).Addr == "c2" && h.trouble() == nil, "where it is known to be is told %v: %v, in %v", err, h.member(3).Member, h.trouble())
	h.own = "a2"
	err = asks(raft.Member{ID: 1, Addr: "a2"})
	b.demand(err == nil && h.member(1).Addr == "a2", "that this node is where it says itself is told %v: %v", err, h.member(1).Member)
	_, err = actors.StartGroup(h.host, actors.GroupConfig{
		Group: 7, Members: []raft.NodeID{1, 2}, Addrs: map[raft.NodeID]string{2: nowhere}, Apply: func(actors.Command) []byte { return nil }, NoRestart: true,
	})
	b.demand(err != nil && strings.Contains(err.Error(), "Addrs: node 2"), "a group with a member that nobody reaches is told %v", err)
}

// keptTags: such a host names whose tag the membership has wrong, itself included, as long as they say so. Who has no tag there is no mistake.
func (b *bench) keptTags() {
	b.hosts = func(c *actors.HostConfig) { c.KeepAddresses = true }
	defer func() { b.hosts = nil }()
	h := b.putHost(&image{}, newTree(), nil, func(c *actors.GroupConfig) {
		addressed(c)
		c.Tags = map[raft.NodeID]string{1: "1", 2: "2"}
	})
	h.leads()
	h.hears(2, &remote.Location{Node: 2, Tag: "two"})
	h.hears(3, &remote.Location{Node: 3, Tag: "three"})
	h.goesOn(time.Second, 2, 3)
	wrong := (*actors.LocationError)(nil)
	b.demand(errors.As(h.member(2).Trouble, &wrong) && strings.Contains(wrong.Error(), "set-addr 2 b two"), "of another's wrong tag it says %v", h.member(2).Trouble)
	b.demand(errors.As(h.member(1).Trouble, &wrong) && wrong.Found.Tag == "one" && h.group.Status().Trouble == nil, "of its own it says %v", h.member(1).Trouble)
	b.demand(h.member(3).Trouble == nil, "of a tag that the membership has not it says %v", h.member(3).Trouble)
	h.goesOn(3*time.Second, 2, 3)
	b.demand(h.member(2).Trouble == nil, "of who says so no more it says %v", h.member(2).Trouble)
}

// removedMember: who is told that it was taken out rests, says so, and takes part again once a leader is heard.
func (b *bench) removedMember() {
	h := b.putHost(&image{}, newTree(), nil, nil)
	release := h.holds("election.timer")
	h.hears(2, &raft.Removed{Index: 9})
	h.pass(time.Second)
	release()
	h.sent[2] = nil
	h.pass(2 * time.Second)
	s := h.group.Status()
	b.demand(s.RoleName() == "removed" && s.Removed == 9 && len(took[*raft.RequestVote](h, 2)) == 0, "who was taken out is %q, by %d", s.RoleName(), s.Removed)
	h.hears(2, &raft.Heartbeat{Term: 2, Leader: 2})
	s = h.group.Status()
	b.demand(s.RoleName() == "follower" && s.Removed == 0, "who hears a leader again is %q", s.RoleName())
}
