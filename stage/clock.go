package stage

import "time"

// A Clock tells the time of one node. Its methods are safe for concurrent use.
type Clock interface {
	// Now is monotonic time since an arbitrary origin. All rules go by it.
	Now() time.Duration
	// Wall is the calendar's time, for what people read; it may jump.
	Wall() time.Time
	// AfterFunc calls f after d, on a goroutine of the clock's. f should only send a message.
	AfterFunc(d time.Duration, f func()) Timer
}

// A Timer can be kept from firing.
type Timer interface {
	// Stop reports whether the call came before the timer fired. If not, its function may be running.
	Stop() bool
}

// liveClock is the machine's.
type liveClock struct{ origin time.Time }

func (c liveClock) Now() time.Duration { return time.Since(c.origin) }
func (c liveClock) Wall() time.Time    { return time.Now() }
func (c liveClock) AfterFunc(d time.Duration, f func()) Timer {
	return time.AfterFunc(d, f)
}
