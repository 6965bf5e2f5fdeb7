package sim

import (
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// Clocks run between these rates.
const (
	slowest = 0.97
	fastest = 1.03
)

// stampSlack is what the log's time may be off by rounding, and by what lies between a stamp and the moment that others can see it.
const stampSlack = 5 * time.Millisecond

// queued is the longest that an entry, once stamped, waits for its block and for the disk, with all limits drawn small, in the calm.
const queued = 500 * time.Millisecond

// A stamped is a timed entry that was first seen in the calm.
type stamped struct {
	term raft.Term
	time time.Duration // of the log
	at   time.Duration // when the first disk was given it
}

// timed: stamps in a log never decrease, and the log's time is no more than what has passed since the run began, by the fastest clock, whatever the
// calendars say. It returns the log's time at the entry.
func (c *checker) timed(node raft.NodeID, e *entry.Entry, before int64) int64 {
	if !e.Timed() || e.Stamp == 0 {
		return before
	}
	now := c.sim.clock.Now()
	switch {
	case e.Stamp < before:
		c.fail("the log's time never goes back", "entry %d of term %d on node %d has the stamp %d, after %d", e.Index, e.Term, node, e.Stamp, before)
	case time.Duration(e.Stamp)*time.Millisecond > longest(now):
		c.fail("the log's time is the time that passed", "entry %d of term %d on node %d has the stamp %d, %v after the beginning", e.Index, e.Term, node, e.Stamp, now)
	}
	return e.Stamp
}

// marks notes an entry that no disk was given before, for flowing. When a follower that is behind is given it, in blocks that may be cut in
// another way, says nothing of the leader's clock.
func (c *checker) marks(e *entry.Entry) {
	if c.sim.settled && e.Timed() && e.Stamp != 0 {
		stamp := time.Duration(e.Stamp) * time.Millisecond
		c.stamps = append(c.stamps, stamped{term: e.Term, time: stamp, at: c.sim.clock.Now()})
	}
}

// longest is the most that any clock shows for a span of time.
func longest(d time.Duration) time.Duration { return time.Duration(fastest*float64(d)) + stampSlack }

// flowing: once all has settled, the log's time passes.
func (c *checker) flowing() {
	for i := range c.stamps {
		first, last := c.stamps[0], c.stamps[i]
		if passed := last.at - first.at; last.term == first.term && last.time-first.time < time.Duration(slowest*float64(passed))-queued {
			c.fail("the log's time passes", "the stamps of term %d grew by %v in %v", last.term, last.time-first.time, passed)
			return
		}
	}
}

// lasting: a session that is refused was not used for its TTL, by the log's time, or has made room for others.
func (c *client) lasting(err error) {
	limits := c.sim.group()
	if limits.MaxSessions != 0 || limits.MaxSessionBytes != 0 {
		return
	}
	ttl := limits.SessionTTL
	if ttl == 0 {
		ttl = time.Hour
	}
	if unused := c.sim.clock.Now() - c.used; longest(unused) < ttl {
		c.sim.check.fail("sessions last", "client %d: session %d, used %v ago, is refused; its TTL is %v: %v", c.id, c.session, unused, ttl, err)
	}
	c.sim.count("session expired")
}

// rest has a client that all goes well for leave its session unused for longer than it lasts, now and then.
func (c *client) rest() time.Duration {
	ttl := c.sim.group().SessionTTL
	if !c.sim.settled || c.session == 0 || ttl == 0 || ttl > time.Second || c.rand.IntN(16) != 0 {
		return 0
	}
	c.rested = true
	return time.Duration(float64(ttl)/slowest) + 100*time.Millisecond
}

// outlived: a session that was not used for longer than its TTL while somebody led is not known any more.
func (c *client) outlived() {
	if c.rested {
		c.sim.check.fail("sessions expire", "client %d writes under session %d, unused for longer than %v", c.id, c.session, c.sim.group().SessionTTL)
	}
}
