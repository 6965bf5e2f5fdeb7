package actors

import (
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A logTime is what a replica knows of the log's time, by which client sessions expire: milliseconds that leaders have led since the group
// was founded. No calendar is asked. A leader stamps what it appends with the last stamp in its log and what has passed since by its own
// monotonic clock, while it, or a leader that it followed, led. So time stands still while nobody leads, and a change of leaders costs none.
// A node that starts again goes on from the last stamp in its log: it knows no more.
//
// Stamps in a log never decrease, and no two of them are further apart than what passed between, by the fastest of the clocks. Neither holds
// of logs of the first release, whose stamps are of calendars: what comes after goes on from the greatest.
type logTime struct {
	stamp int64         // the last one in the log, in ms …
	at    time.Duration // … when led was so
	last  raft.Index    // of the log
	floor int64         // the sessions' clock
	// What the last stamp is can only be told by the state machine, once it stands here or beyond: no entry at hand has one. 0: it is known.
	waits raft.Index

	led     time.Duration // how long a leader was known, until since
	since   time.Duration
	leading bool // one is known since then
}

// begin starts from what the disk held. clock is the node's own, here and in all that follows.
func (t *logTime) begin(clock time.Duration, snapshot, last raft.Index, stamp int64) {
	*t = logTime{stamp: stamp, last: last, since: clock}
	if stamp == 0 {
		t.waits = snapshot
	}
}

// now is the stamp of what is appended now; 0, which moves no clock, while it is not known.
func (t *logTime) now(clock time.Duration) int64 {
	if t.waits > 0 {
		return 0
	}
	return t.stamp + (t.known(clock) - t.at).Milliseconds()
}

// known is how long a leader was known.
func (t *logTime) known(clock time.Duration) time.Duration {
	if t.leading {
		return t.led + clock - t.since
	}
	return t.led
}

// lead says whether somebody leads from now on.
func (t *logTime) lead(clock time.Duration, somebody bool) {
	t.led, t.since, t.leading = t.known(clock), clock, somebody
}

// appended follows entries from first on that joined the log. Those that they replace take their time with them.
func (t *logTime) appended(clock time.Duration, first raft.Index, blocks []*entry.Block, mine bool) {
	replaces := first <= t.last
	for _, b := range blocks {
		t.last = b.Last()
		if !mine && b.Stamp() > 0 { // a leader's own clock goes on: its stamps were taken before their block was made
			t.set(clock, max(b.Stamp(), t.floor))
			t.waits, replaces = 0, false
		}
	}
	if replaces {
		t.waits = t.last
	}
}

// installed follows a snapshot that took the log's place.
func (t *logTime) installed(at raft.Index) { t.last, t.waits = at, at }

// applied follows the state machine.
func (t *logTime) applied(clock time.Duration, at raft.Index, stamp int64) {
	t.floor = max(t.floor, stamp)
	switch {
	case t.waits > at:
	case t.waits > 0:
		t.waits = 0
		t.set(clock, t.floor)
	case t.now(clock) < t.floor:
		t.set(clock, t.floor)
	}
}

func (t *logTime) set(clock time.Duration, stamp int64) { t.stamp, t.at = stamp, t.known(clock) }
