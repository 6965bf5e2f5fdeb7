package stage

import (
	"testing"
	"time"
)

// TestHoverbearBackoff is the test module of Hoverbear's src/backoff.rs: pauses of 1·rand[1,2), 2·rand[1,2), 4·rand[1,2) and so on up to
// a limit, until a reset. Here the limit is one without jitter, and the reset is a child that behaves for a while.
func TestHoverbearBackoff(t *testing.T) {
	t.Run("test_exponential_backoff", func(t *testing.T) {
		const window = time.Minute
		bounds := []time.Duration{1, 2, 4, 8, 16, 18, 18, 18}
		different := map[time.Duration]bool{}
		for seed := range uint64(20) {
			p := newPatient(&Backoff{First: time.Millisecond, Max: 18 * time.Millisecond, Jitter: 1, Window: window}, seed)
			for k, pause := range p.pauses(t, len(bounds)) {
				if low := bounds[k] * time.Millisecond; pause < low || pause >= 2*low {
					t.Errorf("seed %d: pause %d is %v, want [%v, %v)", seed, k, pause, low, 2*low)
				}
				different[pause] = true
			}
			p.stage.Advance(2 * window)
			if pause := p.pauses(t, 1)[0]; pause < time.Millisecond || pause >= 2*time.Millisecond {
				t.Errorf("seed %d: pause %v after a reset", seed, pause)
			}
		}
		if len(different) < 100 {
			t.Errorf("%d different pauses: no jitter", len(different))
		}
	})
}
