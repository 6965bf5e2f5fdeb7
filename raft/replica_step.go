package raft

import "time"

// A payload is what came with the event being stepped: the entries of a proposal or of a message.
type payload struct {
	first Index // of data; zero for a proposal, which goes where the leader puts it
	data  [][]byte
	kinds []Kind
	// changes are the memberships among them.
	changes []Change
}

// Receive takes a packet that the transport says comes from from. A message that no correct server sends is dropped and returned as an
// *ImpossibleMessageError (all that it may change is the term: Effects.Impossible), also when the payload does not fit the message: end the connection it came on.
func (r *Replica) Receive(from NodeID, p Packet) error {
	var in payload
	switch m := p.Message.(type) {
	case *AppendEntries:
		var count Index
		for _, run := range m.Runs {
			count += run.Last - run.First + 1
		}
		if count != Index(len(p.Data)) || count != Index(len(p.Kinds)) {
			j := judge{from: from, message: m}
			j.demand(false, "its runs are of %d entries, and it has %d payloads and %d kinds", count, len(p.Data), len(p.Kinds))
			return j.verdict()
		}
		in = payload{first: m.Prev.Index + 1, data: p.Data, kinds: p.Kinds, changes: m.Changes}
	case *InstallSnapshot:
		r.staged = p.Snapshot
	}
	eff := r.step(Received{From: from, Message: p.Message}, in)
	r.staged = nil
	if m, ok := p.Message.(*InstallSnapshot); ok && r.lost && eff.Impossible == nil {
		r.regain(m.Snapshot, p.Snapshot)
	}
	if eff.Impossible == nil {
		r.pace(from, p.Message)
	}
	r.feed()
	return eff.Impossible
}

// step lets the rules see ev and does what they ask.
func (r *Replica) step(ev Event, in payload) Effects {
	eff := r.node.Step(r.now, ev)
	r.store(&eff, in)
	for _, o := range eff.Send {
		r.post(Packet{From: r.cfg.ID, To: o.To, Message: o.Message}, o.AfterSync)
	}
	r.reads = append(r.reads, eff.Reads...)
	if eff.Transfer != nil {
		r.transfer = eff.Transfer
	}
	if eff.Role != nil || eff.Membership != nil {
		r.enlist(eff.Role != nil)
	}
	switch eff.Patience {
	case WaitAfresh:
		r.wait()
	case StopWaiting:
		r.patience.set = false
	}
	if eff.Beat != 0 {
		r.beat()
	}
	if eff.Ack != nil && !r.cfg.HoldSync {
		r.step(*eff.Ack, payload{})
	}
	r.feed()
	return eff
}

// store writes what the rules want stored.
func (r *Replica) store(eff *Effects, in payload) {
	if eff.Ack == nil {
		return
	}
	w := write{hard: eff.Hard, reset: eff.Reset}
	if w.reset != nil {
		w.data = r.staged
		if w.reset.Index == r.mem.snapshot.Index { // the snapshot that was found at the start
			w.data = r.mem.data
		}
	}
	for _, a := range eff.Append {
		for i := a.First; i <= a.Last; i++ {
			w.entries = append(w.entries, in.entry(a, i))
		}
	}
	r.mem.apply(w)
	if r.cfg.HoldSync {
		r.unsynced = append(r.unsynced, unsynced{write: w, ack: eff.Ack})
	}
}

// entry joins entry i of a with its payload.
func (in *payload) entry(a Appended, i Index) CommittedEntry {
	e := CommittedEntry{Index: i, Term: a.Term, Kind: a.Kind, Membership: a.Membership}
	if a.Kind != Command {
		return e
	}
	at := i - a.First
	if in.first != 0 {
		at = i - in.first
	}
	e.Kind, e.Data = in.kinds[at], in.data[at]
	for k := range in.changes {
		if in.changes[k].Index == i {
			e.Membership = &in.changes[k].Membership
		}
	}
	return e
}

// post sends p, or holds it back until what is written is durable.
func (r *Replica) post(p Packet, afterSync bool) {
	if k := len(r.unsynced); afterSync && k > 0 {
		r.unsynced[k-1].packets = append(r.unsynced[k-1].packets, p)
		return
	}
	r.packets = append(r.packets, p)
}

// wait draws a new patience (§5.2).
func (r *Replica) wait() {
	spread := r.cfg.ElectionMax - r.cfg.ElectionMin
	r.patience = alarm{at: r.now + r.cfg.ElectionMin + time.Duration(r.cfg.Rand(int64(spread))), set: true}
}

// nextAlarm returns the earliest moment at which something is due.
func (r *Replica) nextAlarm() (time.Duration, bool) {
	next := alarm{}
	see := func(at time.Duration, set bool) {
		if set && (!next.set || at < next.at) {
			next = alarm{at: at, set: true}
		}
	}
	see(r.patience.at, r.patience.set)
	see(r.heartbeat.at, r.heartbeat.set)
	for _, f := range r.followers {
		see(f.deadline())
	}
	return next.at, next.set
}

// ring does what is due now.
func (r *Replica) ring() {
	if r.patience.set && r.patience.at <= r.now {
		r.patience.set = false
		r.step(Elapsed{}, payload{})
	}
	if r.heartbeat.set && r.heartbeat.at <= r.now {
		r.beat()
	}
	for _, f := range r.followers {
		f.expire(r.now)
	}
	r.feed()
}
