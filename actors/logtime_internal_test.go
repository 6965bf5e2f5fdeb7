package actors

import (
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// noop is a no-op of a leader, with a stamp.
func noop(index raft.Index, stamp int64) []*entry.Block {
	var b entry.Builder
	b.Append(raft.NoOp, 0, entry.Timed, stamp, nil)
	return []*entry.Block{b.Seal(1, index)}
}

// untimed is an entry without a stamp.
func untimed(index raft.Index) []*entry.Block {
	var b entry.Builder
	b.Append(raft.Command, 0, 0, 0, []byte("x"))
	return []*entry.Block{b.Seal(1, index)}
}

// A logTimeTest tells a story; its clock is the node's, and starts anywhere.
type logTimeTest struct {
	*testing.T
	logTime
	clock time.Duration
}

func (t *logTimeTest) pass(d time.Duration) { t.clock += d }

func (t *logTimeTest) expect(what string, want time.Duration) {
	t.Helper()
	if got := time.Duration(t.now(t.clock)) * time.Millisecond; got != want {
		t.Errorf("%s: the log's time is %v, want %v", what, got, want)
	}
}

func newLogTime(t *testing.T, snapshot, last raft.Index, stamp time.Duration) *logTimeTest {
	l := &logTimeTest{T: t, clock: 1000 * time.Hour}
	l.begin(l.clock, snapshot, last, stamp.Milliseconds())
	return l
}

// The time of a group goes on from the last stamp in the log while somebody leads, and stands still while nobody does.
func TestLogTimePassesWhileSomebodyLeads(t *testing.T) {
	l := newLogTime(t, 0, 0, 0)
	l.expect("a fresh group", 0)
	l.pass(time.Hour)
	l.expect("nobody led", 0)
	l.lead(l.clock, true)
	l.appended(l.clock, 1, noop(1, 0), true)
	l.pass(time.Minute)
	l.expect("it led for a minute", time.Minute)
	l.lead(l.clock, false)
	l.pass(time.Hour)
	l.lead(l.clock, true)
	l.pass(time.Second)
	l.expect("nobody led for an hour in between", time.Minute+time.Second)
}

// A leader's own blocks do not set its clock back to when their first entry was stamped.
func TestLeadersTimeGoesOnThroughItsBlocks(t *testing.T) {
	l := newLogTime(t, 0, 0, 0)
	l.lead(l.clock, true)
	for i := raft.Index(1); i <= 1000; i++ {
		stamp := l.now(l.clock)
		l.pass(2 * time.Millisecond) // gathered
		l.appended(l.clock, i, noop(i, stamp), true)
	}
	l.expect("a thousand blocks", 2*time.Second)
}

// Whoever takes over goes on where the former leader was, although that stamped nothing for a while.
func TestChangeOfLeadersCostsNoTime(t *testing.T) {
	l := newLogTime(t, 0, 0, 0)
	l.lead(l.clock, true) // it follows somebody
	l.appended(l.clock, 1, noop(1, 50_000), false)
	l.pass(40 * time.Minute)
	l.expect("it followed", 50*time.Second+40*time.Minute)
	l.lead(l.clock, false)
	l.pass(200 * time.Millisecond)
	l.expect("it campaigns", 50*time.Second+40*time.Minute)
	l.lead(l.clock, true)
	l.appended(l.clock, 2, noop(2, l.now(l.clock)), true)
	l.pass(time.Second)
	l.expect("it leads", 51*time.Second+40*time.Minute)
}

// A clock that hurries is set right by every stamp of the leader's: what it gains does not add up.
func TestFollowersTimeIsTheLeaders(t *testing.T) {
	l := newLogTime(t, 0, 0, 0)
	l.lead(l.clock, true)
	for i := raft.Index(1); i <= 100; i++ {
		l.pass(110 * time.Millisecond)
		l.appended(l.clock, i, noop(i, int64(i)*100), false)
	}
	l.expect("a hundred stamps later", 10*time.Second)
	l.appended(l.clock, 101, untimed(101), false)
	l.pass(time.Second)
	l.expect("and a second", 11*time.Second)
}

func TestLogTimeAfterARestart(t *testing.T) {
	l := newLogTime(t, 0, 9, time.Hour)
	l.pass(time.Hour)
	l.expect("the last stamp in the log", time.Hour)

	l = newLogTime(t, 9, 12, time.Hour)
	l.applied(l.clock, 9, (30 * time.Minute).Milliseconds())
	l.expect("entries beyond the snapshot have later ones", time.Hour)

	l = newLogTime(t, 9, 12, 0)
	l.lead(l.clock, true)
	l.pass(time.Second)
	l.expect("no entry has one, and the snapshot is being restored", 0)
	l.applied(l.clock, 8, 1) // a word from before
	l.expect("still", 0)
	l.applied(l.clock, 9, time.Hour.Milliseconds())
	l.expect("the snapshot's", time.Hour)
	l.pass(time.Second)
	l.expect("and a second", time.Hour+time.Second)
}

// What a deposed leader stamped, and the log lost, is not the log's time: a suspended leader's may be hours ahead.
func TestReplacedEntriesTakeTheirTimeWithThem(t *testing.T) {
	l := newLogTime(t, 0, 0, 0)
	l.lead(l.clock, true)
	l.appended(l.clock, 1, noop(1, 0), true)
	l.applied(l.clock, 1, 0)
	l.pass(2 * time.Hour) // suspended
	l.appended(l.clock, 2, noop(2, l.now(l.clock)), true)
	l.appended(l.clock, 2, noop(2, 500), false)
	l.pass(time.Second)
	l.expect("another led meanwhile", 1500*time.Millisecond)

	l.appended(l.clock, 3, noop(3, 9000), false)
	l.appended(l.clock, 3, untimed(3), false)
	l.expect("what takes its place has no stamp", 0)
	l.applied(l.clock, 2, 500)
	l.expect("the log is not applied yet", 0)
	l.applied(l.clock, 3, 500)
	l.expect("now it is", 500*time.Millisecond)

	l.installed(20)
	l.expect("a snapshot took the log's place", 0)
	l.appended(l.clock, 21, noop(21, 7000), false)
	l.expect("and a leader went on", 7*time.Second)
}

// Logs of the first release hold stamps of calendars, in any order: time goes on from the greatest that sessions went by.
func TestLogTimeOfCalendars(t *testing.T) {
	wall := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	l := newLogTime(t, 0, 0, 0)
	var b entry.Builder
	b.Append(raft.NoOp, 0, 0, 5*wall, nil) // nothing went by these
	b.Append(raft.Command, 7, 1, wall, nil)
	b.Append(raft.Command, 7, 2, wall-1_000_000, nil)
	block := b.Seal(1, 1)
	l.lead(l.clock, true)
	l.appended(l.clock, 1, []*entry.Block{block}, false)
	l.applied(l.clock, 3, wall)
	l.appended(l.clock, 4, append(noop(4, 0), untimed(5)...), false)
	b.Append(raft.Command, 7, 3, wall-500_000, nil)
	l.appended(l.clock, 6, []*entry.Block{b.Seal(1, 6)}, false)
	l.pass(time.Second)
	if got := l.now(l.clock); got != wall+1000 {
		t.Errorf("the log's time is %d, want %d", got, wall+1000)
	}
}
