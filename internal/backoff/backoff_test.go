package backoff

import (
	"math"
	"testing"
	"time"
)

func TestAfter(t *testing.T) {
	for _, c := range []struct {
		d        Doubling
		failures int
		want     time.Duration
	}{
		{Doubling{10, 100}, 0, 10},
		{Doubling{10, 100}, 1, 10},
		{Doubling{10, 100}, 2, 20},
		{Doubling{10, 100}, 4, 80},
		{Doubling{10, 100}, 5, 100},
		{Doubling{10, 100}, math.MaxInt, 100},
		{Doubling{10, 10}, 9, 10},
		{Doubling{10, 5}, 9, 5},
		{Doubling{0, 100}, math.MaxInt, 0},
		{Doubling{}, 3, 0},
		{Doubling{1, math.MaxInt64}, math.MaxInt, math.MaxInt64}, // nothing overflows
		{Doubling{math.MaxInt64/2 + 1, math.MaxInt64}, 2, math.MaxInt64},
	} {
		if got := c.d.After(c.failures); got != c.want {
			t.Errorf("%+v after %d: %d, want %d", c.d, c.failures, got, c.want)
		}
	}
}

func TestStretched(t *testing.T) {
	for _, c := range []struct{ share, random, want float64 }{{0, 0.5, 100}, {0.2, 0, 100}, {0.2, 0.5, 110}, {0.2, 1, 120}, {1, 0.5, 150}} {
		if got := Stretched(100, c.share, c.random); got != time.Duration(c.want) {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
