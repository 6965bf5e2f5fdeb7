package actors

import (
	"errors"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

var errClock = errors.New("the clock panics")

// A brokenClock panics when it is used once more than left.
type brokenClock struct {
	stage.Clock
	left int
}

func (c *brokenClock) touch() {
	if c.left--; c.left < 0 {
		panic(errClock)
	}
}

func (c *brokenClock) Now() time.Duration {
	c.touch()
	return time.Hour
}

func (c *brokenClock) AfterFunc(time.Duration, func()) stage.Timer {
	c.touch()
	return nil
}

// TestPanicAnswersWhoWaitsForRoom: wherever the replica panics while it takes up who has waited, the crash answers all of them.
func TestPanicAnswersWhoWaitsForRoom(t *testing.T) {
	for spared, crashed := 0, true; crashed; spared++ {
		clock := &brokenClock{left: spared}
		r := &replica{
			host: &Host{}, clock: clock, handle: &Group{credit: newCredit(10, 1000)}, cfg: GroupConfig{Group: 1}.withDefaults(),
			leader: raft.RoleState{Role: raft.Leader, Term: 1}, phase: running,
		}
		r.room.timer = true
		for _, until := range []time.Duration{time.Minute, 2 * time.Hour} { // the first has waited long enough
			q := &request{kind: readRequest, handle: r.handle}
			r.handle.credit.wait(q)
			r.room.uncredited = append(r.room.uncredited, waitingRequest{request: q, until: until})
		}
		all := append([]waitingRequest(nil), r.room.uncredited...)
		crashed = panics(r.admit)
		r.answerAll(ErrStopped)
		for i, q := range all {
			if q.state.Load() != answered {
				t.Errorf("after a panic at look %d at the clock, request %d is not answered", spared, i)
			}
		}
		if entries, bytes := r.handle.credit.inUse(); entries != 0 || bytes != 0 {
			t.Errorf("after a panic at look %d at the clock, %d entries and %d bytes of credit are taken", spared, entries, bytes)
		}
		if spared == 0 && !crashed {
			t.Fatal("nothing panicked")
		}
	}
}

func panics(f func()) (panicked bool) {
	defer func() {
		if reason := recover(); reason != nil {
			if reason != errClock {
				panic(reason)
			}
			panicked = true
		}
	}()
	f()
	return false
}

// TestPanicAmidAnAnswer: what goes wrong while others are told that there is room costs nobody an answer.
func TestPanicAmidAnAnswer(t *testing.T) {
	c := newCredit(1, 1000)
	c.tell = func() { panic(errClock) }
	q := &request{kind: proposeRequest, done: make(chan struct{}, 1), handle: &Group{credit: c}}
	if !q.takeCredit() {
		t.Fatal("there is no credit")
	}
	c.wait(&request{})
	if !panics(func() { q.Resolve(7, nil, nil) }) {
		t.Fatal("nothing panicked")
	}
	select {
	case <-q.done:
	default:
		t.Error("the request is not answered")
	}
	if entries, _ := c.inUse(); entries != 0 || q.index != 7 {
		t.Errorf("%d entries of credit are taken, the answer is %d", entries, q.index)
	}
}
