package actors

import (
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/heartbeat"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/replication"
	"github.com/troupe-raft/troupe/snapshotter"
)

// leadershipMoved follows a change of role, term or leader.
func (r *replica) leadershipMoved(now raft.RoleState) {
	before := r.leader
	r.leader = now
	r.time.lead(r.now(), now.Leader != raft.None)
	if before.Role == raft.Leader && (now.Role != raft.Leader || now.Term != before.Term) {
		r.deposed(before.Term)
	}
	if now.Role == raft.Leader && (before.Role != raft.Leader || before.Term != now.Term) {
		r.inherit()
		r.progress.led, r.progress.passed = r.now(), never
		r.readClocks() // before any heartbeat on whose answer a lease may rest
		r.lead()
	}
	if now.Leader != raft.None {
		r.transfer.leaderKnown(r, now.Leader)
	}
	r.log.Info("role", "role", Status{Role: now.Role}.RoleName(), "term", now.Term, "leader", now.Leader)
	r.publish()
	r.host.announce(&RoleChanged{
		Node: r.host.cfg.Node, Group: r.cfg.Group, Role: now.Role, Term: now.Term, Leader: now.Leader,
	})
}

// lead gives the syncer and the heartbeat their orders. The syncer gets the durable log as a shape to read by, and what is
// not on disk yet as blocks; it is the same path when a term begins and when the daemon restarts.
func (r *replica) lead() {
	durable := r.node.Durable()
	peers := r.peers()
	r.reachAll()
	r.ctx.Send(r.syncer, &replication.Lead{
		Term: r.leader.Term, Leader: r.host.cfg.Node, Peers: peers,
		Shape: cut(r.node.Shape(), durable), Commit: r.commit.Index, Founders: r.node.Founders(),
	})
	if fresh := r.after(durable); len(fresh) > 0 {
		r.ctx.Send(r.syncer, &replication.Extend{Term: r.leader.Term, Blocks: fresh})
	}
	r.beat()
}

// beat registers this leader with the host's heartbeat.
func (r *replica) beat() {
	r.ctx.Send(r.host.heartbeat, &heartbeat.Lead{
		Group: r.cfg.Group, Term: r.leader.Term, Peers: r.peers(), Round: r.node.Round(), Commit: r.commit, Actor: r.ctx.Self(),
		Founders: r.node.Founders(),
	})
}

// deposed ends what this replica did as the leader of a term. What it proposed and did not see committed is unknown from here on.
func (r *replica) deposed(term raft.Term) {
	r.feeding, r.wants, r.kept, r.locations = nil, nil, r.keepsNothing(), locations{}
	r.ctx.Send(r.syncer, &replication.Rest{Term: term})
	r.ctx.Send(r.snapshotter, &snapshotter.Abort{Term: term})
	r.ctx.Send(r.host.heartbeat, &heartbeat.Rest{Group: r.cfg.Group, Term: term})
	n := len(r.waiting)
	for n > 0 && r.waiting[n-1].Index > r.commit.Index {
		n--
	}
	for _, w := range r.waiting[n:] {
		w.Waiter.Resolve(0, nil, ErrIndeterminate)
	}
	r.waiting = r.waiting[:n]
	r.inFlight = nil
	r.refuseWaiting(&NotLeaderError{Leader: r.leader.Leader, Term: r.leader.Term})
	r.change.fail(ErrIndeterminate)
}

// after returns the tail's blocks beyond an index.
func (r *replica) after(index raft.Index) []*entry.Block {
	var out []*entry.Block
	for _, b := range r.tail.between(index, r.node.LastIndex()) {
		out = append(out, b.Slice(max(b.First(), index+1), b.Last()))
	}
	return out
}

// cut is the shape of a log that ends at last.
func cut(s raft.Shape, last raft.Index) raft.Shape {
	out := raft.Shape{Prev: s.Prev}
	for _, run := range s.Runs {
		if run.First > last {
			break
		}
		run.Last = min(run.Last, last)
		out.Runs = append(out.Runs, run)
	}
	return out
}

// peers is every other member that must receive the log.
func (r *replica) peers() []raft.NodeID {
	m := r.node.Membership()
	var out []raft.NodeID
	seen := map[raft.NodeID]bool{r.host.cfg.Node: true}
	for _, ids := range [][]raft.NodeID{m.Voters, m.Outgoing, m.Learners} {
		for _, id := range ids {
			if !seen[id] {
				seen[id] = true
				out = append(out, id)
			}
		}
	}
	return out
}

// membershipMoved follows a membership that became effective: appended, rolled back or installed.
func (r *replica) membershipMoved(c raft.Change) {
	r.host.learnAddresses(r.effective.Membership, c.Membership)
	r.forgetTroubles(r.effective.Membership, c.Membership)
	r.host.ungreet(r.cfg.Group, r.effective.Membership, c.Membership)
	r.effective = c
	r.locations.self, r.locations.tags = "", nil // said of the one before; who has it wrong says so again
	r.host.guard.inForce(c.Membership)
	r.greetAll()
	if r.leader.Role == raft.Leader {
		r.reachAll()
		r.ctx.Send(r.syncer, &replication.Peers{Term: r.leader.Term, Peers: r.peers(), Founders: r.node.Founders()})
		r.beat()
	}
	r.publish()
	r.host.announce(&MembershipChanged{
		Node: r.host.cfg.Node, Group: r.cfg.Group, Index: c.Index, Membership: c.Membership,
	})
}
