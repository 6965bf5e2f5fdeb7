package raft

import (
	"testing"
	"time"
)

func TestKept(t *testing.T) {
	match := map[NodeID]Index{2: 0, 3: 0}
	now, silent := time.Duration(0), time.Duration(0)
	follower := func(id NodeID) (Index, time.Duration, bool) { m, ok := match[id]; return m, now - silent, ok }
	k := Kept{Most: 1000, Idle: time.Minute, Silence: time.Second}
	through := func(at, want Index) {
		t.Helper()
		if got := k.Through(at, now, follower); got != want {
			t.Errorf("of %d entries %d may go, want %d", at, got, want)
		}
	}
	through(100, 100)
	k.Send(2, 90, now)
	through(80, 80)
	through(200, 90)
	now += time.Hour // as long as it takes
	through(300, 90)
	k.Sent(2, now)
	now += time.Minute
	through(300, 90)
	match[2] = 150
	through(300, 150)
	now += time.Minute
	through(400, 150)
	match[2] = 400
	through(400, 400)
	match[2] = 300
	through(500, 500) // it had caught up

	k.Send(2, 500, now)
	k.Sent(2, now)
	through(700, 500)
	now += time.Minute + 1
	through(700, 700) // it stays away
	through(700, 700)

	k.Send(2, 700, now)
	through(1700, 700)
	through(1701, 1701) // it takes too long
	through(1701, 1701)

	k.Send(2, 1701, now)
	k.Send(3, 1600, now)
	through(1800, 1600)
	k.Send(3, 1750, now) // asked for again: the first is still on its way
	through(1800, 1600)
	k.AllSent(now) // who sends them has begun again, and knows nothing of them
	through(1800, 1600)
	now += time.Minute + 1
	k.Sent(2, now)
	through(1800, 1701)
	delete(match, 2)
	through(1800, 1800) // it was taken out
	k.Sent(2, now)

	match[2] = 0
	k.Send(2, 1800, now)
	k.Sent(2, now)
	match[2] = 1900
	through(2000, 1900)
	k.Send(2, 1950, now) // which may fail, while it goes on from 1900
	through(2000, 1900)
	now, silent = now+time.Hour, time.Second
	through(2000, 1900)
	silent++
	through(2000, 2000) // it is gone
	if k.Any() {
		t.Error("something is kept for nobody")
	}
	k.Send(2, 2000, now) // it was just asked for
	through(2100, 2000)
}
