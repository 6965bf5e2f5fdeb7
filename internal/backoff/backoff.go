// Package backoff says how long to wait before what failed is tried again. It is pure: what is random comes from the caller.
package backoff

import "time"

// A Doubling is a series of pauses: First after the first failure, twice as long after each further one in a row, at most Max.
type Doubling struct{ First, Max time.Duration }

// After returns the pause after so many failures in a row.
func (d Doubling) After(failures int) time.Duration {
	pause := max(min(d.First, d.Max), 0)
	for i := 1; i < failures && 0 < pause && pause < d.Max; i++ {
		pause += min(pause, d.Max-pause)
	}
	return pause
}

// Stretched returns a pause that is longer by a random part of a share of it, so that those who failed together do not come back
// together: 0.2 means up to a fifth longer. random is from 0 to 1.
func Stretched(pause time.Duration, share, random float64) time.Duration {
	return pause + time.Duration(random*share*float64(pause))
}
