// Package allocs holds tests of decoders to a budget: bytes from a disk or a network may be anybody's, and a few of them
// must not make their reader take memory that they cannot account for.
package allocs

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

const total = "/gc/heap/allocs:bytes"

// AtMost runs f and fails t when it allocates more than limit bytes in all, garbage included. An excess of some
// ten KiB may go unnoticed, as the price of being quick enough for fuzzing. What other goroutines allocate is
// told from what f does by running it again, so f must be repeatable.
func AtMost(t testing.TB, limit int, f func()) {
	t.Helper()
	sample := []metrics.Sample{{Name: total}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample) // counts small objects late, span by span
	if sample[0].Value.Uint64()-before <= uint64(limit) {
		return
	}
	least := Of(f)
	for pause := time.Millisecond; least > uint64(limit); pause *= 2 {
		if pause > longestPause {
			t.Fatalf("%d bytes allocated, want at most %d", least, limit)
			return // where t only notes it
		}
		time.Sleep(pause) // what an earlier test has left behind may come to its end meanwhile
		least = min(least, Of(f))
	}
}

// longestPause is how long, at most, others are given before f is run once more.
const longestPause = 64 * time.Millisecond

// Of runs f and returns how many bytes the process allocated meanwhile.
func Of(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
