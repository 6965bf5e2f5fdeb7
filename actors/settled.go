package actors

import (
	"errors"
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// settle follows the memberships that are committed by now, one by one: who was taken out and put in again at once is forgotten all the same. Those
// that the disk held may have been followed before the restart: of them only the latest is. Those that it does not hold yet have to wait, be they
// committed by others: a crash would leave PEERS ahead of the log, and the start after it would follow an earlier membership once more.
func (r *replica) settle() {
	at, to := r.node.MembershipIndex(), min(r.commit.Index, r.node.Durable())
	if r.settledAt == at+1 || r.node.Snapshot().Index > r.restarts.Index {
		return
	}
	for _, c := range r.node.ChangesIn(max(r.settledAt, r.found.last+1), min(to, at-1)) {
		r.settleOn(c)
	}
	if at > to {
		return
	}
	r.settleOn(raft.Change{Index: at, Membership: r.node.Membership()})
	for _, id := range r.settled.IDs() {
		r.identify(id)
	}
}

func (r *replica) settleOn(c raft.Change) {
	before := r.settled
	if c.Index <= r.found.last {
		before = naming(before, c.Membership)
	}
	r.host.guard.settled(r.cfg.Group, before, c.Membership)
	r.settled, r.settledAt = c.Membership, c.Index+1
}

// naming is a membership that names the folders that a later one does, too. Those of one that the disk held at the start are no news.
func naming(before, later raft.Membership) raft.Membership {
	named := slices.DeleteFunc(slices.Clone(later.Members), func(m raft.Member) bool { return m.Store == 0 })
	for _, m := range before.Members {
		if !slices.ContainsFunc(named, func(n raft.Member) bool { return n.ID == m.ID }) {
			named = append(named, m)
		}
	}
	before.Members = named
	return before
}

// settled follows a membership that is committed: folders that it names are let in, and nodes that it drops are forgotten, unless another group
// here has them. It may write to the disk, which is rare enough to be done on the group's own turn.
func (g *guard) settled(group raft.GroupID, before, now raft.Membership) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range before.IDs() {
		if dropped(before, now, id) && !g.host.mayHaveElsewhere(group, id) {
			_ = g.remember(id, raft.Acquaintance{}) // the store's failure, which says so itself
			delete(g.judging, id)
			delete(g.renewed, id)
		}
	}
	for _, m := range now.Members {
		if m.ID != g.host.cfg.Node {
			a := g.met[m.ID]
			if was, _ := before.Member(m.ID); was.Store != m.Store || !g.letInElsewhere(group, m) {
				a = a.Readmit(m.Store, g.entered[m.ID])
			}
			a.Stranger = false
			_ = g.remember(m.ID, a)
			g.meetAgain(m.ID)
		}
	}
}

// letInElsewhere reports whether another group here has let in the folder by which a node is known, or may have, since this one let in the folder that it
// goes on naming. One that was not let in yet is followed: a restart may have come between the log's telling of it and PEERS. The caller holds the lock.
func (g *guard) letInElsewhere(group raft.GroupID, named raft.Member) bool {
	known := g.met[named.ID]
	return known.Readmitted && known.WasLetIn(named.Store) && slices.ContainsFunc(g.host.running(), func(other *Group) bool {
		s := other.Status()
		names := func(m MemberStatus) bool { return m.ID == named.ID && m.Store == known.Store }
		return other.id != group && (s.Phase != Running || slices.ContainsFunc(s.Members, names))
	})
}

// dropped reports whether a node was taken out between two memberships. The folder that one names for it goes only with the node:
// without it the node was taken out and put in again.
func dropped(before, now raft.Membership, id raft.NodeID) bool {
	was, _ := before.Member(id)
	is, _ := now.Member(id)
	return !now.Has(id) || was.Store != 0 && is.Store == 0
}

// undropped is what of a committed membership the latest one in the log leaves as it was. What that drops may have been forgotten before a restart,
// and met anew since.
func undropped(committed, latest raft.Membership) (m raft.Membership) {
	for _, id := range committed.IDs() {
		if dropped(committed, latest, id) {
			continue
		}
		m.Learners = append(m.Learners, id)
		if known, ok := committed.Member(id); ok {
			m.Members = append(m.Members, known)
		}
	}
	return m
}

// meetAgain has a member greet anew that is connected and was forgotten, or of whose folder, which was let in, another greeting has hidden the start.
// Otherwise nobody would know it by its folder, or by its start, and it could lose them unnoticed. The caller holds the lock.
func (g *guard) meetAgain(node raft.NodeID) {
	if a := g.met[node]; a.Known() && a.Start > 0 || !g.entered[node].Known() {
		return
	}
	delete(g.entered, node)
	g.hangUp(node, ErrForgotten)
}

// ErrForgotten is why a transport is told to hang up on a node that did nothing wrong (remote.Transport): what was known of it has been forgotten since it
// called.
var ErrForgotten = errors.New("the node has been forgotten since it called: it has to greet anew")

// ungreet has the transport no longer call those that a membership drops, unless another group here may have them.
func (h *Host) ungreet(group raft.GroupID, before, now raft.Membership) {
	t, ok := h.transport.(interface{ Ungreet(raft.NodeID) })
	for _, id := range before.IDs() {
		if ok && !now.Has(id) && !h.mayHaveElsewhere(group, id) {
			t.Ungreet(id)
		}
	}
}

// mayHaveElsewhere says whether another group on this host has the node as a member. One that does not run may.
func (h *Host) mayHaveElsewhere(group raft.GroupID, node raft.NodeID) bool {
	return slices.ContainsFunc(h.running(), func(g *Group) bool {
		s := g.Status()
		return g.id != group && (s.Phase != Running || slices.ContainsFunc(s.Members, func(m MemberStatus) bool { return m.ID == node }))
	})
}
