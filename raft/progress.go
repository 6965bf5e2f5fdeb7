package raft

import "time"

// A Shape is an immutable picture of a log without its payload: which term each index has.
// A deposed leader's syncer reads its own Shape, so it can never mistake a newer leader's entries for its own.
type Shape struct {
	Prev EntryID // the entry before the first
	Runs []Run   // read-only
}

// A Pace bounds what one follower may have in flight. Within MinBytes and MaxBytes the bound follows what the way to the
// follower carries: see Progress.Window.
type Pace struct {
	MaxBytes    int           // unacknowledged payload bytes; one message may always go
	MinBytes    int           // what may be unacknowledged on the slowest way; a new follower begins with eight times as much. Default 32 KiB
	MaxMessages int           // unacknowledged messages; at least one may always go
	RetryFirst  time.Duration // unanswered for this long: probe again; doubles up to RetryMax. Default 100ms
	RetryMax    time.Duration // at least RetryFirst
	// AnswerMax bounds what slow answers may add to RetryFirst: as long as answers take longer, twice what they took is waited. Default 4 RetryMax.
	AnswerMax time.Duration
	// QueueDelay is how long payload may wait on its way to the follower, beyond what an answer takes on an empty one. Default 100ms.
	QueueDelay time.Duration
	// MeasureEvery is how long a busy way's measurement holds. Then one message travels alone. Default 10s.
	MeasureEvery time.Duration
}

// The defaults of a Pace.
const (
	DefaultMinBytes     = 32 << 10
	DefaultQueueDelay   = 100 * time.Millisecond
	DefaultMeasureEvery = 10 * time.Second
)

func (p Pace) withDefaults() Pace {
	p.MaxMessages = max(p.MaxMessages, 1)
	if p.RetryFirst <= 0 {
		p.RetryFirst = 100 * time.Millisecond
	}
	p.RetryMax = max(p.RetryMax, p.RetryFirst)
	if p.AnswerMax <= 0 {
		p.AnswerMax = 4 * p.RetryMax
	}
	if p.QueueDelay <= 0 {
		p.QueueDelay = DefaultQueueDelay
	}
	if p.MeasureEvery <= 0 {
		p.MeasureEvery = DefaultMeasureEvery
	}
	if p.MinBytes <= 0 {
		p.MinBytes = DefaultMinBytes
	}
	return p
}

// A ProgressMode is how a follower is being fed.
type ProgressMode uint8

// The modes: Probe sends one message and waits, Stream pipelines, Snapshot waits for the snapshot stream.
const (
	Probe ProgressMode = iota
	Stream
	Snapshot
)

// An Advice is what Progress.Advise says to do next.
type Advice uint8

// The advices.
const (
	Wait         Advice = iota // nothing to do now
	SendEntries                // send entries from Next on (as many as fit), Prev is Next-1
	SendProbe                  // send an empty AppendEntries with Prev Next-1
	SendSnapshot               // the entries at Next are compacted: send a snapshot
)

// A Progress paces what a leader sends to one follower. It can make a cluster slow but not wrong: what is
// committed is decided by Node, from its own knowledge. It is not safe for concurrent use.
type Progress struct {
	pace  Pace
	mode  ProgressMode
	match Index // the follower's log equals the leader's through here
	next  Index

	window window
	flight []sending     // oldest first
	bytes  int           // in flight
	lost   []sending     // taken for lost, and nothing was sent again since: an answer shows that they were only slow
	since  time.Duration // when patience with what is in flight began
	due    time.Duration // when it ends
	retry  time.Duration // the next patience

	bare    bool  // the next probe carries no entries: the follower refused, or is silent
	pending Index // Snapshot: where the snapshot ends
	paused  bool  // nothing until due: a snapshot failed
}

// A sending is an unanswered message with the entries first..through.
type sending struct {
	first, through Index
	bytes          int
	departure
}

// NewProgress returns the Progress of a follower of which a new leader, whose log ends at last, knows nothing (Figure 2: nextIndex).
func NewProgress(p Pace, last Index) *Progress {
	p = p.withDefaults()
	return &Progress{pace: p, window: newWindow(p), next: last + 1, retry: p.RetryFirst}
}

// Mode returns how the follower is being fed.
func (p *Progress) Mode() ProgressMode { return p.mode }

// Match returns the last index known to be on the follower's disk as it is in the leader's log.
func (p *Progress) Match() Index { return p.match }

// Next returns the index of the next entry to send.
func (p *Progress) Next() Index { return p.next }

// Inflight returns how many messages, and payload bytes in them, are unanswered.
func (p *Progress) Inflight() (messages, bytes int) { return len(p.flight), p.bytes }

// Window returns how many payload bytes may be unanswered: at most Pace.MaxBytes, and about what the way to the follower
// carries while an answer takes its time and Pace.QueueDelay. One message may always go.
func (p *Progress) Window() int { return p.window.size }

// MessageBytes returns how large the next message should be at most, though one entry may always go: a part of the window, so that
// messages that are on their way, being written and being answered keep the way busy between them; less when it is to measure the way.
func (p *Progress) MessageBytes(now time.Duration) int { return p.window.message(now) }

// Advise says what to send now, if the leader's log holds the entries first..last.
func (p *Progress) Advise(now time.Duration, first, last Index) Advice {
	switch {
	case p.mode == Snapshot || p.paused && now < p.due:
		return Wait
	case p.next < first:
		return SendSnapshot
	case p.mode == Probe:
		if len(p.flight) > 0 {
			return Wait
		}
		if p.bare || p.next > last {
			return SendProbe
		}
		return SendEntries
	case p.next > last:
		return Wait
	case len(p.flight) > 0 && (len(p.flight) >= p.pace.MaxMessages || p.bytes >= p.window.size || p.window.stale(now)):
		return Wait
	}
	return SendEntries
}

// Sent notes that a message with the entries Next..through, of that many payload bytes, left. For an
// empty one through is Next-1.
func (p *Progress) Sent(now time.Duration, through Index, bytes int) {
	if len(p.flight) == 0 {
		p.since, p.due = now, now+p.timeout()
	}
	if bytes > 0 {
		p.lost = p.lost[:0]
	}
	p.paused = false
	left := p.window.sent(now, bytes, len(p.flight), p.bytes)
	p.flight = append(p.flight, sending{first: p.next, through: through, bytes: bytes, departure: left})
	p.bytes += bytes
	p.next = max(p.next, through+1)
}

// Acked notes that the follower's log equals the leader's through match. It reports whether Advise may
// now answer differently.
func (p *Progress) Acked(now time.Duration, match Index) (moved bool) {
	if p.mode == Snapshot && match < p.pending {
		p.match = max(p.match, match)
		return false
	}
	p.recall(match)
	k, bytes := 0, 0
	for k < len(p.flight) && p.flight[k].through <= match {
		bytes += p.flight[k].bytes
		k++
	}
	if k > 0 {
		p.window.answered(now, p.flight[k-1].departure, bytes)
	}
	p.bytes -= bytes
	p.flight = p.flight[:copy(p.flight, p.flight[k:])]
	moved = k > 0 || match > p.match
	p.match = max(p.match, match)
	p.next = max(p.next, match+1)
	if moved {
		p.retry, p.paused = p.pace.RetryFirst, false
		p.since, p.due = now, now+p.timeout()
	}
	if p.mode == Snapshot || p.mode == Probe && len(p.flight) == 0 && (k > 0 || p.next == match+1 && !p.paused) {
		p.mode, p.bare, moved = Stream, false, true
	}
	return moved
}

// recall takes back that what was in flight is lost, if an answer to it came after all: sending it again would double the load of
// a way that is slow already.
func (p *Progress) recall(match Index) {
	if len(p.lost) == 0 || match < p.lost[0].through {
		return
	}
	p.flight, p.lost = append(p.flight[:0], p.lost...), p.lost[:0]
	p.bytes = 0
	for i := range p.flight {
		p.bytes += p.flight[i].bytes
	}
	p.next = max(p.next, p.flight[len(p.flight)-1].through+1)
	p.mode, p.bare = Stream, false
}

// Refused notes that the follower lacks the entry before what it was sent, and goes back to the last entry that both
// logs may share: a whole term each time (§5.3, end). shape is the leader's log. Answers to messages that
// are no longer outstanding are ignored; it reports whether this one was not. A follower in doubt may lack what it has acknowledged.
func (p *Progress) Refused(now time.Duration, m *AppendEntriesReply, shape Shape) (moved bool) {
	stale := m.Prev <= p.match && m.Doubt == 0 || m.Prev >= p.next || len(p.flight) == 0
	if p.mode == Probe {
		stale = stale || m.Prev+1 != p.flight[0].first
	}
	if stale { // during a snapshot nothing else is outstanding
		return false
	}
	if m.Prev <= p.match {
		p.match = 0
	}
	p.forget()
	hint := min(m.Hint.Index, m.Prev-1)
	if at, ok := shape.lastAtMost(min(m.Hint.Index, m.Prev), m.Hint.Term); ok {
		hint = min(hint, at.Index)
	} else if shape.Prev.Index > 0 { // what could tell is compacted: a snapshot it must be
		hint = min(hint, shape.Prev.Index-1)
	}
	p.next = max(hint, p.match) + 1
	p.mode, p.bare, p.paused = Probe, true, false
	p.retry = p.pace.RetryFirst
	return true
}

// SnapshotStarted notes that a snapshot that ends at index is on its way; until SnapshotDone, SnapshotFailed or an
// acknowledgement of index nothing else is sent.
func (p *Progress) SnapshotStarted(index Index) {
	p.forget()
	p.mode, p.pending, p.paused = Snapshot, index, false
}

// SnapshotDone notes that the snapshot that ends at index arrived. What follows it is sent next, and its
// answer tells whether it was installed.
func (p *Progress) SnapshotDone(now time.Duration, index Index) {
	if p.mode != Snapshot {
		return
	}
	p.mode, p.bare, p.pending = Probe, false, 0
	p.next = max(index, p.match) + 1
	p.retry = p.pace.RetryFirst
}

// SnapshotFailed notes that the snapshot did not arrive. The next attempt waits for the retry time.
func (p *Progress) SnapshotFailed(now time.Duration) {
	if p.mode != Snapshot {
		return
	}
	p.mode, p.bare, p.pending = Probe, true, 0
	p.next = p.match + 1
	p.paused, p.due = true, now+p.retry
	p.backOff()
}

// Expire ends the patience with what is in flight, if it is over at now: it counts as lost, the follower is probed again
// from what it is known to have, and the next patience is twice as long. It reports whether anything was lost.
func (p *Progress) Expire(now time.Duration) (lost bool) {
	if at, ok := p.Deadline(); !ok || now < at {
		return false
	}
	if p.paused {
		p.paused = false
		return false
	}
	p.next = p.flight[0].first
	if p.mode == Stream {
		p.next = p.match + 1
	}
	slow := p.lost
	if p.flight[0].bytes > 0 {
		slow = append(slow[:0], p.flight...)
	}
	p.forget()
	p.lost = slow
	p.mode, p.bare = Probe, true
	p.backOff()
	return true
}

// Heard notes another sign of life of the follower, such as the answer to a heartbeat. Patience, which grew while the follower was silent,
// is RetryFirst again, for what is in flight too: a follower that is back need not wait for the end of the longest.
func (p *Progress) Heard() {
	p.retry = p.pace.RetryFirst
	if !p.paused {
		p.due = min(p.due, p.since+p.timeout())
	}
}

// Deadline returns when to call Expire; false when nothing runs out.
func (p *Progress) Deadline() (time.Duration, bool) {
	return p.due, p.paused || len(p.flight) > 0
}

// timeout is how long to wait for an answer.
func (p *Progress) timeout() time.Duration { return max(p.retry, p.window.timeout()) }

func (p *Progress) backOff() { p.retry = min(2*p.retry, p.pace.RetryMax) }

func (p *Progress) forget() { p.flight, p.bytes, p.lost = p.flight[:0], 0, p.lost[:0] }
