package replication

import (
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A way of 1 MB a second: what is on it is bounded by what it carries, blocks are cut to fit, and nothing is sent twice because
// its answer takes longer than the first retry.
func TestSlowWay(t *testing.T) {
	const rate, total = 1e6, 12
	b := newBench(t, Config{}, 2)
	b.leading(2)
	b.caughtUp(2)
	var many []*entry.Block
	for i := range raft.Index(total) {
		many = append(many, block(3, 12+64*i, 64, 16<<10))
	}
	bytes := 0
	for _, x := range many {
		bytes += x.Size()
	}
	b.extend(many...)
	f := b.followers[2]
	type transfer struct {
		message *remote.AppendBlocks
		size    int
		done    time.Duration
	}
	var under []transfer
	var free time.Duration
	sent, inFlight, most := raft.Index(11), 0, 0
	for f.last() < many[total-1].Last() {
		for _, m := range f.take() {
			size := 100
			for _, x := range m.Blocks {
				if size += x.Size(); x.First() <= sent {
					t.Errorf("%v: entries %d to %d again", b.stage.now(), x.First(), x.Last())
				}
				sent = x.Last()
			}
			free = max(free, b.stage.now()) + time.Duration(size)*time.Second/rate
			under, inFlight = append(under, transfer{m, size, free}), inFlight+size
		}
		for len(under) > 0 && under[0].done <= b.stage.now() {
			f.reply(under[0].message)
			inFlight -= under[0].size
			under = under[1:]
		}
		if b.stage.Advance(time.Millisecond); b.stage.now() > 3*time.Second {
			most = max(most, inFlight)
		}
		if b.stage.now() > time.Minute {
			t.Fatalf("entry %d of %d after a minute", f.last(), many[total-1].Last())
		}
	}
	if most > 400_000 {
		t.Errorf("%d bytes in flight", most)
	}
	if share := float64(bytes) / rate / b.stage.now().Seconds(); share < 0.9 {
		t.Errorf("%.0f%% of what the way carries", 100*share)
	}
}
