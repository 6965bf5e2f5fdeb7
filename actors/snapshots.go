package actors

import (
	"cmp"
	"errors"
	"io"
	"math"
	"time"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/replication"
	"github.com/troupe-raft/troupe/snapshotter"
)

// receiveSnapshotter handles what the snapshotter and, for a capture, the applier say.
func (r *replica) receiveSnapshotter(message any) {
	switch m := message.(type) {
	case *snapshotter.WantCapture:
		if r.state.lost != nil {
			r.ctx.Send(r.snapshotter, &snapshotter.Captured{Err: r.state.lost})
			return
		}
		r.ctx.Send(r.applier, &applier.Capture{ReplyTo: r.ctx.Self()})
	case *applier.Captured:
		if m.Err == nil && r.node.MembershipAt(m.Meta.Index).IsZero() {
			// A node that was added later has not read who the founders were: nobody could start from its snapshot.
			m.Err = raft.ErrMembershipUnknown
		}
		r.ctx.Send(r.snapshotter, &snapshotter.Captured{Meta: m.Meta, Write: m.Write, Err: m.Err})
	case *snapshotter.Taken:
		r.snapshotTaken(m)
	case *snapshotter.Unusable:
		r.log.Error("snapshot cannot be read: another one is being taken", "index", m.Meta.Index, "err", m.Err)
		r.host.announce(&SnapshotUnusable{Node: r.host.cfg.Node, Group: r.cfg.Group, Index: m.Meta.Index, Err: m.Err})
	case *snapshotter.Sent:
		r.offered(m.Peer)
		r.kept.Sent(m.Peer, r.now())
		if r.leader.Role == raft.Leader {
			r.ctx.Send(r.syncer, &replication.SnapshotDone{Peer: m.Peer, Index: m.Index, Err: m.Err})
		}
	case *snapshotter.Kept:
		r.restartFrom(m.Meta)
	case *snapshotter.Received:
		r.received(m)
	default:
		r.onDuty(m)
	}
}

// snapshotTaken lets go of the log that the snapshot replaces, less what slow followers may still want.
func (r *replica) snapshotTaken(m *snapshotter.Taken) {
	switch {
	case errors.Is(m.Err, raft.ErrMembershipUnknown): // as on every node that is added, until it has caught up so far
		r.log.Info("no snapshot before the log tells who the members are")
		return
	case m.Err != nil:
		r.log.Error("snapshot failed", "err", m.Err)
		return
	}
	if m.Meta.Index < r.snapshotMeta().Index {
		return
	}
	if m.Meta.Index == r.snapshotMeta().Index { // in the place of one that could not be read
		r.host.announce(&SnapshotTaken{Node: r.host.cfg.Node, Group: r.cfg.Group, Index: m.Meta.Index})
		return
	}
	if r.compact(m.Meta) {
		r.host.announce(&SnapshotTaken{Node: r.host.cfg.Node, Group: r.cfg.Group, Index: m.Meta.Index})
	}
}

// compactable is up to where the log may go once there is this snapshot.
func (r *replica) compactable(meta raft.SnapshotMeta) raft.Index {
	through := raft.Index(0)
	if keep := raft.Index(r.cfg.TrailingEntries); meta.Index > keep {
		through = meta.Index - keep
	}
	return r.kept.Through(through, r.now(), r.node.Follower)
}

// compact makes a durable snapshot the one that a restart begins from.
func (r *replica) compact(meta raft.SnapshotMeta) bool {
	through := r.compactable(meta)
	if fx := r.step(raft.Compacted{Meta: meta, Through: through}, nil); fx.Refused != nil {
		r.log.Error("snapshot is of no use", "index", meta.Index, "err", fx.Refused)
		return false
	}
	r.ctx.Send(r.host.persister, &persister.Compact{Group: r.cfg.Group, Meta: meta, Through: through, ReplyTo: r.ctx.Self()})
	return true
}

// restartFrom notes that a snapshot is what a restart begins from by now, so that the files of older ones may go.
func (r *replica) restartFrom(meta raft.SnapshotMeta) {
	if meta.Index > r.restarts.Index {
		r.restarts = meta
		r.ctx.Send(r.snapshotter, &snapshotter.Kept{Meta: meta})
		r.settle()
	}
}

// compacted follows a snapshot of this replica's own that is known to the disk.
func (r *replica) compacted(m *persister.Compacted) {
	r.restartFrom(m.Meta)
	if r.leader.Role == raft.Leader {
		prev := r.node.Shape().Prev
		r.ctx.Send(r.syncer, &replication.Trim{Term: r.leader.Term, First: prev.Index + 1, Prev: prev})
	}
}

// sendSnapshot feeds a follower that is behind what the log still holds.
func (r *replica) sendSnapshot(m *replication.NeedSnapshot) {
	if r.leader.Role == raft.Leader && m.Term == r.leader.Term {
		r.offer(&snapshotter.Send{Peer: m.Peer, Term: m.Term, Leader: r.host.cfg.Node})
	}
}

// keepsNothing of the log for followers that are sent a snapshot, of which there are none yet.
func (r *replica) keepsNothing() raft.Kept {
	return raft.Kept{
		Most: raft.Index(r.cfg.Tuning.KeptEntries), Idle: cmp.Or(r.cfg.Tuning.SnapshotStall, snapshotter.DefaultStall), Silence: 2 * r.cfg.ElectionTimeout.Max,
	}
}

// letGo has the replica look, to itself, whether what was kept for a follower is needed no more.
type letGo struct{}

// mayLetGo looks, now and then, after a step, whether it is time for that.
func (r *replica) mayLetGo(now time.Duration) {
	if r.kept.Any() && now-r.letGoAt >= r.cfg.ElectionTimeout.Max {
		r.letGoAt = now
		r.ctx.Send(r.ctx.Self(), &letGo{})
	}
}

// letGo compacts what the latest snapshot stands for and nobody needs any more.
func (r *replica) letGo() {
	if meta := r.snapshotMeta(); meta.Index > 0 && r.compactable(meta) > r.node.Shape().Prev.Index {
		r.compact(meta)
	}
}

// offer sends a follower the newest snapshot, which is not older than the one that a restart begins from. The log behind it is kept meanwhile.
func (r *replica) offer(m *snapshotter.Send) {
	r.kept.Send(m.Peer, r.restarts.Index, r.now())
	r.ctx.Send(r.snapshotter, m)
}

// receiveChunk counts as hearing from the leader; chunks of deposed ones are answered with the newer term, once it is on the disk.
func (r *replica) receiveChunk(from raft.NodeID, m *remote.SnapshotChunk) {
	if r.strange(from) {
		return // the rules would drop what it sends, but chunks do not name the founders
	}
	if m.Term < r.node.Term() {
		if to := r.host.transport.Sender(from); to != nil {
			reply := &remote.SnapshotChunkReply{Term: r.node.Term(), Index: m.Meta.Index, Refused: "stale term"}
			post := &remote.Post{Envelope: remote.Envelope{Group: r.cfg.Group, Message: reply}}
			r.ctx.Send(r.host.persister, &persister.Write{Group: r.cfg.Group, Then: []persister.Delivery{{To: to, Message: post}}, ReplyTo: r.ctx.Self()})
		}
		return
	}
	install := &raft.InstallSnapshot{Term: m.Term, Leader: m.Leader, Snapshot: m.Meta}
	if r.node.Admit(from, install) != nil { // before it is received for nothing
		r.step(raft.Received{From: from, Message: install}, nil) // which refuses it
		return
	}
	r.step(raft.Received{From: from, Message: &raft.Heartbeat{Term: m.Term, Leader: m.Leader}}, nil)
	if m.Term > r.node.Term() {
		return // the rules dropped it
	}
	r.ctx.Send(r.snapshotter, &snapshotter.Chunk{From: from, Message: m})
}

func (r *replica) receiveChunkReply(from raft.NodeID, m *remote.SnapshotChunkReply) {
	if m.Term > r.node.Term() {
		r.step(raft.Received{From: from, Message: &raft.HeartbeatReply{Term: m.Term, Last: math.MaxUint64}}, nil)
	}
	if m.Term > r.node.Term() {
		return // the rules dropped it
	}
	r.ctx.Send(r.snapshotter, &snapshotter.ChunkReply{From: from, Message: m})
}

// installed follows a log that a leader's snapshot replaced: the state machine starts again from it.
func (r *replica) installed(meta raft.SnapshotMeta) {
	r.commit = raft.EntryID{Index: meta.Index, Term: meta.Term}
	for len(r.waiting) > 0 && r.waiting[0].Index <= meta.Index { // the snapshot holds their effects, not their results
		r.waiting[0].Waiter.Resolve(0, nil, ErrIndeterminate)
		r.waiting = r.waiting[1:]
	}
	r.beginAgain(meta)
}

// beginAgain has the state machine begin from a leader's snapshot.
func (r *replica) beginAgain(meta raft.SnapshotMeta) {
	r.handedTo, r.beginning = meta.Index, meta.Index
	r.orderApplier(meta)
	r.host.announce(&SnapshotTaken{Node: r.host.cfg.Node, Group: r.cfg.Group, Index: meta.Index, Installed: true})
}

// beginApplier is the applier's order to start from a snapshot, or from nothing.
func (r *replica) beginApplier(meta raft.SnapshotMeta) *applier.Begin {
	r.state.ordered, r.state.begins = meta.Index, meta.Index > 0
	b := &applier.Begin{Meta: meta}
	if meta.Index > 0 {
		fs, dir, buffer := r.host.fs, r.host.snapshotDir(r.cfg.Group), r.cfg.Tuning.SnapshotBufferBytes
		b.Open = func() (io.ReadCloser, error) { return snapshotter.Open(fs, dir, meta, buffer) }
	}
	return b
}

// begun: the state machine stands at the snapshot.
func (r *replica) begun(m *applier.Begun) {
	r.progressTo(m.Index)
	r.state.begins = r.state.begins && m.Index != r.state.ordered
	if m.Index == r.beginning { // what the applier had been given before it has done or given up
		r.beginning, r.inApplier = 0, 0
		r.handOver()
	}
	r.time.applied(r.now(), m.Index, m.Stamp)
	r.changed = true
	r.stateRestored(m.Index)
}

// snapshotMeta is the newest snapshot that the rules know.
func (r *replica) snapshotMeta() raft.SnapshotMeta { return r.node.Snapshot() }
