package actors

import (
	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/heartbeat"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/replication"
	"github.com/troupe-raft/troupe/snapshotter"
)

// step gives the rules one event and turns their effects into messages. Blocks are the payload of the event: what a
// peer sent, or the block just proposed.
func (r *replica) step(ev raft.Event, blocks []*entry.Block) raft.Effects {
	now := r.now()
	fx := r.node.Step(now, ev)
	r.changed = true
	if watch := r.host.cfg.Watch; watch != nil {
		watch(r.cfg.Group, r.node)
	}
	if in, ok := ev.(raft.Received); ok {
		if fx.Impossible != nil {
			r.refuse(in.From, fx.Impossible)
		} else {
			r.met(in.From, fx.Stranger)
			r.hear(in, now)
		}
	}
	r.logVotes(ev, &fx)
	stored := r.store(&fx, blocks)
	if r.tail.bytes > r.cfg.MaxInflightBytes {
		r.releaseTail() // the applier lags: it will read from the disk
	}
	if fx.Role != nil && r.leader.Role == raft.Leader && len(fx.Append) > 0 {
		r.overwritten(fx.Append[0].First) // or their clients would get the results of what took their place
	}
	// Commits first: a leader that steps down by this very step still owes its clients their results.
	if fx.Commit.Index > r.commit.Index {
		r.committed(fx.Commit)
	}
	if fx.Role != nil {
		r.leadershipMoved(*fx.Role)
	} else if r.leader.Role == raft.Leader && len(stored) > 0 {
		r.ctx.Send(r.syncer, &replication.Extend{Term: r.leader.Term, Blocks: stored})
	}
	if fx.Membership != nil {
		r.membershipMoved(*fx.Membership)
	}
	if fx.Beat != 0 {
		r.ctx.Send(r.host.heartbeat, &heartbeat.BeatNow{Group: r.cfg.Group, Term: r.leader.Term, Round: fx.Beat})
	}
	for _, done := range fx.Reads {
		r.readDone(done)
	}
	if fx.Transfer != nil {
		r.transferDone(*fx.Transfer)
	}
	if fx.Suspended {
		r.log.Warn("clock and calendar have parted: the machine was suspended, or its calendar set; the lease is over, until followers renew it", "drift", r.cfg.LeaseDrift)
	}
	for _, d := range fx.Doubts {
		r.doubtMoved(d)
	}
	switch fx.Patience {
	case raft.WaitAfresh:
		r.patience++
		r.ctx.Send(r.election, election.Arm{Seq: r.patience})
	case raft.StopWaiting:
		r.patience++
		r.ctx.Send(r.election, election.Disarm{Seq: r.patience})
	}
	r.takesTurns(now)
	r.noteRemoval()
	r.mayLocate(now)
	r.mayLetGo(now)
	return fx
}

// store makes one atomic write of what the step wants stored, with the messages that must wait for it, and sends the
// others. It returns the blocks that joined the log.
func (r *replica) store(fx *raft.Effects, payload []*entry.Block) []*entry.Block {
	w := persister.Write{Group: r.cfg.Group, Hard: fx.Hard, Reset: fx.Reset, Ack: fx.Ack, ReplyTo: r.ctx.Self()}
	if fx.Reset != nil {
		r.tail.clear()
		r.found = found{}
		r.time.installed(fx.Reset.Index)
		w.Then = append(w.Then, persister.Delivery{To: r.ctx.Self(), Message: &snapshotter.Kept{Meta: *fx.Reset}})
		r.installed(*fx.Reset) // first: the applier knows of the newer snapshot before any older file goes
	}
	if len(fx.Append) > 0 {
		w.Blocks = r.joined(fx.Append, payload)
		r.found.replaced(fx.Append[0].First)
		r.tail.truncate(fx.Append[0].First)
		for _, b := range w.Blocks {
			r.tail.append(b)
		}
		r.time.appended(r.now(), fx.Append[0].First, w.Blocks, r.node.Role() == raft.Leader)
	}
	for _, out := range fx.Send {
		to := r.host.transport.Sender(out.To)
		if to == nil { // as lossy as any network
			r.troubled(out.To, &NoAddressError{Peer: out.To})
			continue
		}
		if len(r.troubles) > 0 {
			r.reachable(out.To)
		}
		post := r.envelop(out.Message)
		if out.AfterSync {
			w.Then = append(w.Then, persister.Delivery{To: to, Message: post})
		} else {
			r.ctx.Send(to, post)
		}
	}
	if w.Ack != nil || len(w.Then) > 0 {
		r.ctx.Send(r.host.persister, &w)
	}
	return w.Blocks
}

// overwritten ends the waits for entries that a newer leader has replaced.
func (r *replica) overwritten(first raft.Index) {
	n := len(r.waiting)
	for n > 0 && r.waiting[n-1].Index >= first {
		n--
		r.waiting[n].Waiter.Resolve(0, nil, ErrIndeterminate)
	}
	r.waiting = r.waiting[:n]
}

// envelop makes a message fit for the wire, where a heartbeat travels in a pulse.
func (r *replica) envelop(m raft.Message) *remote.Post {
	env := remote.Envelope{Group: r.cfg.Group, Message: m}
	if beat, ok := m.(*raft.Heartbeat); ok {
		env = remote.Envelope{Message: &remote.Pulse{Beats: []remote.Beat{{Group: r.cfg.Group, Heartbeat: *beat}}}}
	}
	return &remote.Post{Envelope: env}
}

// joined gathers the blocks of what joined the log: the payload, cut to what is new, and the node's own entries.
func (r *replica) joined(appended []raft.Appended, payload []*entry.Block) []*entry.Block {
	var out []*entry.Block
	for _, a := range appended {
		switch a.Kind {
		case raft.NoOp:
			out = append(out, r.single(a, nil))
		case raft.Reconfigure:
			out = append(out, r.single(a, entry.AppendMembership(nil, *a.Membership)))
		default:
			for _, b := range payload {
				if b.Last() < a.First || b.First() > a.Last {
					continue
				}
				out = append(out, b.Slice(max(b.First(), a.First), min(b.Last(), a.Last)))
			}
		}
	}
	return out
}

// single is the block of an entry that the rules made themselves.
func (r *replica) single(a raft.Appended, data []byte) *entry.Block {
	var b entry.Builder
	stamp := r.time.now(r.now())
	if len(r.batch) > 0 && r.gathered > 0 { // what gathers follows it in the log, and was stamped before
		stamp = min(stamp, r.gathered)
	}
	b.Append(a.Kind, 0, entry.Timed, stamp, data)
	return b.Seal(a.Term, a.First)
}

// committed passes a new commit index on, and committed entries to the applier.
func (r *replica) committed(to raft.EntryID) {
	idle := r.applied >= r.commit.Index
	r.commit = to
	for len(r.inFlight) > 0 && r.inFlight[0] <= to.Index {
		r.inFlight = r.inFlight[1:]
	}
	if r.leader.Role == raft.Leader {
		r.ctx.Send(r.syncer, &replication.Advance{Term: r.leader.Term, Commit: to.Index})
		r.ctx.Send(r.host.heartbeat, &heartbeat.Advance{Group: r.cfg.Group, Term: r.leader.Term, Commit: to})
	}
	r.settle()
	r.change.committed(r, to.Index)
	r.handOver()
	r.watchProgress(idle)
}

// handOver gives the applier what is committed and not yet handed over, with the proposals that wait for it. So few batches may wait there
// that what piles up behind a slow Apply stays on disk rather than in memory, and enough that the applier never idles.
func (r *replica) handOver() {
	if r.inApplier >= r.cfg.Tuning.ApplyQueue || r.beginning > 0 || r.commit.Index <= r.handedTo {
		return
	}
	n := 0
	for n < len(r.waiting) && r.waiting[n].Index <= r.commit.Index {
		n++
	}
	due := r.waiting[:n:n]
	r.waiting = r.waiting[n:]
	r.handed = append(r.handed, due...)
	r.ctx.Send(r.applier, &applier.Committed{
		Through: r.commit,
		Blocks:  r.tail.between(r.handedTo, r.commit.Index),
		Waiters: due,
	})
	r.handedTo = r.commit.Index
	r.inApplier++
	r.releaseTail()
}

// releaseTail forgets blocks that are on disk and with the applier. A replica whose applier lags keeps none of
// what the disk has: the applier will read it there.
func (r *replica) releaseTail() {
	durable := r.node.Durable()
	if r.tail.bytes > r.cfg.MaxInflightBytes {
		r.tail.release(durable)
		return
	}
	r.tail.release(min(durable, r.handedTo))
}

// appliedTo notes what the applier has done.
func (r *replica) appliedTo(index raft.Index, stamp int64) {
	r.inApplier--
	r.progressTo(index)
	r.time.applied(r.now(), index, stamp)
	r.changed = true
	n := 0
	for n < len(r.handed) && r.handed[n].Index <= index {
		n++
	}
	r.handed = r.handed[n:]
	r.handOver()
	r.ctx.Send(r.snapshotter, &snapshotter.Applied{Index: index})
}
