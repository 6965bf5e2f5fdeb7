package raft

import "time"

// Kept is what a leader keeps of its log for the followers that it sends a snapshot (§7): they go on with the entry behind that. A leader that compacts
// as if nobody was on the way would have taken it away by the time at which a large snapshot has arrived, and the follower, which needs another one then,
// would never catch up while the leader is busy. The zero value keeps nothing yet. It is not safe for concurrent use.
type Kept struct {
	Most Index         // the most entries that are kept beyond those that are kept for anybody; whoever needs more starts over
	Idle time.Duration // who has a snapshot and makes no progress for so long is waited for no more
	// Silence is how long who is not heard is waited for.
	Silence time.Duration

	followers map[NodeID]keptFor
}

type keptFor struct {
	after   Index // the snapshot, or one before it
	sending bool
	match   Index
	since   time.Duration // of the last progress
	began   time.Duration
}

// Any reports whether something is kept for somebody.
func (k *Kept) Any() bool { return len(k.followers) > 0 }

// Send notes that a snapshot at index after, or at a later one, is sent to a follower. One that is on its way already goes on.
func (k *Kept) Send(id NodeID, after Index, now time.Duration) {
	if k.followers == nil {
		k.followers = map[NodeID]keptFor{}
	}
	if f, ok := k.followers[id]; ok {
		after = min(after, max(f.after, f.match))
	}
	k.followers[id] = keptFor{after: after, sending: true, since: now, began: now}
}

// Sent notes that a transfer is over. Whether the follower has the snapshot, this one or one before, its progress tells.
func (k *Kept) Sent(id NodeID, now time.Duration) {
	if f, ok := k.followers[id]; ok {
		f.sending, f.since = false, now
		k.followers[id] = f
	}
}

// AllSent notes that no transfer goes on any more.
func (k *Kept) AllSent(now time.Duration) {
	for id := range k.followers {
		k.Sent(id, now)
	}
}

// Through returns up to where the log may be compacted, if it were up to through without those followers. Follower is Node.Follower.
func (k *Kept) Through(through Index, now time.Duration, follower func(NodeID) (Index, time.Duration, bool)) Index {
	least := through
	for id, f := range k.followers {
		match, heard, fed := follower(id)
		if match > f.match {
			f.match, f.since = match, now
			k.followers[id] = f
		}
		from := max(f.after, match)
		switch idle := !f.sending && now-f.since > k.Idle; {
		case !fed, match >= through, idle, now-max(f.began, heard) > k.Silence, through > from && through-from > k.Most:
			delete(k.followers, id)
		default:
			least = min(least, from)
		}
	}
	return least
}
