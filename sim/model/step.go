package model

import (
	"errors"
	"slices"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// An outcome is what an event at one server comes to.
type outcome struct {
	event  event
	cost   cost
	after  uint32             // the server, by number
	to     [maxServers]uint32 // what it sends, as a set of messages per receiver; 0 is none
	broken uint32             // 1+ the property that it breaks by itself; 0: none
	asked  bool               // a read has begun
	read   raft.Index         // 1+ the index at which a read was answered; 0: none was
	lost   bool               // the read was refused
	told   bool               // the server learned of commits, or began to lead
}

// A step is an event under way at a server of its own.
type step struct {
	c      *checker
	s      *server
	before *server
	about  raft.Term // the term of the message being heard, whose stale refusals tell only a term; 0: none
	sent   []uint32
	out    outcome
	fault  error
}

// outcomeOf works out what ev does to the server with this number, and gives that a number.
func (c *checker) outcomeOf(number uint32, ev event) uint32 {
	before := c.servers[number]
	st := &step{c: c, s: before.clone(), before: before, out: outcome{event: ev, cost: costOf[ev.kind]}}
	if ev.kind == losePatience && before.node.Role() == raft.Leader {
		st.out.cost = free
	}
	st.guarded(ev)
	if st.fault == nil {
		st.offer()
		st.judge(ev)
	}
	if st.fault != nil {
		c.faults = append(c.faults, st.fault)
		st.out.broken = uint32(len(c.faults))
	}
	st.out.after = c.serverNumber(st.s, origin{from: number, event: ev})
	st.out.told = st.s.node.CommitIndex() > before.node.CommitIndex() || st.beganToLead()
	for i, set := range c.partition(st.sent) {
		st.out.to[i] = set
	}
	c.outcomes = append(c.outcomes, st.out)
	return uint32(len(c.outcomes) - 1)
}

func (st *step) beganToLead() bool {
	a, b := st.s.node, st.before.node
	return a.Role() == raft.Leader && (b.Role() != raft.Leader || a.Term() != b.Term() || st.out.event.kind == crash)
}

// guarded makes a broken invariant of the rules the step's fault.
func (st *step) guarded(ev event) {
	defer func() {
		if r := recover(); r != nil {
			var broken *raft.BrokenInvariant
			if err, ok := r.(error); !ok || !errors.As(err, &broken) {
				panic(r)
			}
			st.blame(broken.Name, "%v", broken)
			st.s = st.before.clone()
		}
	}()
	st.happen(ev)
	if err := st.s.node.Check(); err != nil {
		panic(err)
	}
}

func (st *step) blame(property, format string, args ...any) {
	if st.fault == nil {
		st.fault = st.c.violation(property, format, args...)
	}
}

func (st *step) happen(ev event) {
	c, n := st.c, st.s.node
	switch ev.kind {
	case hear:
		l := c.letters[ev.arg]
		if _, beat := l.message.(*raft.Heartbeat); beat && c.scope.Limit.Losses > 0 && !n.InDoubt(st.s.id) {
			return // they are sent for those in doubt to answer; others hear as much from an AppendEntries
		}
		st.about = l.message.MsgTerm()
		var with []raft.Change
		if m, ok := l.message.(*raft.AppendEntries); ok {
			with = m.Changes
		}
		st.run(raft.Received{From: l.from, Message: l.message}, with)
	case losePatience:
		st.losePatience()
	case sync:
		st.sync()
	case crash:
		st.crash()
	case propose:
		st.run(raft.Propose{Count: 1}, nil)
	case change:
		st.run(raft.ChangeMembership{Target: c.scope.Targets[ev.arg], Force: true}, nil)
	case snapshot:
		i := n.CommitIndex()
		t, _ := n.TermAt(i)
		meta := raft.SnapshotMeta{Index: i, Term: t, Membership: n.MembershipAt(i)}
		through := i - raft.Index(ev.arg)
		st.s.disk.snapshotted(meta, through)
		st.run(raft.Compacted{Meta: meta, Through: through}, nil)
	case read:
		st.out.asked = true
		st.run(raft.Read{ID: 1}, nil)
	case tick:
		st.s.now++
		if c.scope.faults.fastClock == st.s.id {
			st.s.now++
		}
	case beat:
		st.beat()
	case transfer:
		st.run(raft.Transfer{To: raft.NodeID(ev.arg)}, nil)
	case lose:
		st.lose(ev.arg)
	}
}

// losePatience begins an election. Without a clock the prevotes, which promise nothing, are there at once.
func (st *step) losePatience() {
	n := st.s.node
	if st.c.scope.Clock {
		st.run(raft.Elapsed{}, nil)
		return
	}
	st.run(raft.Campaign{}, nil)
	asked := n.Term() + 1
	for _, id := range n.Membership().IDs() {
		if n.Role() == raft.PreCandidate && id != st.s.id {
			st.run(raft.Received{From: id, Message: &raft.RequestVoteReply{Term: n.Term(), Asked: asked, Granted: true, PreVote: true}}, nil)
		}
	}
}

// run steps the rules and does what they ask. Changes are the memberships that came with the event.
func (st *step) run(ev raft.Event, with []raft.Change) {
	s, c := st.s, st.c
	eff := s.node.Step(c.nowAt(s), ev)
	if eff.Impossible != nil && c.scope.faults == (faults{}) { // every server is correct, what it has lost included
		st.blame("Nobody Sends The Impossible", "server %d: %v", s.id, eff.Impossible)
	}
	if eff.Ack != nil {
		w := write{hard: eff.Hard, reset: eff.Reset, ack: *eff.Ack}
		for _, a := range eff.Append {
			w.runs = append(w.runs, a.Run)
			if a.Membership != nil {
				w.changes = append(w.changes, raft.Change{Index: a.First, Membership: *a.Membership})
			}
		}
		for _, ch := range with {
			if len(w.runs) > 0 && ch.Index >= w.runs[0].First {
				w.changes = append(w.changes, ch)
			}
		}
		s.pending = append(s.pending, w)
	}
	for _, o := range eff.Send {
		st.post(o)
	}
	if eff.Beat != 0 {
		st.beat()
	}
	for _, r := range eff.Reads {
		if r.Err != nil {
			st.out.lost = true
		} else {
			st.out.read = r.Index + 1
		}
	}
	for eff.Ack != nil && !c.scope.HoldSync && len(s.pending) > 0 {
		st.sync()
	}
}

// post sends o, or holds it until what was written before is durable.
func (st *step) post(o raft.Outgoing) {
	number, ok := st.c.post(st.s.id, o.To, o.Message, st.about)
	if !ok {
		return
	}
	if k := len(st.s.pending); k > 0 && o.AfterSync && !st.c.scope.faults.speakEarly {
		held := &st.s.pending[k-1].held
		if !slices.Contains(*held, number) {
			*held = append(*held, number)
			slices.Sort(*held)
		}
		return
	}
	st.leave(number)
}

// leave puts a message on the wire.
func (st *step) leave(number uint32) {
	st.judgeLeaving(st.c.letters[number])
	st.sent = append(st.sent, st.c.forge(number))
}

// sync makes the oldest write durable, lets go what waited for it and tells the rules.
func (st *step) sync() {
	s := st.s
	w := s.pending[0]
	s.pending = slices.Clone(s.pending[1:])
	old := s.disk.hard
	if !st.c.scope.faults.lie {
		s.disk.apply(w)
	}
	switch now := s.disk.hard; {
	case now.Term < old.Term:
		st.blame("Terms Monotonic", "on disk the term of server %d went from %d to %d", s.id, old.Term, now.Term)
	case now.Term > old.Term:
		s.spoken = raft.None
	}
	for _, number := range w.held {
		st.leave(number)
	}
	st.run(w.ack, nil)
}

// crash restarts the server from its disk.
func (st *step) crash() {
	s, f := st.s, st.c.scope.faults
	s.pending = nil
	if f.forgetVotes {
		s.disk.hard.Vote = raft.None
	}
	if f.forgetTail && s.disk.last() > s.disk.prev.Index {
		s.disk.truncate(s.disk.last())
	}
	st.restart()
}

func (st *step) restart() {
	s := st.s
	s.life++
	node, err := raft.New(raft.Config{ID: s.id, ElectionMin: electionMin, Life: s.life << 8}, s.disk.state(), st.c.nowAt(s))
	if err != nil {
		st.blame("Restart", "server %d does not start again: %v", s.id, err)
		return
	}
	s.node = node
}

// lose restarts the server from a disk that has lost something. What was once on it stays in the cluster's memory.
func (st *step) lose(what uint32) {
	s := st.s
	s.once, s.pending, s.spoken = append(s.once, s.disk.clone()), nil, raft.None
	switch what {
	case everything:
		s.disk = disk{snapshot: raft.SnapshotMeta{Membership: st.c.founding(s.id)}}
	case lastEntry:
		s.disk.truncate(s.disk.last())
	case vote:
		s.disk.hard.Vote = raft.None
	}
	s.disk.hard.Doubt = !st.c.scope.faults.confident
	st.restart()
}

// nowAt is the time of a step at s.
func (c *checker) nowAt(s *server) time.Duration {
	if c.scope.Clock {
		return s.now
	}
	c.moments += electionMin
	return c.moments
}
