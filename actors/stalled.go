package actors

import (
	"time"

	"github.com/troupe-raft/troupe/heartbeat"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/replication"
	"github.com/troupe-raft/troupe/snapshotter"
)

// A leader whose actor is stuck in the middle of a turn, in a rule, a checker or on a lock, would keep its office as long as its node lives: its
// heartbeats come from an actor of the host's. So the heartbeat looks for signs of life of the groups that lead, and withholds the beats
// of one that gives none (HostTuning.LeaderStall). What it says when it wakes up comes from its own mailbox again, in order: it learns of a
// newer leader as any deposed one does, and its lease has run out by its own clock.

// stalled ends what the daemons of a stuck leader go on to send, which its followers would take for a leader's word, too.
func (h *Host) stalled(ctx sender, m *heartbeat.Stalled) {
	if to := h.routeOf(m.Group); to != nil {
		ctx.Send(to.syncer, &replication.Rest{Term: m.Term})
		ctx.Send(to.snapshotter, &snapshotter.Abort{Term: m.Term})
	}
	h.announce(&LeaderStalled{Node: h.cfg.Node, Group: m.Group, Term: m.Term})
}

// resumed has a group that is back give its daemons their orders again, if it still leads.
func (h *Host) resumed(ctx sender, m *heartbeat.Resumed) {
	if to := h.routeOf(m.Group); to != nil {
		ctx.Send(to.group, m)
	}
}

// resume follows resumed, on the group's own turn.
func (r *replica) resume(m *heartbeat.Resumed) {
	if r.leads(m.Term) {
		r.lead()
	}
}

func (r *replica) leads(term raft.Term) bool {
	return r.leader.Role == raft.Leader && r.leader.Term == term
}

// probed answers the heartbeat.
func (r *replica) probed(m *heartbeat.Probe) {
	if r.leads(m.Term) {
		r.giveSign(r.now())
	}
}

// takesTurns tells the heartbeat from time to time that a leader takes its turns, so that it need not ask: the answers of its followers, which come
// once an interval, are turns enough.
func (r *replica) takesTurns(now time.Duration) {
	if r.leader.Role == raft.Leader && now-r.signed >= r.host.cfg.Tuning.LeaderStall/4 {
		r.giveSign(now)
	}
}

func (r *replica) giveSign(now time.Duration) {
	r.signed = now
	r.ctx.Send(r.host.heartbeat, &heartbeat.Alive{Group: r.cfg.Group, Term: r.leader.Term})
}
