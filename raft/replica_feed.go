package raft

import "time"

// A follower is another member as its leader's Replica feeds it.
type follower struct {
	id       NodeID
	progress *Progress
	giveUp   alarm // on the snapshot under way
}

func (f *follower) deadline() (time.Duration, bool) {
	if f.giveUp.set {
		return f.giveUp.at, true
	}
	return f.progress.Deadline()
}

func (f *follower) expire(now time.Duration) {
	if f.giveUp.set && f.giveUp.at <= now {
		f.giveUp.set = false
		f.progress.SnapshotFailed(now)
		return
	}
	f.progress.Expire(now)
}

// enlist makes r.followers the other members while leading, nobody otherwise. A fresh leadership knows
// nothing of them (Figure 2: nextIndex is reinitialized after election).
func (r *Replica) enlist(fresh bool) {
	old := r.followers
	r.followers = nil
	if r.node.Role() != Leader {
		r.heartbeat.set = false
		return
	}
	last := r.node.LastIndex()
	if fresh {
		old = nil
		last-- // its no-op is sent first
	}
	for _, id := range r.node.Membership().IDs() {
		if id == r.cfg.ID {
			continue
		}
		f := &follower{id: id, progress: NewProgress(r.cfg.Pace, last)}
		for _, o := range old {
			if o.id == id {
				f = o
			}
		}
		r.followers = append(r.followers, f)
	}
}

// beat sends a heartbeat to everybody.
func (r *Replica) beat() {
	r.heartbeat = alarm{at: r.now + r.cfg.HeartbeatInterval, set: true}
	commit := r.node.CommitIndex()
	term, _ := r.node.TermAt(commit)
	for _, f := range r.followers {
		r.post(Packet{From: r.cfg.ID, To: f.id, Message: &Heartbeat{
			Term: r.node.Term(), Leader: r.cfg.ID, Round: r.node.Round(), Sent: r.now,
			Commit: EntryID{Index: commit, Term: term}, Founders: r.node.Founders(),
		}}, false)
	}
}

// pace tells a follower's Progress what it answered.
func (r *Replica) pace(from NodeID, m Message) {
	if r.node.Role() != Leader || m.MsgTerm() != r.node.Term() {
		return
	}
	for _, f := range r.followers {
		if f.id != from {
			continue
		}
		switch m := m.(type) {
		case *AppendEntriesReply:
			if m.Success {
				f.progress.Acked(r.now, min(m.Match, r.mem.last()))
			} else {
				f.progress.Refused(r.now, m, r.node.Shape())
			}
		case *InstallSnapshotReply:
			f.progress.Acked(r.now, min(m.Match, r.mem.last()))
		case *HeartbeatReply:
			f.progress.Heard()
			if m.Wants > 0 && m.Wants <= r.mem.snapshot.Index && !r.lost {
				r.sendSnapshot(f.id)
			}
		}
		f.giveUp.set = f.giveUp.set && f.progress.Mode() == Snapshot
	}
}

// feed sends the followers what their Progress allows.
func (r *Replica) feed() {
	for _, f := range r.followers {
		for r.feedOne(f) {
		}
	}
}

func (r *Replica) feedOne(f *follower) bool {
	switch f.progress.Advise(r.now, r.mem.prev.Index+1, r.mem.last()) {
	case SendEntries:
		r.sendEntries(f, r.fit(f.progress.Next(), f.progress.MessageBytes(r.now)))
	case SendProbe:
		r.sendEntries(f, f.progress.Next()-1)
	case SendSnapshot:
		f.progress.SnapshotStarted(r.mem.snapshot.Index)
		f.giveUp = alarm{at: r.now + f.progress.pace.RetryMax, set: true}
		r.sendSnapshot(f.id)
	default:
		return false
	}
	return true
}

func (r *Replica) sendSnapshot(to NodeID) {
	r.post(Packet{From: r.cfg.ID, To: to, Snapshot: r.mem.data, Message: &InstallSnapshot{
		Term: r.node.Term(), Leader: r.cfg.ID, Snapshot: r.mem.snapshot,
	}}, false)
}

// fit returns the last entry of a message of at most so many bytes that begins with first.
func (r *Replica) fit(first Index, most int) Index {
	bytes := 0
	most = min(most, r.cfg.MaxMessageBytes)
	for _, e := range r.mem.slice(first, r.mem.last()) {
		bytes += len(e.Data)
		if e.Index > first && bytes > most {
			return e.Index - 1
		}
	}
	return r.mem.last()
}

// sendEntries sends the entries from f's Next through last; none when last precedes it.
func (r *Replica) sendEntries(f *follower, last Index) {
	first := f.progress.Next()
	entries := r.mem.slice(first, last)
	prev, _ := r.node.TermAt(first - 1)
	p := Packet{From: r.cfg.ID, To: f.id, Message: &AppendEntries{
		Term: r.node.Term(), Leader: r.cfg.ID, Prev: EntryID{Index: first - 1, Term: prev},
		Runs: runsOf(entries), Changes: r.node.ChangesIn(first, last), Commit: r.node.CommitIndex(), Founders: r.node.Founders(),
	}}
	bytes := 0
	for _, e := range entries {
		bytes += len(e.Data)
		p.Data, p.Kinds = append(p.Data, e.Data), append(p.Kinds, e.Kind)
	}
	f.progress.Sent(r.now, last, bytes)
	r.post(p, false)
}
