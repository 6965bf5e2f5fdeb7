package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// Limits of the calm, in virtual time.
const (
	handful = 10 * time.Millisecond // longer than any mailbox takes to be emptied, an applier's that applies one entry a turn included

	settleWithin = 20 * time.Second    // until a leader has led undisturbed for as long as settling takes
	settling     = 3 * time.Second / 2 // longer than whatever a fault left on its way: late messages, stalled syncs, pauses of daemons
	busy         = time.Second / 2     // of what follows, in which clients go on
	watch        = 3 * time.Second     // in all, in which nothing may change
	finishWithin = 5 * time.Second     // from then on, for every client's answer, for equal states and for all other answers

	glance = 16 // steps between two looks at all nodes, which cost as much as a step
)

// A Calm is how long a cluster took to live again, each counted from the end of the faults.
type Calm struct {
	Led, Settled, Done time.Duration
}

// recover ends all faults and demands life.
func (s *Sim) recover() {
	s.heal()
	if !s.viable() {
		s.count("no quorum is left")
		return
	}
	begun := s.clock.Now()
	if !s.settle(begun) {
		return
	}
	s.lull.Settled = s.clock.Now() - begun
	s.settled = true
	s.steady()
	s.demand(finishWithin, "every client finishes", s.idle)
	s.demand(finishWithin, "the other groups of the hosts serve", func() bool {
		return !slices.ContainsFunc(s.neighbours, func(g *neighbour) bool { return !g.serves(begun) })
	})
	s.demand(finishWithin, "all nodes converge", s.equal)
	s.demand(finishWithin, "members have caught up, and say so", s.caughtUp)
	s.demand(finishWithin, "members know each other's starts", s.acquainted)
	s.demand(finishWithin, "memberships say where members are", s.placed)
	s.demand(finishWithin, "every request is answered", func() bool { return s.unanswered(nil) == "" })
	s.lull.Done = s.clock.Now() - begun
	s.check.flowing()
	s.found()
	if s.check.first == nil {
		s.alike()
	}
	if s.check.first == nil {
		s.trials()
	}
}

// demand waits for what must come in time.
func (s *Sim) demand(within time.Duration, property string, condition func() bool) {
	if !s.within(within, condition) {
		s.check.fail(property, "not within %v, %d clients and these requests wait: %s; %s", within, s.waiting(), s.unanswered(nil), s.roles())
	}
}

// within waits for a condition, as long as that, and reports whether it was met.
func (s *Sim) within(d time.Duration, condition func() bool) (met bool) {
	deadline := s.clock.Now() + d
	s.until(func() bool {
		met = met || condition()
		return met || s.clock.Now() > deadline
	})
	return met
}

// settle waits until one node has led for a while with nothing left over from the time of the faults.
func (s *Sim) settle(begun time.Duration) bool {
	since := begun // something was last left over
	why := ""
	looked := time.Duration(-1)
	s.until(func() bool {
		now := s.clock.Now()
		if looked >= 0 && s.stage.Steps()%glance != 0 && now-looked < handful/10 { // few steps may take long
			return false
		}
		looked = now
		if left := s.unsettled(); left != "" {
			since, why = now, left
		}
		if s.lull.Led == 0 && s.led() {
			s.lull.Led = max(now-begun, 1) // 0 is never
		}
		return now-since > settling || now-begun > settleWithin
	})
	if s.clock.Now()-since <= settling {
		if why == leaderless && !s.electable() {
			s.count("nobody can be elected, since not all have heard of a readmission")
			return false
		}
		s.check.fail(why, "not for %v without a break, within %v after the faults ended; open requests: %s; %s", settling, settleWithin, s.unanswered(nil), s.roles())
	}
	return s.check.first == nil
}

const leaderless = "there is a leader"

// electable reports whether anybody can be elected as long as those do not hear a member that was let back in whose log does not say so
// (docs/decisions/0021, "What remains").
func (s *Sim) electable() bool {
	runs := func(n *node) bool { return n.life != nil && n.life.view.node != nil && s.votes(n.id) }
	names := func(n, member *node) uint64 {
		m, _ := n.life.view.node.Membership().Member(member.id)
		return m.Store
	}
	hears := func(n, member *node) bool {
		store := names(member, member)
		return store == 0 || member.disk.folder == nil || store != member.disk.folder.store || names(n, member) == store
	}
	behind := func(a, b raft.EntryID) bool { return a.Term < b.Term || a.Term == b.Term && a.Index < b.Index }
	for _, id := range s.ids {
		n := s.nodes[id]
		if !runs(n) || n.life.view.lost {
			continue
		}
		if quorum(n.life.view.node.Membership(), func(id raft.NodeID) bool {
			o := s.nodes[id]
			return o == n || runs(o) && !behind(n.life.view.last, o.life.view.last) && hears(o, n) && hears(n, o)
		}) {
			return true
		}
	}
	return false
}

// unsettled names what is not as it must become, empty if all is.
func (s *Sim) unsettled() string {
	if !s.led() {
		return leaderless
	}
	id, v := s.leader().id, &s.leader().life.view
	switch {
	case s.unanswered(isOperators) != "":
		return "operators are answered"
	case s.net.late > 0: // an order to campaign may be among them
		return "late messages arrive"
	case v.members.Joint() || len(v.node.ChangesIn(v.commit+1, v.last.Index)) > 0:
		return "changes of the membership end"
	case !v.members.IsVoter(id):
		return "the leader has a vote"
	}
	for _, id := range s.ids {
		if l := s.nodes[id].life; l != nil && !s.nodes[id].gone && !l.running() {
			return "replicas run"
		}
	}
	for _, id := range s.ids {
		if s.nodes[id].readmits {
			return "nodes that went back are let in again"
		}
	}
	ids, _ := s.members() // others have no leader who could help
	for _, id := range ids {
		if l := s.nodes[id].life; l != nil && l.view.lost {
			return "replicas have a state"
		}
	}
	return ""
}

// steady: in the calm, busy first and idle then, one node leads, in one term, and is followed by all.
func (s *Sim) steady() {
	leader, elections, begun := s.leader(), s.check.elections, s.clock.Now()
	s.until(func() bool {
		if s.stage.Steps()%glance != 0 {
			return false
		}
		now := s.clock.Now()
		s.finished = now > begun+busy
		if why := s.unsettled(); why != "" || s.check.elections != elections || s.leader() != leader {
			s.check.fail("a leader stays", "not node %d, %v after all had settled (%s): %s", leader.id, now-begun, why, s.roles())
		}
		return now > begun+watch
	})
}

// unanswered lists the requests, of those that are of the kind asked for, that were asked of replicas that live and have had no answer.
func (s *Sim) unanswered(which func(*question) bool) string {
	var all []string
	for _, id := range s.ids {
		l := s.nodes[id].life
		if l == nil {
			continue
		}
		for _, q := range l.open {
			if which == nil || which(q) {
				all = append(all, q.String())
			}
		}
	}
	return strings.Join(all, ", ")
}

// heal makes the weather fair, clocks right and disks whole, and brings every node up that can be.
func (s *Sim) heal() {
	now := s.clock.Now()
	s.calm = true
	s.bombs, s.hangs = nil, nil
	s.net.clear()
	for _, id := range s.ids {
		s.nodes[id].spare()
	}
	s.trace.note("calm")
	s.tellAll()
	s.until(func() bool { return s.clock.Now() > now+handful }) // what operators asked for has begun by then, and can be seen
	s.awaitReturned()
	s.present()
	s.condemn()
	s.bury()
	for _, id := range s.ids {
		n := s.nodes[id]
		n.skew = nil
		if n.life != nil {
			n.life.stage.SetSkew(0, 1)
			if (n.life.group == nil || n.life.down() || n.disk.life.failure != nil || n.life.respawning || s.lacks(n)) && !n.gone {
				n.crash()
			}
		}
		s.up(n)
	}
}

// spare ends all that is still to happen to a node: from here on nothing of it fails.
func (n *node) spare() {
	n.toil, n.linger = 0, nil
	n.disk.mended()
	if l := n.life; l != nil {
		l.trap = ""
		l.free()
	}
}

// condemn gives up the node that is down for what has rotted on its disk, and makes that disk whole on which nobody has noticed anything.
func (s *Sim) condemn() {
	for _, id := range s.ids {
		n := s.nodes[id]
		if l := n.disk.life; l != nil && (l.met.log || l.met.file && n.life.group != nil && n.life.down()) {
			n.gone = true
		}
		if n.gone {
			n.crash()
		} else {
			n.disk.mend(n.life != nil && n.life.running() && n.disk.life.failure == nil)
		}
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
			if !quorum(m, s.able) {
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

// viable reports whether every membership that may be in force has a quorum of nodes that can live and lead: then one of them is elected, and helps
// those that have no state.
func (s *Sim) viable() bool {
	for _, m := range s.inForce() {
		if !quorum(m, s.able) {
			return false
		}
	}
	return true
}

// able reports whether a node may have a vote, and may lead.
func (s *Sim) able(id raft.NodeID) bool {
	return s.votes(id) && (s.nodes[id].life == nil || !s.nodes[id].life.view.lost)
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
		if l == nil || !l.running() || l.view.term != leader.life.view.term || id != leader.id && l.view.role == raft.Leader {
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
	for _, b := range s.bursters {
		if !b.idle() {
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
