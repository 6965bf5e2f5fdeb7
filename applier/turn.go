package applier

import (
	"fmt"
	"runtime"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/stage"
)

// A stall ends a wait for a Begin: the clock's timer sends it, or the applier itself. Its address is its version: only the one waited for counts.
type stall struct {
	err   error
	begin *Begin // whose file is gone; nil: entries are
}

// wait stops applying. Only a leader's snapshot takes entries off the log that are not applied yet, so its Begin is on
// its way; that the log goes first is a race that an applier that lags always loses.
func (a *applier) wait(c actor.Context, err error) {
	s := &stall{err: fmt.Errorf("%w, and no snapshot came instead", err)}
	root, self := c.ActorSystem().Root, c.Self()
	a.stall = s
	a.giveTurn()
	a.timer = a.Stage.Clock().AfterFunc(a.StallTime, func() { root.Send(self, s) })
}

// overtaken lets a newer Begin have the say when the file to begin from is gone. Files go once a newer snapshot is what the replica would
// restart from, and its Begin is posted before that: it is in the mailbox by now, or there is none.
func (a *applier) overtaken(c actor.Context, m *Begin, err error) {
	a.stall = &stall{err: err, begin: m}
	c.Send(c.Self(), a.stall)
}

// report says from time to time how far a Committed has come that is not done.
func (a *applier) report(c actor.Context, now time.Duration) {
	if now-a.reported >= a.ReportEvery {
		a.reported = now
		c.Send(c.Parent(), &Progress{Index: a.applied.Index})
	}
}

// A turn says when other messages should get a look. It reads the clock rarely while entries are quick, and after each when they are slow.
type turn struct {
	now    func() time.Duration
	start  time.Duration
	last   time.Duration
	stride int
	left   int // entries until the next look
	bytes  int
	over   bool

	maxBytes  int
	maxTime   time.Duration
	maxStride int
	share     *stage.Turn // that others may want sooner; nil: there are none
}

func (c Config) newTurn(now func() time.Duration, share *stage.Turn) turn {
	start := now()
	return turn{share: share, now: now, start: start, last: start, stride: 1, left: 1, maxBytes: c.TurnBytes, maxTime: c.TurnTime, maxStride: c.Stride}
}

// spent counts one entry of so many bytes.
func (t *turn) spent(bytes int) {
	t.bytes += bytes
	t.over = t.bytes >= t.maxBytes
	if t.left--; t.left > 0 {
		return
	}
	now := t.now()
	t.over = t.over || now-t.start >= t.maxTime || t.share != nil && t.share.Over()
	if t.stride = min(2*t.stride, t.maxStride); now-t.last >= t.maxTime/10 {
		t.stride = 1
		runtime.Gosched() // who became ready on this processor meanwhile would wait for up to ten milliseconds
	}
	t.last, t.left = now, t.stride
}
