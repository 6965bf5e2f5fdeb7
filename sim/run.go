package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Report is what a run came to.
type Report struct {
	Config    Config
	Violation *Violation // nil: every property held
	Unjudged  string     // why nobody can tell whether what the clients were told is linearizable; empty when it is
	Steps     uint64     // messages and timers delivered
	Virtual   time.Duration
	Trace     uint64   // a digest of every step
	Struck    []Struck // the faults that happened
	Calls     int      // that clients began
	Ended     int      // that ended with a result
	Committed int
	Elections int
	Changes   int // of the membership, on leaders
	Restores  int // of snapshots
	Sent      int // messages on the network
	Dropped   int
	Doubled   int
	Leases    int            // steps of a replica that holds a lease
	Most      Heights        // of what waits
	Torn      int            // crashes that kept a part of what was not synced
	Calm      Calm           // of a liveness run
	Counts    map[string]int // of everything else that happened
}

// Run runs a whole configuration.
func Run(cfg Config) *Report { return New(cfg).Run() }

// Run lets everything happen. Call it once.
func (s *Sim) Run() *Report {
	s.guarded(s.play)
	return s.report()
}

func (s *Sim) play() {
	s.until(func() bool { return s.clock.Now() >= s.cfg.Length || s.ended() })
	if s.ended() {
		return
	}
	if s.cfg.Liveness && s.check.first == nil {
		s.recover()
	}
	if s.check.first == nil {
		s.judge()
	}
}

// ended reports whether a repeated run has come as far as it was to.
func (s *Sim) ended() bool { return s.cfg.Until > 0 && s.clock.Now() >= s.cfg.Until }

// until steps the cluster until a condition holds, something is violated or nothing is left to do.
func (s *Sim) until(condition func() bool) bool {
	met := false
	for met = condition(); !met && s.check.first == nil && !s.ended(); met = condition() {
		if !s.stage.Step() {
			s.check.fail("something is always to be done", "nothing waits, not even a timer")
			break
		}
		if s.stage.Steps()%256 == 0 {
			s.bounded()
			s.present()
		}
	}
	return met
}

// roles describes every node for a report.
func (s *Sim) roles() string {
	var all []string
	for _, id := range s.ids {
		n := s.nodes[id]
		switch {
		case n.gone:
			all = append(all, fmt.Sprintf("n%d lost", id))
		case n.life == nil || n.life.machine == nil:
			all = append(all, fmt.Sprintf("n%d down", id))
		default:
			v := &n.life.view
			all = append(all, fmt.Sprintf("n%d %v term %d commit %d last %d applied %d", id, v.role, v.term, v.commit, v.last.Index, n.life.machine.index))
		}
	}
	return strings.Join(all, "; ")
}

func (s *Sim) report() *Report {
	r := &Report{
		Config: s.cfg, Violation: s.check.first, Unjudged: s.record.unjudged, Steps: s.stage.Steps(), Virtual: s.clock.Now(), Trace: s.trace.sum, Struck: s.struck,
		Calls: len(s.record.calls) + len(s.record.bursts), Ended: s.record.ended, Committed: len(s.check.log), Elections: s.check.elections, Changes: s.check.changes,
		Restores: s.check.restores, Most: s.most, Leases: s.check.leases, Calm: s.lull, Sent: s.net.sent, Dropped: s.net.dropped + s.net.lost, Doubled: s.net.doubled, Counts: s.counts,
	}
	for _, id := range s.ids {
		r.Torn += s.nodes[id].disk.torn
	}
	return r
}

// String is the report in a few lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d nodes, %d spares, %d steps in %v; %d elections, %d committed, %d of %d calls ended, %d changes, %d restores, %d sent, %d lost, %d doubled, %d torn, trace %016x",
		r.Config.Seed, r.Config.Nodes, max(r.Config.Spares, 0), r.Steps, r.Virtual.Round(time.Millisecond), r.Elections, r.Committed, r.Ended, r.Calls, r.Changes, r.Restores, r.Sent, r.Dropped, r.Doubled, r.Torn, r.Trace)
	if r.Calm.Settled > 0 {
		fmt.Fprintf(&b, "; after the faults a leader within %v, settled within %v, all done within %v", r.Calm.Led, r.Calm.Settled, r.Calm.Done)
	}
	fmt.Fprintf(&b, "\n  at most: %v", r.Most)
	if r.Violation != nil {
		fmt.Fprintf(&b, "\nVIOLATED %v", r.Violation)
	}
	if r.Unjudged != "" {
		fmt.Fprintf(&b, "\nNOT JUDGED: %s", r.Unjudged)
	}
	for _, k := range slices.Sorted(maps.Keys(r.Counts)) {
		fmt.Fprintf(&b, "\n  %-50s %d", k, r.Counts[k])
	}
	return b.String()
}
