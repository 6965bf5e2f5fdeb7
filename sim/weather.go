package sim

import (
	"slices"
	"time"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Weather is what a link does to messages.
type Weather struct {
	Cut       bool          // nothing arrives, and nobody is told
	Drop      float64       // probability
	Duplicate float64       // probability
	Delay     time.Duration // at least
	Jitter    time.Duration // above Delay, at most: messages overtake one another within it
	Rate      float64       // bytes a second; 0: without bound. What would wait for more than fullQueue is lost
	Late      float64       // probability of up to latest more: what arrives may be of an old term, or for a life that has ended
}

// latest is how much later than others a late message may be. Smaller delays are the likelier ones.
const latest = 5 * time.Second

// fullQueue is the longest that messages wait before a link that is too narrow for them.
const fullQueue = 400 * time.Millisecond

// kinds are the messages of which all may be slow while others overtake them.
var kinds = []string{
	"raft.AppendEntriesReply", "raft.HeartbeatReply", "raft.RequestVote", "raft.RequestVoteReply", "raft.TimeoutNow",
	"remote.AppendBlocks", "remote.Pulse", "remote.SnapshotChunk", "remote.SnapshotChunkReply",
}

// fair is an undisturbed local network.
var fair = Weather{Delay: 50 * time.Microsecond, Jitter: 200 * time.Microsecond}

// restless is the weather while faults last, without any storm.
var restless = Weather{Delay: fair.Delay, Jitter: fair.Jitter, Late: 0.0005}

// add is the weather of both at once.
func (w Weather) add(o Weather) Weather {
	both := func(a, b float64) float64 { return 1 - (1-a)*(1-b) }
	return Weather{
		Cut: w.Cut || o.Cut, Drop: both(w.Drop, o.Drop), Duplicate: both(w.Duplicate, o.Duplicate),
		Delay: w.Delay + o.Delay, Jitter: w.Jitter + o.Jitter, Late: both(w.Late, o.Late), Rate: narrower(w.Rate, o.Rate),
	}
}

func narrower(a, b float64) float64 {
	if a == 0 || b == 0 {
		return a + b
	}
	return min(a, b)
}

// A storm is weather on some links for a while. Those that overlap add up, and each ends by itself.
type storm struct {
	Weather
	links map[Link]bool // nil: all
	kind  string        // of messages; empty: all
}

// weather is what a message on this link meets now; nil: one of which only the link matters.
func (n *network) weather(l Link, message any) Weather {
	if slices.Contains(n.sim.cfg.Broken, l) {
		return Weather{Cut: true}
	}
	w, ok := n.links[l]
	if !ok {
		w = n.general
	}
	for _, s := range n.storms {
		if (s.links == nil || s.links[l]) && (s.kind == "" || message != nil && nameOf(message) == s.kind) {
			w = w.add(s.Weather)
		}
	}
	return w
}

func nameOf(v any) string {
	name, _ := typeName(v)
	return name
}

// begin lets a storm begin, end lets it end.
func (n *network) begin(s *storm) { n.storms = append(n.storms, s) }

func (n *network) end(s *storm) {
	n.storms = slices.DeleteFunc(n.storms, func(other *storm) bool { return other == s })
}

// clear makes the weather fair everywhere. What is on its way still arrives, when it was to arrive.
func (n *network) clear() {
	n.general, n.storms = fair, nil
	clear(n.free)
	clear(n.links)
}

// disturb changes links for a while.
func (s *Sim) disturb(f Fault) {
	s.count("fault " + string(f.Kind))
	w := &storm{links: s.links(f)}
	switch f.Kind {
	case Storm:
		w.Weather = Weather{Drop: f.Rate, Duplicate: f.Rate, Jitter: time.Duration(f.Rate * float64(300*time.Millisecond)), Late: 0.01}
	case NarrowLink:
		w.Weather = Weather{Rate: f.Rate}
	case LateKind:
		w.Weather, w.kind = Weather{Jitter: time.Duration(f.Rate * float64(time.Second))}, f.In
		if f.In == nameOf(&remote.AppendBlocks{}) {
			s.net.disorder = max(s.net.disorder, s.clock.Now()+f.For+w.Jitter)
		}
	case SlowLink:
		w.Weather = Weather{Delay: 20 * time.Millisecond, Jitter: 400 * time.Millisecond}
	default:
		w.Weather = Weather{Cut: true}
	}
	if len(s.net.storms) > 0 {
		s.count("disturbances overlap")
	}
	s.net.begin(w)
	s.after(f.For, func() { s.net.end(w) })
}

// links are those that a fault disturbs, nil for all.
func (s *Sim) links(f Fault) map[Link]bool {
	if f.Kind == Storm || f.Kind == LateKind {
		return nil
	}
	links := map[Link]bool{}
	apart := func(id raft.NodeID) bool { return slices.Contains(f.Set, id) }
	if f.Kind == Isolate {
		apart = func(id raft.NodeID) bool { return id == f.A }
	}
	for _, from := range s.ids {
		for _, to := range s.ids {
			l := Link{from, to}
			if f.Kind == OneWay || f.Kind == SlowLink || f.Kind == NarrowLink {
				links[l] = l == Link{f.A, f.B}
			} else {
				links[l] = apart(from) != apart(to)
			}
		}
	}
	return links
}
