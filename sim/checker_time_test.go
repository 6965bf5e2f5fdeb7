package sim

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// stamps has a disk be given an entry of a client's session with a stamp after one with another.
func stamps(before, stamp time.Duration) func(*checker, *life, committed, raft.Index) {
	return func(c *checker, l *life, _ committed, top raft.Index) {
		e := entry.Entry{Index: top + 1, Term: l.view.term, Kind: raft.Command, Session: 1, Stamp: stamp.Milliseconds()}
		c.timed(l.node.id, &e, before.Milliseconds())
	}
}

// errs has one of two clients' requests be answered by a session error.
func errs(err error, client func(c *checker) *client) func(*checker, *life, committed, raft.Index) {
	return func(c *checker, _ *life, _ committed, _ raft.Index) {
		asks := client(c)
		asks.session, asks.op, asks.opening = 7, &operation{Op: asks.draw().Op, data: []byte("x")}, false
		asks.refused(err)
	}
}

func init() {
	maps.Copy(forgeries, map[string]forgery{
		"a stamp below the one before": {"the log's time never goes back", stamps(time.Second, 999*time.Millisecond)},
		"a stamp of a calendar":        {"the log's time is the time that passed", stamps(0, 30*365*24*time.Hour)},
		"a stamp of a clock that hurries": {"the log's time is the time that passed", func(c *checker, l *life, at committed, top raft.Index) {
			stamps(0, c.sim.clock.Now()*11/10)(c, l, at, top)
		}},
		"stamps that stand still": {"the log's time passes", func(c *checker, l *life, at committed, top raft.Index) {
			c.stamps = []stamped{{term: 1, time: 5 * time.Second, at: time.Second}, {term: 1, time: 6 * time.Second, at: 3 * time.Second}}
			c.flowing()
		}},
		"a session that expires at once": {"sessions last", errs(actors.ErrSessionExpired, func(c *checker) *client {
			asks := c.sim.clients[0]
			asks.used = c.sim.clock.Now()
			return asks
		})},
		"a session that outlives its time": {"sessions expire", func(c *checker, _ *life, _ committed, _ raft.Index) {
			c.sim.clients[0].rested = true
			c.sim.clients[0].outlived()
		}},
		"a gap that its client did not make": {"sessions keep their order", errs(actors.ErrSessionOrder, func(c *checker) *client { return c.sim.clients[0] })},
		"an answer forgotten at once":        {"sessions keep their order", errs(actors.ErrSessionForgotten, func(c *checker) *client { return c.sim.clients[0] })},
		"an applied write that is refused": {"session errors tell the truth", func(c *checker, _ *life, _ committed, _ raft.Index) {
			c.sessionError(request{1, 1}, true, actors.ErrSessionOrder)
		}},
		"a write that was never applied, forgotten": {"session errors tell the truth", func(c *checker, _ *life, _ committed, _ raft.Index) {
			c.sessionError(request{1 << 40, 1}, false, actors.ErrSessionForgotten)
		}},
		"a session's write that was executed and is refused": {"a refused write never happens", func(c *checker, _ *life, _ committed, _ raft.Index) {
			for r := range c.states.sessions {
				c.passOver(r, errors.New("no"))
			}
		}},
		"two answers to one write": {"a session answers alike", func(c *checker, _ *life, at committed, top raft.Index) {
			v := &volley{burster: c.sim.newBurster(0)}
			v.compare(&shot{message: &actors.Propose{Seq: 1}}, &actors.Proposed{Index: 1}, &actors.Proposed{Index: 2})
		}},
	})
}

// A setClock shows what it is set to.
type setClock struct {
	stage.Clock
	now time.Duration
}

func (c *setClock) Now() time.Duration { return c.now }

// TestLateFollowersHoldNoTimeBack: a follower that is given old entries long after its leader, cut into other blocks, does not count as time
// that stands still; a leader that stamps what is new with an old time does.
func TestLateFollowersHoldNoTimeBack(t *testing.T) {
	s := New(Config{Seed: 1, Nodes: 3, Spares: -1, Quiet: true, Length: time.Millisecond})
	clock := &setClock{Clock: s.clock, now: 10 * time.Second}
	s.clock, s.settled = clock, true
	var b entry.Builder
	block := func(first raft.Index, stamps ...time.Duration) *entry.Block {
		for i, stamp := range stamps {
			b.Append(raft.Command, 1, uint64(first)+uint64(i), stamp.Milliseconds(), []byte("x"))
		}
		return b.Seal(1, first)
	}
	given := func(node raft.NodeID, after time.Duration, b *entry.Block) {
		clock.now += after
		s.check.matching(node, b, raft.EntryID{Index: b.First() - 1, Term: min(raft.Term(b.First()-1), 1)})
		s.check.flowing()
	}
	log := block(1, time.Second, 1100*time.Millisecond, 1200*time.Millisecond)
	given(1, 0, log)
	given(2, 2*time.Second, log.Slice(2, 3))
	if s.check.first != nil {
		t.Fatal(s.check.first)
	}
	given(1, 0, block(4, 1200*time.Millisecond))
	if v := s.check.first; v == nil || v.Property != "the log's time passes" {
		t.Errorf("violated: %v, although the leader's time stands still", v)
	}
}

// TestCalendarsMoveNothing: whatever calendars say, no session expires that was in use a moment ago, and one that is not used does.
func TestCalendarsMoveNothing(t *testing.T) {
	expired := 0
	for seed := uint64(1); seed <= 8; seed++ {
		cfg := Config{Seed: seed, Nodes: 3, Spares: -1, Quiet: true, Liveness: true, Length: 3 * time.Second, Think: time.Millisecond}
		for i, jump := range []time.Duration{2 * time.Hour, -365 * 24 * time.Hour, 50 * 365 * 24 * time.Hour} {
			cfg.Faults = append(cfg.Faults,
				Fault{At: time.Duration(i+1) * 700 * time.Millisecond, Kind: Skew, A: raft.NodeID(i + 1), Rate: 1, Jump: jump},
				Fault{At: time.Duration(i+1)*700*time.Millisecond + 100*time.Millisecond, Kind: StepDown})
		}
		r := Run(cfg)
		complain(t, r)
		expired += r.Counts["session expired"]
	}
	if expired == 0 {
		t.Error("no session expired in any run: nothing was tested")
	}
}
