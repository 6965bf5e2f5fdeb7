package election

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// The defaults of a Timeout: what the paper measured to be safe and quick on a local network (§9.3).
const (
	DefaultMin = 150 * time.Millisecond
	DefaultMax = 300 * time.Millisecond
)

// A Timeout is the range each wait is drawn from, uniformly, so that votes rarely split (§5.2).
type Timeout struct {
	Min time.Duration // default 150ms; keep ten broadcasts (§5.6)
	Max time.Duration // default 300ms; exclusive
}

// Validate reports every fault at once, or nil.
func (t Timeout) Validate() (err error) {
	if t.Min <= 0 {
		err = errors.Join(err, fmt.Errorf("election: Min %v is not positive", t.Min))
	}
	if t.Max <= t.Min {
		err = errors.Join(err, fmt.Errorf("election: Max %v is not above Min %v", t.Max, t.Min))
	}
	return err
}

func (t Timeout) withDefaults() Timeout {
	return cmp.Or(t, Timeout{Min: DefaultMin, Max: DefaultMax})
}

func (t Timeout) draw(r *rand.Rand) time.Duration {
	return t.Min + time.Duration(r.Int64N(int64(t.Max-t.Min)))
}
