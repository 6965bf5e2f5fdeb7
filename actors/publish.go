package actors

import (
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// publish makes the replica's picture as of now available to everybody. It is a new value each time, never changed.
func (r *replica) publish() {
	r.changed = false
	if r.phase != running {
		return
	}
	n := r.node
	last := n.LastIndex()
	s := &Status{
		Node: r.host.cfg.Node, Group: r.cfg.Group, Phase: Running, Role: r.leader.Role, Term: r.leader.Term, Leader: r.leader.Leader,
		Commit: r.commit.Index, Applied: r.applied, First: n.FirstIndex(), Last: last, Durable: min(n.Durable(), last),
		Snapshot: n.Snapshot().Index, Joint: len(r.effective.Membership.Outgoing) > 0,
		Doubt: n.InDoubt(r.host.cfg.Node), Refused: r.refused, Removed: n.Removed(),
	}
	s.StalledSince = r.progress.stalled
	s.CaughtUp, s.Trouble = r.caughtUp(), r.troubles[r.host.cfg.Node]
	if s.CaughtUp && r.leader.Role != raft.Leader {
		s.caughtUpUntil = r.lag.heard + r.keptWithin()
	}
	if s.Trouble == nil && r.state.lost != nil {
		s.Trouble = r.state.lost
	}
	s.Members, s.MembersIndex = r.memberStatus(), n.MembershipIndex()
	r.handle.status.Store(s)
}

// status answers GetStatus.
func (r *replica) status() {
	r.publish()
	if r.ctx.Sender() != nil {
		r.ctx.Respond(r.handle.Status())
	}
}

func (r *replica) memberStatus() []MemberStatus {
	m := r.effective.Membership
	out := make([]MemberStatus, 0, len(m.Members))
	for _, member := range m.Members {
		ms := MemberStatus{Member: member, Voter: slices.Contains(m.Voters, member.ID) || slices.Contains(m.Outgoing, member.ID), Trouble: r.troubles[member.ID]}
		if member.ID == r.host.cfg.Node && ms.Trouble == nil {
			ms.Trouble = r.ownMisplacement(member)
		}
		ms.Doubt = r.node.InDoubt(member.ID)
		if r.leader.Role == raft.Leader {
			match, _, _ := r.node.Follower(member.ID)
			ms.Match, ms.Progress = match, r.fed(member.ID)
			ms.Active = r.active(member.ID)
		}
		out = append(out, ms)
	}
	return out
}

// active reports, while this replica leads, whether a member answered within the shortest election timeout.
func (r *replica) active(id raft.NodeID) bool {
	_, heard, fed := r.node.Follower(id)
	return fed && r.now()-heard < r.cfg.ElectionTimeout.Min
}

// fed is how a member is fed, by the syncer's last word.
func (r *replica) fed(id raft.NodeID) raft.ProgressStatus {
	for i := range r.feeding {
		if r.feeding[i].Peer == id {
			return r.feeding[i].ProgressStatus
		}
	}
	return raft.ProgressStatus{}
}
