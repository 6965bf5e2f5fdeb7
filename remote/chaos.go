package remote

import (
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// Chaos disturbs a node's traffic, out and in, for tests and demonstrations. The zero Chaos heals: what was
// only delayed arrives at once. Connections stay up, as they do when a network loses packets.
type Chaos struct {
	Drop  float64       // the share of envelopes lost, on the way out and again on the way in; 0 to 1
	Delay time.Duration // added on the way out and again on the way in; order is kept
	Block []raft.NodeID // these nodes neither hear us nor are heard
}

// weather publishes the current Chaos to all goroutines. Most of the time there is none.
type weather struct{ now atomic.Pointer[front] }

type front struct {
	Chaos
	over chan struct{} // closed when another Chaos is set
}

func (w *weather) set(c Chaos) {
	c.Block = slices.Clone(c.Block)
	next := &front{Chaos: c, over: make(chan struct{})}
	if c.Drop <= 0 && c.Delay <= 0 && len(c.Block) == 0 {
		next = nil
	}
	if last := w.now.Swap(next); last != nil {
		close(last.over)
	}
}

// loses decides the fate of one envelope to or from node.
func (f *front) loses(node raft.NodeID) bool {
	return f != nil && (slices.Contains(f.Block, node) || (f.Drop > 0 && rand.Float64() < f.Drop))
}

// delay is zero in fair weather.
func (f *front) delay() time.Duration {
	if f == nil {
		return 0
	}
	return max(f.Delay, 0)
}
