package applier

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// stallTime is how long the Begin may take that belongs to a log that was replaced.
const stallTime = 10 * time.Second

// A stall ends a wait for a Begin: the clock's timer sends it, or the applier itself. Its address is its version: only the one waited for counts.
type stall struct{ err error }

// wait stops applying. Only a leader's snapshot takes entries off the log that are not applied yet, so its Begin is on
// its way; that the log goes first is a race that an applier that lags always loses.
func (a *applier) wait(c actor.Context, err error) {
	s := &stall{err: fmt.Errorf("%w, and no snapshot came instead", err)}
	root, self := c.ActorSystem().Root, c.Self()
	a.stall = s
	a.timer = a.Stage.Clock().AfterFunc(stallTime, func() { root.Send(self, s) })
}

// overtaken lets a newer Begin have the say when the file to begin from is gone. Files go once a newer snapshot is what the replica would
// restart from, and its Begin is posted before that: it is in the mailbox by now, or there is none.
func (a *applier) overtaken(c actor.Context, err error) {
	a.stall = &stall{err: err}
	c.Send(c.Self(), a.stall)
}

// maxStride is the most entries between two looks at the clock.
const maxStride = 64

// A turn says when other messages should get a look. It reads the clock rarely while entries are quick, and after each when they are slow.
type turn struct {
	now    func() time.Duration
	start  time.Duration
	last   time.Duration
	stride int
	left   int // entries until the next look
	bytes  int
	over   bool
}

func newTurn(now func() time.Duration) turn {
	start := now()
	return turn{now: now, start: start, last: start, stride: 1, left: 1}
}

// spent counts one entry of so many bytes.
func (t *turn) spent(bytes int) {
	t.bytes += bytes
	t.over = t.bytes >= turnBytes
	if t.left--; t.left > 0 {
		return
	}
	now := t.now()
	t.over = t.over || now-t.start >= turnTime
	if t.stride = min(2*t.stride, maxStride); now-t.last >= turnTime/10 {
		t.stride = 1
	}
	t.last, t.left = now, t.stride
}
