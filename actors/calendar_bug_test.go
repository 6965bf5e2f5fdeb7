package actors_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// A bent stage has clocks that a test sets.
type bentStage struct {
	stage.Stage
	wall, ahead *atomic.Int64 // nanoseconds that the calendar and the monotonic clock are ahead
}

type bentClock struct {
	stage.Clock
	wall, ahead *atomic.Int64
}

func (s bentStage) Clock() stage.Clock { return bentClock{s.Stage.Clock(), s.wall, s.ahead} }

func (c bentClock) Wall() time.Time    { return c.Clock.Wall().Add(time.Duration(c.wall.Load())) }
func (c bentClock) Now() time.Duration { return c.Clock.Now() + time.Duration(c.ahead.Load()) }

// bent is one node whose clocks a test sets.
func bent(t *testing.T) (c *testCluster, wall, ahead *atomic.Int64) {
	wall, ahead = new(atomic.Int64), new(atomic.Int64)
	live := stage.NewLive()
	t.Cleanup(live.Close)
	return newCluster(t, 1, func(c *testCluster) {
		c.host = func(_ raft.NodeID, cfg *actors.HostConfig) { cfg.Stage = bentStage{live, wall, ahead} }
	}), wall, ahead
}

// Calendars neither expire sessions nor keep them: a leader's that is hours, or a hundred years, ahead for a while, and then right again.
func TestCalendarsExpireNoSession(t *testing.T) {
	c, wall, ahead := bent(t)
	ctx := withDeadline(t)
	used, idle := session(ctx, t, c), session(ctx, t, c)
	seq := uint64(0)
	write := func(when string) {
		t.Helper()
		seq++
		if _, err := c.leader().group.ProposeIn(ctx, used, seq, []byte("x")); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
	write("at first")
	for _, leap := range []time.Duration{2 * time.Hour, -365 * 24 * time.Hour, 100 * 365 * 24 * time.Hour, 0} {
		wall.Store(int64(leap))
		write(leap.String() + " ahead")
	}
	c.stop(1)
	c.restart(1)
	write("after a restart")
	wall.Store(int64(365 * 24 * time.Hour))
	c.leader()
	for range 3 { // 45 minutes each: not for an hour on end unused
		ahead.Add(int64(45 * time.Minute))
		write("in use")
	}
	if _, err := c.leader().group.ProposeIn(ctx, idle, 1, []byte("x")); !errors.Is(err, actors.ErrSessionExpired) {
		t.Errorf("a session that was not used for more than two hours: %v", err)
	}
}

// A restart costs what nobody put into the log, and no more: sessions go on where the last stamp was.
func TestSessionTimeSurvivesRestarts(t *testing.T) {
	for name, snapshot := range map[string]bool{"log": false, "snapshot": true} {
		t.Run(name, func(t *testing.T) {
			c, _, ahead := bent(t)
			ctx := withDeadline(t)
			idle, other := session(ctx, t, c), session(ctx, t, c)
			for i := range uint64(2) {
				lead := c.leader() // first: while nobody leads no time passes
				ahead.Add(int64(40 * time.Minute))
				if _, err := lead.group.ProposeIn(ctx, other, i+1, []byte("x")); err != nil {
					t.Fatal(err)
				}
				if snapshot {
					if _, err := c.leader().group.Snapshot(ctx); err != nil {
						t.Fatal(err)
					}
				}
				c.stop(1)
				c.restart(1)
			}
			if _, err := c.leader().group.ProposeIn(ctx, other, 3, []byte("x")); err != nil {
				t.Errorf("used just before the restart: %v", err)
			}
			if _, err := c.leader().group.ProposeIn(ctx, idle, 1, []byte("x")); !errors.Is(err, actors.ErrSessionExpired) {
				t.Errorf("not used for 80 minutes, in each of two lives for less than its TTL: %v", err)
			}
		})
	}
}

func session(ctx context.Context, t *testing.T, c *testCluster) uint64 {
	t.Helper()
	id, err := c.leader().group.OpenSession(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
