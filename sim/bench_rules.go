package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// The rules by themselves, without the actors, which never ask them some of what others may: those who bring their own runtime, and tomorrow's actors.

// A bare server is a node with its disk.
type bare struct {
	id    raft.NodeID
	node  *raft.Node
	disk  raft.State
	waits []bareWrite // that are not on the disk yet, in order
}

// A bareWrite is what a step wants stored, with what is to leave after it; or a compaction.
type bareWrite struct {
	fx       raft.Effects
	snapshot *raft.SnapshotMeta
	prev     raft.EntryID
}

// A bareCluster is some of them, and the messages between them.
type bareCluster struct {
	*bench
	servers   []*bare
	flight    []bareMessage
	now       time.Duration
	led       map[raft.Term]raft.NodeID
	committed map[raft.Index]raft.Term
	changes   map[raft.EntryID]raft.Membership
	asked     uint64
	lives     uint64
	doubted   *bare // nobody else is ever in doubt
}

type bareMessage struct {
	from, to raft.NodeID
	message  raft.Message
}

// bareRules: servers that are asked anything, in any order, keep to the properties of the paper.
func (b *bench) bareRules() {
	voters := []raft.NodeID{1, 2, 3}[:1+b.rand.IntN(3)]
	c := &bareCluster{bench: b, led: map[raft.Term]raft.NodeID{}, committed: map[raft.Index]raft.Term{}, changes: map[raft.EntryID]raft.Membership{}}
	for id := raft.NodeID(1); id <= 4; id++ {
		s := &bare{id: id}
		if slices.Contains(voters, id) {
			s.disk.Snapshot.Membership = raft.Membership{Voters: voters}
		}
		c.servers = append(c.servers, s)
		c.start(s)
	}
	for i := 0; i < 3000 && b.sim.check.first == nil; i++ {
		c.now += time.Duration(b.rand.Int64N(int64(2 * time.Millisecond)))
		s := c.servers[b.rand.IntN(len(c.servers))]
		switch k := b.rand.IntN(400); {
		case k < 200:
			c.arrives()
		case k < 280:
			c.synced(s)
		case k < 330:
			for _, s := range c.servers {
				c.leads(s)
			}
		case k < 338:
			c.step(s, []raft.Event{raft.Elapsed{}, raft.Campaign{}}[b.rand.IntN(2)])
		case k < 341:
			if doubts := b.rand.IntN(2) == 0 && (c.doubted == nil || c.doubted == s); doubts && s.node.Leader() != raft.None && s.node.Leader() != s.id {
				s.disk.Hard.Doubt, c.doubted = true, s // nothing of it is lost
			}
			if s.node.Role() != raft.Leader || b.rand.IntN(4) == 0 {
				c.start(s)
			}
		case k == 341:
			c.step(s, []raft.Event{raft.StepDown{}, raft.StateLost{Wants: s.node.Snapshot().Index}, raft.Transfer{To: raft.NodeID(b.rand.IntN(6))}}[b.rand.IntN(3)])
		case k < 350:
			c.step(s, raft.StateRestored{})
		case k < 370 && b.rand.IntN(4) == 0:
			c.step(s, raft.Campaign{})
		default:
			for _, one := range c.servers {
				if one.node.Role() == raft.Leader && b.rand.IntN(3) != 0 { // who else is asked refuses
					s = one
				}
			}
			c.step(s, c.event(s))
		}
	}
}

// start begins a server from its disk.
func (c *bareCluster) start(s *bare) {
	s.waits = nil
	disk := s.disk
	disk.Runs, disk.Changes = slices.Clone(disk.Runs), slices.Clone(disk.Changes)
	c.lives++
	n, err := raft.New(raft.Config{ID: s.id, ElectionMin: electionMin, LeaseDrift: electionMin / 10, Life: c.lives}, disk, c.now)
	if c.demand(err == nil, "server %d does not begin from its own disk: %v", s.id, err); err == nil {
		s.node = n
	}
}

// event draws one, sensible or not.
func (c *bareCluster) event(s *bare) raft.Event {
	r, n := c.rand, s.node
	switch r.IntN(10) {
	case 0, 1:
		return raft.Propose{Count: r.IntN(4) - 1}
	case 2, 3:
		target := raft.Membership{Voters: []raft.NodeID{1, 2, 3, 4}[:1+r.IntN(4)]}
		if len(target.Voters) < 4 && r.IntN(2) == 0 {
			target.Learners = []raft.NodeID{4}
		}
		if target.Has(4) {
			target.Members = []raft.Member{{ID: 4, Store: uint64(r.IntN(3))}}
		}
		if r.IntN(6) == 0 {
			target.Outgoing = target.Voters
		}
		return raft.ChangeMembership{Target: target, Force: r.IntN(2) == 0, BasedOn: []raft.Index{0, 0, n.LastIndex(), 1, n.LastIndex() + 1}[r.IntN(5)]}
	case 4:
		return raft.AbortTransfer{}
	case 5:
		return raft.Calendar{Wall: c.now}
	case 6:
		if c.asked++; r.IntN(2) == 0 {
			return raft.LeaseRead{ID: c.asked}
		}
		return raft.Read{ID: c.asked}
	case 7:
		return raft.Applied{Index: n.CommitIndex()}
	default:
		return c.compaction(s)
	}
}

// compaction is of any entry that is committed, with its membership or without.
func (c *bareCluster) compaction(s *bare) raft.Event {
	first, last := s.node.FirstIndex(), s.node.CommitIndex()
	if last < first {
		return raft.Applied{}
	}
	at := first + raft.Index(c.rand.IntN(int(last-first)+1))
	term, _ := s.node.TermAt(at)
	e := raft.Compacted{Meta: raft.SnapshotMeta{Index: at, Term: term}, Through: at - min(at, raft.Index(c.rand.IntN(4)))}
	if c.rand.IntN(2) == 0 {
		e.Meta.Membership = s.node.MembershipAt(at)
	}
	return e
}

// step lets an event happen, and looks at what became of it.
func (c *bareCluster) step(s *bare, ev raft.Event) {
	before := s.node.Snapshot().Index
	fx := s.node.Step(c.now, ev)
	if err := s.node.Check(); err != nil {
		c.demand(false, "server %d after %T %+v: %v", s.id, ev, ev, err)
	}
	if fx.Refused != nil {
		c.sim.trace.note("refused: %v", fx.Refused)
		c.demand(fx.Refused.Error() != "", "%T is refused without a reason", ev)
	}
	if e, ok := ev.(raft.Compacted); ok && fx.Refused == nil {
		w := bareWrite{prev: s.node.Shape().Prev}
		if meta := s.node.Snapshot(); e.Meta.Index > before {
			w.snapshot = &meta
		}
		s.waits = append(s.waits, w)
	}
	for _, a := range fx.Append {
		if a.Membership != nil {
			c.changes[raft.EntryID{Index: a.Run.First, Term: a.Run.Term}] = *a.Membership
		}
	}
	if s.node.Role() == raft.Leader {
		had, known := c.led[s.node.Term()]
		c.demand(!known || had == s.id, "servers %d and %d lead term %d", had, s.id, s.node.Term())
		c.led[s.node.Term()] = s.id
	}
	for i := max(s.node.FirstIndex(), s.node.CommitIndex()-min(s.node.CommitIndex(), 3)); i <= s.node.CommitIndex(); i++ {
		term, _ := s.node.TermAt(i)
		had, known := c.committed[i]
		c.demand(!known || had == term, "entry %d is committed in terms %d and %d", i, had, term)
		c.committed[i] = term
	}
	var now, later []raft.Outgoing
	for _, m := range fx.Send {
		if m.AfterSync {
			later = append(later, m)
		} else {
			now = append(now, m)
		}
	}
	c.send(s, now)
	if fx.Send = later; fx.Ack != nil || len(s.waits) > 0 {
		s.waits = append(s.waits, bareWrite{fx: fx})
	} else {
		c.send(s, later)
	}
}

// trim forgets the log through an entry.
func (s *bare) trim(prev raft.EntryID) {
	if prev.Index <= s.disk.Prev.Index {
		return
	}
	runs := s.disk.Runs
	for len(runs) > 0 && runs[0].Last <= prev.Index {
		runs = runs[1:]
	}
	runs = slices.Clone(runs)
	if len(runs) > 0 {
		runs[0].First = max(runs[0].First, prev.Index+1)
	}
	s.disk.Prev, s.disk.Runs = prev, runs
	s.disk.Changes = slices.DeleteFunc(slices.Clone(s.disk.Changes), func(ch raft.Change) bool { return ch.Index <= prev.Index })
}

// synced puts the oldest write on the disk.
func (c *bareCluster) synced(s *bare) {
	if len(s.waits) == 0 {
		return
	}
	fx, w := s.waits[0].fx, s.waits[0]
	s.waits = s.waits[1:]
	d := &s.disk
	if w.snapshot != nil && w.snapshot.Index > d.Snapshot.Index {
		d.Snapshot = *w.snapshot
	}
	s.trim(w.prev)
	if fx.Hard != nil {
		d.Hard = *fx.Hard
	}
	if fx.Reset != nil {
		d.Snapshot, d.Prev, d.Runs, d.Changes = *fx.Reset, raft.EntryID{Index: fx.Reset.Index, Term: fx.Reset.Term}, nil, nil
	}
	for _, a := range fx.Append {
		s.put(a.Run, c.changes)
	}
	c.send(s, fx.Send)
	if fx.Ack != nil {
		c.step(s, *fx.Ack)
	}
}

// put stores a run, in the place of all that is at or after it.
func (s *bare) put(r raft.Run, changes map[raft.EntryID]raft.Membership) {
	d := &s.disk
	if r.Last <= d.Prev.Index {
		return
	}
	r.First = max(r.First, d.Prev.Index+1)
	var runs []raft.Run
	for _, had := range d.Runs {
		if had.Last = min(had.Last, r.First-1); had.Last >= had.First {
			runs = append(runs, had)
		}
	}
	d.Runs = append(runs, r)
	d.Changes = slices.DeleteFunc(slices.Clone(d.Changes), func(ch raft.Change) bool { return ch.Index >= r.First })
	for i := r.First; i <= r.Last; i++ {
		if m, ok := changes[raft.EntryID{Index: i, Term: r.Term}]; ok {
			d.Changes = append(d.Changes, raft.Change{Index: i, Membership: m})
		}
	}
}

func (c *bareCluster) send(s *bare, all []raft.Outgoing) {
	for _, m := range all {
		c.flight = append(c.flight, bareMessage{s.id, m.To, m.Message})
	}
}

// arrives delivers a message, once, twice or never; and now and then one that nobody sends.
func (c *bareCluster) arrives() {
	if len(c.flight) == 0 {
		return
	}
	i := c.rand.IntN(len(c.flight))
	m := c.flight[i]
	if c.rand.IntN(5) != 0 {
		c.flight = slices.Delete(c.flight, i, i+1)
	}
	if c.rand.IntN(6) == 0 || m.to == 0 || int(m.to) > len(c.servers) {
		return
	}
	s := c.servers[m.to-1]
	if c.rand.IntN(40) == 0 {
		m.from = []raft.NodeID{raft.None, m.to}[c.rand.IntN(2)]
	}
	if reply, ok := m.message.(*raft.AppendEntriesReply); ok && reply.Success && c.rand.IntN(2) == 0 {
		c.step(s, raft.Matched{From: m.from, Term: reply.Term, Index: reply.Match, Doubt: reply.Doubt})
		return
	}
	c.step(s, raft.Received{From: m.from, Message: m.message})
}

// leads has a leader send what its heartbeat, its syncer and its snapshotter would.
func (c *bareCluster) leads(s *bare) {
	n := s.node
	if n.Role() != raft.Leader {
		return
	}
	for _, id := range n.Membership().IDs() {
		if id == s.id {
			continue
		}
		commit := n.CommitIndex()
		at, _ := n.TermAt(commit)
		switch c.rand.IntN(4) {
		case 0, 1:
			c.flight = append(c.flight, bareMessage{s.id, id, &raft.Heartbeat{Term: n.Term(), Leader: s.id, Round: n.Round(), Sent: c.now, Commit: raft.EntryID{Index: commit, Term: at}, Founders: n.Founders()}})
		case 2:
			if meta := n.Snapshot(); meta.Index > 0 {
				c.flight = append(c.flight, bareMessage{s.id, id, &raft.InstallSnapshot{Term: n.Term(), Leader: s.id, Snapshot: meta}})
			}
		default:
			c.append(s, id)
		}
	}
}

// append sends a follower entries that follow any.
func (c *bareCluster) append(s *bare, to raft.NodeID) {
	n := s.node
	shape := n.Shape()
	match, _, _ := n.Follower(to)
	prev := max(match, shape.Prev.Index)
	if last := shape.Last(); c.rand.IntN(3) == 0 && last > shape.Prev.Index {
		prev = shape.Prev.Index + raft.Index(c.rand.IntN(int(last-shape.Prev.Index)+1))
	}
	term, known := n.TermAt(prev)
	if !known {
		return
	}
	m := &raft.AppendEntries{Term: n.Term(), Leader: s.id, Prev: raft.EntryID{Index: prev, Term: term}, Commit: n.CommitIndex(), Founders: n.Founders()}
	for _, r := range shape.Runs {
		if r.First = max(r.First, prev+1); r.First <= r.Last {
			m.Runs = append(m.Runs, r)
		}
	}
	m.Changes = n.ChangesIn(prev+1, shape.Last())
	c.flight = append(c.flight, bareMessage{s.id, to, m})
}

// bareVoters is a cluster of so many voters.
func (b *bench) bareVoters(n int) *bareCluster {
	c := &bareCluster{bench: b, led: map[raft.Term]raft.NodeID{}, committed: map[raft.Index]raft.Term{}, changes: map[raft.EntryID]raft.Membership{}}
	voters := []raft.NodeID{1, 2, 3}[:n]
	for _, id := range voters {
		s := &bare{id: id, disk: raft.State{Hard: raft.HardState{Term: 5}, Snapshot: raft.SnapshotMeta{Membership: raft.Membership{Voters: voters}}}}
		c.servers = append(c.servers, s)
		c.start(s)
	}
	return c
}

// work lets everything happen, a few times. Server 1 feeds the others when it leads.
func (c *bareCluster) work(n int) {
	lead := c.servers[0]
	for range n {
		c.now += time.Millisecond
		for _, s := range c.servers {
			for len(s.waits) > 0 {
				c.synced(s)
			}
		}
		all := c.flight
		c.flight = nil
		for _, m := range all {
			if int(m.to) <= len(c.servers) {
				c.step(c.servers[m.to-1], raft.Received{From: m.from, Message: m.message})
			}
		}
		if lead.node.Role() == raft.Leader {
			for _, s := range c.servers[1:] {
				c.append(lead, s.id)
			}
		}
	}
}

// beat has server 1 send a server heartbeats.
func (c *bareCluster) beat(to raft.NodeID) {
	n := c.servers[0].node
	for range 3 {
		c.flight = append(c.flight, bareMessage{1, to, &raft.Heartbeat{Term: n.Term(), Leader: 1, Sent: c.now, Founders: n.Founders()}})
		c.work(3)
	}
}

// trustOfTwo: of two voters the other one, whose log is whole, is enough to trust the one that is in doubt.
func (b *bench) trustOfTwo() {
	c := b.bareVoters(2)
	c.now += electionMax
	c.step(c.servers[0], raft.Campaign{})
	c.work(20)
	c.servers[1].disk.Hard.Doubt = true
	c.start(c.servers[1])
	for range 5 {
		c.beat(2)
	}
	c.work(10)
	lead, other := c.servers[0].node, c.servers[1].node
	b.demand(lead.Role() == raft.Leader && !lead.InDoubt(2) && !other.InDoubt(2) && lead.CommitIndex() == lead.LastIndex(), "server 2 is not trusted again: %v commits %d of %d", lead.Role(), lead.CommitIndex(), lead.LastIndex())
}

// refusals: each of these is refused, with this reason, and changes nothing.
func (b *bench) refusals() {
	c := b.bareVoters(3)
	lead, follow := c.servers[0], c.servers[1]
	work := c.work
	refused := func(s *bare, ev raft.Event, as error) {
		fx := s.node.Step(c.now, ev)
		ok := errors.Is(fx.Refused, as)
		if as == errBad {
			ok = fx.Refused != nil
		}
		ok = ok && fx.Refused.Error() != ""
		b.demand(ok && fx.Proposed == nil && len(fx.Append) == 0 && fx.Hard == nil, "%T %+v is refused with %v, not %v: %+v", ev, ev, fx.Refused, as, fx)
	}
	same := raft.Membership{Voters: []raft.NodeID{1, 2, 3}}
	for _, ev := range []raft.Event{raft.Propose{Count: 1}, raft.Transfer{To: 1}, raft.ChangeMembership{Target: same}} {
		refused(follow, ev, errBad)
	}
	c.now += electionMax
	c.step(lead, raft.Campaign{})
	work(20)
	if b.demand(lead.node.Role() == raft.Leader && lead.node.CommitIndex() > 0, "server 1 does not lead"); b.sim.check.first != nil {
		return
	}
	refused(lead, raft.Propose{}, raft.ErrNothingProposed)
	refused(lead, raft.Transfer{To: 1}, errBad)
	refused(lead, raft.Transfer{To: 9}, errBad)
	refused(lead, raft.ChangeMembership{Target: raft.Membership{Voters: same.Voters, Outgoing: same.Voters}}, errBad)
	refused(lead, raft.ChangeMembership{Target: same}, errBad)
	refused(lead, raft.ChangeMembership{Target: same, BasedOn: 1 << 40}, errBad)
	refused(lead, raft.ChangeMembership{Target: raft.Membership{Voters: same.Voters, Members: []raft.Member{{ID: 2, Addr: nowhere}}}}, errBad)
	before := lead.node.Term()
	lead.node.Step(c.now, raft.Campaign{}) // who leads need not
	b.demand(lead.node.Role() == raft.Leader && lead.node.Term() == before, "a leader campaigns")
	lead.node.Step(c.now, raft.Received{From: raft.None, Message: &raft.Heartbeat{Term: 99, Leader: 2}})
	lead.node.Step(c.now, raft.Received{From: 1, Message: &raft.Heartbeat{Term: 99, Leader: 1}})
	b.demand(lead.node.Term() == before, "messages of nobody's are believed")
	for _, stale := range []raft.Message{
		&raft.InstallSnapshot{Term: before - 1, Leader: 2, Snapshot: raft.SnapshotMeta{Index: 1, Term: before - 1, Membership: same}},
		&raft.Heartbeat{Term: before, Leader: 2, Founders: lead.node.Founders() + 1},
	} {
		fx := lead.node.Clone().Step(c.now, raft.Received{From: 2, Message: stale})
		b.demand(fx.Role == nil && fx.Hard == nil && fx.Commit.Index == 0, "%T %+v has an effect: %+v", stale, stale, fx)
	}
	told := follow.node.Clone() // by a leader of a term that it has not heard of, and by others of terms that are far, at once
	told.Step(c.now, raft.Received{From: 3, Message: &raft.TimeoutNow{Term: before + 1, Leader: 3}})
	b.demand(told.Term() == before+1 && told.Role() == raft.Follower, "who is told to take over a term that is news to it is a %v in term %d", told.Role(), told.Term())
	for range 2 {
		told.Step(c.now, raft.Received{From: 3, Message: &raft.HeartbeatReply{Term: told.Term() + raft.MaxTermJump}})
	}
	b.demand(told.Term() == before+1+raft.MaxTermJump, "two terms that are far are believed at once")
	_ = lead.node.Step(c.now, raft.Persisted{Term: before + 7, Last: 1 << 30})
	b.demand(lead.node.Durable() < 1<<30, "a write of a term that is to come is taken for done")

	c.step(lead, raft.ChangeMembership{Target: raft.Membership{Voters: same.Voters, Learners: []raft.NodeID{4}}})
	work(20)
	refused(lead, raft.ChangeMembership{Target: same, BasedOn: 1}, errBad) // it has moved on
	c.step(lead, raft.ChangeMembership{Target: raft.Membership{Voters: same.Voters, Learners: []raft.NodeID{4}, Members: []raft.Member{{ID: 4, Store: 7}}}})
	work(20)
	m, _ := lead.node.Membership().Member(4)
	b.demand(m.Store == 7 && lead.node.MembershipIndex() <= lead.node.CommitIndex(), "a learner is not let in with another folder: %+v", lead.node.Membership())
	asks := follow.node.Clone().Step(c.now, raft.Received{From: 1, Message: &raft.AppendEntries{
		Term: lead.node.Term(), Leader: 1, Prev: raft.EntryID{Index: lead.node.LastIndex() + 9, Term: lead.node.Term() - 1}, Founders: lead.node.Founders(),
	}})
	for _, out := range asks.Send {
		reply, ok := out.Message.(*raft.AppendEntriesReply)
		b.demand(ok && !reply.Success && reply.Hint.Index >= follow.node.CommitIndex(), "entries that follow none are answered %+v", out.Message)
	}
	gone := lead.node.Clone()
	back := gone.Step(c.now, raft.GoneBack{})
	b.demand(back.Hard != nil && back.Hard.Doubt && gone.Role() != raft.Leader, "who has gone back goes on leading: %+v", back)

	passing := lead.node.Clone()
	passing.Step(c.now, raft.Transfer{To: 2})
	bereft := passing.Step(c.now, raft.Received{From: 2, Message: &raft.HeartbeatReply{Term: lead.node.Term(), Sent: c.now, Wants: 1}})
	b.demand(bereft.Transfer != nil && bereft.Transfer.Err != nil, "a transfer to who has lost its state goes on: %+v", bereft)
	bereft = passing.Step(c.now, raft.Transfer{To: 2})
	b.demand(bereft.Refused != nil, "a transfer to who has lost its state begins: %+v", bereft)

	// Nor does one that is in doubt.
	c.servers[2].disk.Hard.Doubt = true
	c.start(c.servers[2])
	urged := lead.node.Step(c.now, raft.Transfer{To: 3})
	b.demand(urged.Refused == nil, "a transfer is refused: %v", urged.Refused)
	lead.node.Step(c.now, raft.Received{From: 3, Message: &raft.HeartbeatReply{Term: lead.node.Term(), Sent: c.now, Doubt: c.lives}})
	refused(lead, raft.Transfer{To: 3}, errBad)
	c.beat(3)
	work(10)

	// A server without a state neither leads nor takes over, nor gets a vote.
	follow.node.Step(c.now, raft.Compacted{Meta: raft.SnapshotMeta{Index: 1, Term: lead.node.Term()}, Through: 1})
	c.step(c.servers[2], raft.StateLost{Wants: 1})
	c.beat(3)
	refused(lead, raft.Transfer{To: 3}, errBad)
	campaigns := c.servers[2].node.Step(c.now, raft.Campaign{})
	b.demand(campaigns.Patience == raft.StopWaiting && len(campaigns.Send) == 0, "who has no state campaigns")
	c.step(lead, raft.ChangeMembership{Target: raft.Membership{Voters: []raft.NodeID{1, 2}, Learners: []raft.NodeID{3, 4}}, Force: true})
	work(30)
	c.beat(3)
	fx := lead.node.Step(c.now, raft.ChangeMembership{Target: raft.Membership{Voters: []raft.NodeID{1, 2, 3}, Learners: []raft.NodeID{4}}})
	unsafe := (*raft.UnsafeChangeError)(nil)
	b.demand(errors.As(fx.Refused, &unsafe) && unsafe.Error() != "", "who has no state is to vote: %v", fx.Refused)
	fx = lead.node.Step(c.now, raft.ChangeMembership{Target: raft.Membership{Voters: []raft.NodeID{3}}})
	b.demand(errors.As(fx.Refused, &unsafe) && unsafe.Error() != "", "who has no state is to vote alone: %v", fx.Refused)
	doubted := lead.node.Clone()
	doubted.Step(c.now, raft.Received{From: 3, Message: &raft.HeartbeatReply{Term: lead.node.Term(), Sent: c.now, Doubt: 99}})
	fx = doubted.Step(c.now, raft.ChangeMembership{Target: raft.Membership{Voters: []raft.NodeID{1, 2, 3}, Learners: []raft.NodeID{4}}})
	b.demand(errors.As(fx.Refused, &unsafe) && unsafe.Error() != "", "who is in doubt is to vote: %v", fx.Refused)
	b.demand(lead.node.Role() == raft.Leader, "server 1 does not lead any more")
	for at := raft.Index(1); at <= 2; at++ {
		lead.node.Step(c.now, raft.Compacted{Meta: raft.SnapshotMeta{Index: lead.node.CommitIndex() - 3 + at, Term: lead.node.Term()}, Through: lead.node.CommitIndex() - 3 + at})
	}
	b.demand(lead.node.MembershipAt(0).IsZero(), "a membership is known that is compacted")
	lone := raft.NewProgress(raft.Pace{}, 0)
	lone.SnapshotFailed(c.now) // which nobody sends
	b.demand(lone.Mode() == raft.Probe, "a snapshot that nobody sends moves a follower")

	b.demand(lead.node.Role() == raft.Leader, "server 1 does not lead any more")
	lead.node.Step(c.now, raft.Transfer{To: 2})
	refused(lead, raft.Propose{Count: 1}, raft.ErrTransferring)
	refused(lead, raft.Transfer{To: 2}, raft.ErrTransferring)
	b.demand(fmt.Sprint(raft.Impossibility(200)) != "", "an impossibility of tomorrow has no name")
	b.demand(raft.Validate(1, nil) != nil, "no message at all is possible")
	lead.node.Step(c.now, raft.StateLost{Wants: 1})
	b.demand(lead.node.Role() != raft.Leader, "who has no state leads")
	b.demand(raft.Shape{}.Contains(raft.Run{First: 5, Last: 4}), "an empty run is not everywhere")
	b.broken(lead)

	// The snapshot was on the disk, and a crash lost the entries and the term that it stands for.
	newer := raft.SnapshotMeta{Index: 10, Term: 4, Membership: same}
	n, err := raft.New(raft.Config{ID: 1, ElectionMin: electionMin}, raft.State{Hard: raft.HardState{Term: 2}, Snapshot: newer, Runs: []raft.Run{{First: 1, Last: 3, Term: 1}}}, 0)
	if b.demand(err == nil, "a server does not begin from a snapshot beyond its log: %v", err); err == nil {
		fx := n.Step(0, raft.Calendar{})
		b.demand(fx.Reset != nil && fx.Reset.Index == 10 && n.Term() == 4 && n.LastIndex() == 10, "its log ends at %d in term %d: %+v", n.LastIndex(), n.Term(), fx)
	}
}

// broken: what only a fault of the caller's own could say ends in a panic that names the property.
func (b *bench) broken(s *bare) {
	commit := s.node.CommitIndex()
	term, _ := s.node.TermAt(commit)
	for _, meta := range []raft.SnapshotMeta{
		{Index: commit + 9, Term: term}, {Index: commit, Term: term + 9}, {Index: commit, Term: term, Membership: raft.Membership{Voters: []raft.NodeID{7}}},
	} {
		func() {
			defer func() {
				invariant, ok := recover().(*raft.BrokenInvariant)
				b.demand(ok && invariant.Error() != "", "a snapshot %+v breaks nothing", meta)
			}()
			s.node.Clone().Step(0, raft.Compacted{Meta: meta, Through: commit})
		}()
	}
}
