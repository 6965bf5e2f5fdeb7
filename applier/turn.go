package applier

import "time"

// stallTime is how long the Begin may take that belongs to a log that was replaced.
const stallTime = 10 * time.Second

// A stall is what the clock's timer sends. Its address is its version: only the one waited for counts.
type stall struct{ err error }

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
