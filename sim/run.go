package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/raft"
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
	Waiting   int            // messages in mailboxes, at most
	InFlight  int            // messages on the network, at most
	Torn      int            // crashes that kept a part of what was not synced
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
		}
	}
	return met
}

// bounded: nothing piles up.
func (s *Sim) bounded() {
	waiting := s.stage.Waiting()
	s.mostWaiting, s.mostInFlight = max(s.mostWaiting, waiting), max(s.mostInFlight, s.net.inFlight)
	if s.net.inFlight > maxInFlight {
		s.check.fail("bounded memory", "%d messages, %d bytes on the network", s.net.inFlight, s.net.inFlightBytes)
	}
	if waiting > maxWaiting {
		s.check.fail("bounded memory", "%d messages wait in mailboxes", waiting)
	}
}

// recover ends all faults and demands life.
func (s *Sim) recover() {
	s.heal()
	if !s.viable() {
		s.count("no quorum is left")
		return
	}
	deadline := s.clock.Now() + calmLimit
	late := func() bool { return s.clock.Now() > deadline && !s.ended() }
	s.until(func() bool { return s.led() || late() })
	if late() {
		s.check.fail("there is a leader", "none %v after the faults ended: %s", calmLimit, s.roles())
		return
	}
	settled := s.clock.Now() + time.Second // clients go on for a while under fair weather
	s.until(func() bool { return s.clock.Now() > settled })
	s.finished = true
	s.until(func() bool { return s.idle() || late() })
	if late() {
		s.check.fail("every client finishes", "%d wait %v after the faults ended: %s", s.waiting(), calmLimit, s.roles())
		return
	}
	s.until(func() bool { return s.equal() || late() })
	if late() {
		s.check.fail("all nodes converge", "not %v after the faults ended: %s", calmLimit, s.roles())
	}
}

// handful is longer than any mailbox takes to be emptied.
const handful = 5 * time.Millisecond

// heal makes the weather fair, clocks right and disks whole, and brings every node up that can be.
func (s *Sim) heal() {
	now := s.clock.Now()
	s.calm = true
	s.bombs = nil
	s.net.general = fair
	clear(s.net.links)
	s.trace.note("calm")
	s.until(func() bool { return s.clock.Now() > now+handful }) // what operators asked for has begun by then, and can be seen
	s.bury()
	for _, id := range s.ids {
		n := s.nodes[id]
		n.disk.failSync, n.disk.failWrite, n.disk.failFile, n.disk.full, n.disk.stalled = 0, 0, 0, false, 0
		n.skew = nil
		if n.life != nil {
			n.life.trap = ""
			n.life.stage.SetSkew(0, 1)
			if _, there := n.life.host.Group(groupID); (n.life.failed != nil || !there) && !n.gone {
				n.crash()
			}
		}
		s.up(n)
	}
}

// bury leaves some nodes down for good, in half of the runs, as long as every membership that may be in force keeps its quorums.
func (s *Sim) bury() {
	if s.rng.IntN(2) == 0 {
		return
	}
	inForce := s.inForce()
	for _, i := range s.rng.Perm(len(s.ids)) {
		n := s.nodes[s.ids[i]]
		lost := n.gone
		n.gone = true
		for _, m := range inForce {
			if !quorum(m, func(id raft.NodeID) bool { return !s.nodes[id].gone }) {
				n.gone = lost
				break
			}
		}
		if n.gone && !lost {
			n.crash()
			s.count("nodes left down")
			s.trace.note("node %d stays down", n.id)
		}
	}
}

// viable reports whether every membership that may be in force has a quorum of nodes that can live.
func (s *Sim) viable() bool {
	for _, m := range s.inForce() {
		if !quorum(m, func(id raft.NodeID) bool { return !s.nodes[id].gone }) {
			return false
		}
	}
	return true
}

// inForce is the committed membership and every one beyond it that some disk holds or some replica goes by.
func (s *Sim) inForce() []raft.Membership {
	all := []raft.Membership{s.check.settled}
	for _, id := range s.ids {
		if l := s.nodes[id].life; l != nil && l.view.node != nil { // nothing runs at this moment, so the rules may be looked at
			for _, c := range l.view.node.ChangesIn(s.check.settledAt+1, l.view.node.LastIndex()) {
				all = append(all, c.Membership)
			}
		}
		for _, b := range s.nodes[id].disk.image(groupID).blocks {
			changes, err := b.Changes()
			if err != nil {
				continue
			}
			for _, c := range changes {
				if c.Index > s.check.settledAt {
					all = append(all, c.Membership)
				}
			}
		}
	}
	return all
}

// members are the nodes that the newest membership names, that can live and that the leader can talk with: Raft has no other way to
// reach them.
func (s *Sim) members() (ids []raft.NodeID, leader *node) {
	leader = s.leader()
	if leader == nil {
		return nil, nil
	}
	for _, id := range leader.life.view.members.IDs() {
		if n := s.nodes[id]; n != nil && !n.gone && s.connected(leader.id, id) {
			ids = append(ids, id)
		}
	}
	return ids, leader
}

func (s *Sim) connected(a, b raft.NodeID) bool {
	return !slices.Contains(s.cfg.Broken, Link{a, b}) && !slices.Contains(s.cfg.Broken, Link{b, a})
}

// led reports whether one node leads and every other member follows it in its term.
func (s *Sim) led() bool {
	ids, leader := s.members()
	if leader == nil {
		return false
	}
	for _, id := range ids {
		l := s.nodes[id].life
		if l == nil || l.view.term != leader.life.view.term || id != leader.id && l.view.role == raft.Leader {
			return false
		}
	}
	return true
}

func (s *Sim) waiting() (n int) {
	for _, c := range s.clients {
		if !c.stopped {
			n++
		}
	}
	return n
}

func (s *Sim) idle() bool { return s.waiting() == 0 }

// equal reports whether every member has applied everything.
func (s *Sim) equal() bool {
	ids, leader := s.members()
	if leader == nil {
		return false
	}
	want := leader.life
	for _, id := range ids {
		l := s.nodes[id].life
		if l == nil || l.view.commit != want.view.commit || l.machine.index != want.machine.index || l.machine.chain != want.machine.chain {
			return false
		}
	}
	return true
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
		Calls: len(s.record.calls), Ended: s.record.ended, Committed: len(s.check.log), Elections: s.check.elections, Changes: s.check.changes,
		Restores: s.check.restores, Waiting: s.mostWaiting, InFlight: s.mostInFlight, Leases: s.check.leases, Sent: s.net.sent, Dropped: s.net.dropped + s.net.lost, Doubled: s.net.doubled, Counts: s.counts,
	}
	for _, id := range s.ids {
		r.Torn += s.nodes[id].disk.torn
	}
	return r
}

// String is the report in a few lines.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %d nodes, %d spares, %d steps in %v; %d elections, %d committed, %d of %d calls ended, %d changes, %d restores, %d sent, %d lost, %d doubled, %d torn, at most %d waited and %d were in flight, trace %016x",
		r.Config.Seed, r.Config.Nodes, max(r.Config.Spares, 0), r.Steps, r.Virtual.Round(time.Millisecond), r.Elections, r.Committed, r.Ended, r.Calls, r.Changes, r.Restores, r.Sent, r.Dropped, r.Doubled, r.Torn, r.Waiting, r.InFlight, r.Trace)
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
