package main

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// maxLatency is the longest latency that the histograms hold; longer ones count as this.
const maxLatency = time.Minute

// latencyShards keeps clients from queueing for one histogram, and a thousand clients from needing one each.
const latencyShards = 16

// latencies collects how long operations took, in microseconds to three digits. Safe for concurrent use.
type latencies struct{ shards [latencyShards]latencyShard }

type latencyShard struct {
	mu   sync.Mutex
	hist *hdrhistogram.Histogram
	_    [48]byte // a cache line each
}

func newLatencies() *latencies {
	l := &latencies{}
	for i := range l.shards {
		l.shards[i].hist = hdrhistogram.New(1, maxLatency.Microseconds(), 3)
	}
	return l
}

// record takes one operation of a client.
func (l *latencies) record(client int, d time.Duration) {
	us := min(max(d, 0), maxLatency).Microseconds()
	s := &l.shards[client%latencyShards]
	s.mu.Lock()
	_ = s.hist.RecordValue(us) // in range by construction
	s.mu.Unlock()
}

// merged is one histogram of all that was recorded.
func (l *latencies) merged() *hdrhistogram.Histogram {
	all := hdrhistogram.New(1, maxLatency.Microseconds(), 3)
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		all.Merge(s.hist)
		s.mu.Unlock()
	}
	return all
}
