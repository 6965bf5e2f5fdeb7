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
	waits []raft.Effects // writes that are not on the disk yet, with what is to leave after them
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
	lastSeen  string
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
	for i := 0; i < 1500 && b.sim.check.first == nil; i++ {
		c.now += time.Duration(b.rand.Int64N(int64(10 * time.Millisecond)))
		s := c.servers[b.rand.IntN(len(c.servers))]
		switch k := b.rand.IntN(20); {
		case k < 8:
			c.arrives()
		case k < 11:
			c.synced(s)
		case k < 14:
			c.leads(s)
		case k == 14 && b.rand.IntN(8) == 0:
			c.start(s)
		default:
			c.step(s, c.event(s))
		}
	}
}

// start begins a server from its disk.
func (c *bareCluster) start(s *bare) {
	s.waits = nil
	disk := s.disk
	disk.Runs, disk.Changes = slices.Clone(disk.Runs), slices.Clone(disk.Changes)
	n, err := raft.New(raft.Config{ID: s.id, ElectionMin: electionMin, LeaseDrift: electionMin / 10}, disk, c.now)
	if c.demand(err == nil, "server %d does not begin from its own disk: %v", s.id, err); err == nil {
		s.node = n
	}
}

// event draws one, sensible or not.
func (c *bareCluster) event(s *bare) raft.Event {
	r, n := c.rand, s.node
	id := func() raft.NodeID { return raft.NodeID(r.IntN(6)) }
	switch r.IntN(16) {
	case 0, 1:
		return raft.Elapsed{}
	case 2:
		return raft.Campaign{}
	case 3, 4:
		return raft.Propose{Count: r.IntN(4) - 1}
	case 5, 6:
		target := raft.Membership{Voters: []raft.NodeID{1, 2, 3, 4}[:1+r.IntN(4)]}
		if len(target.Voters) < 4 && r.IntN(2) == 0 {
			target.Learners = []raft.NodeID{4}
		}
		if r.IntN(6) == 0 {
			target.Outgoing = target.Voters
		}
		return raft.ChangeMembership{Target: target, Force: r.IntN(2) == 0, BasedOn: []raft.Index{0, 0, n.LastIndex(), 1, n.LastIndex() + 1}[r.IntN(5)]}
	case 7:
		return raft.Transfer{To: id()}
	case 8:
		return raft.AbortTransfer{}
	case 9:
		if r.IntN(4) == 0 {
			return raft.StepDown{}
		}
		return raft.Calendar{Wall: c.now}
	case 10, 11:
		if c.asked++; r.IntN(2) == 0 {
			return raft.LeaseRead{ID: c.asked}
		}
		return raft.Read{ID: c.asked}
	case 12:
		return raft.Applied{Index: n.CommitIndex()}
	case 13:
		if r.IntN(6) == 0 {
			return raft.StateLost{Wants: n.Snapshot().Index}
		}
		return raft.StateRestored{}
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
		if e.Meta.Index > before {
			s.disk.Snapshot = s.node.Snapshot() // the caller's is durable first
		}
		s.trim(s.node.Shape().Prev)
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
		s.waits = append(s.waits, fx)
	} else {
		c.send(s, later)
	}
}

// trim forgets the log through an entry.
func (s *bare) trim(prev raft.EntryID) {
	if prev.Index <= s.disk.Prev.Index {
		return
	}
	if prev.Index > lastOf(&s.disk) { // its write is still to come
		s.disk.Runs = nil
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
	fx := s.waits[0]
	s.waits = s.waits[1:]
	d := &s.disk
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

// refusals: each of these is refused, with this reason, and changes nothing.
func (b *bench) refusals() {
	c := &bareCluster{bench: b, led: map[raft.Term]raft.NodeID{}, committed: map[raft.Index]raft.Term{}, changes: map[raft.EntryID]raft.Membership{}}
	for id := raft.NodeID(1); id <= 3; id++ {
		s := &bare{id: id, disk: raft.State{Snapshot: raft.SnapshotMeta{Membership: raft.Membership{Voters: []raft.NodeID{1, 2, 3}}}}}
		c.servers = append(c.servers, s)
		c.start(s)
	}
	lead, follow := c.servers[0], c.servers[1]
	work := func(n int) {
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
	refused := func(s *bare, ev raft.Event, as error) {
		fx := s.node.Step(c.now, ev)
		ok := errors.Is(fx.Refused, as)
		if as == errBad {
			ok = fx.Refused != nil
		}
		b.demand(ok && fx.Proposed == nil && len(fx.Append) == 0 && fx.Hard == nil, "%T %+v is refused with %v, not %v: %+v", ev, ev, fx.Refused, as, fx)
	}
	same := raft.Membership{Voters: []raft.NodeID{1, 2, 3}}
	for _, ev := range []raft.Event{raft.Propose{Count: 1}, raft.Transfer{To: 1}, raft.ChangeMembership{Target: same}} {
		refused(follow, ev, errBad)
	}
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
	before := lead.node.Term()
	lead.node.Step(c.now, raft.Campaign{}) // who leads need not
	b.demand(lead.node.Role() == raft.Leader && lead.node.Term() == before, "a leader campaigns")
	lead.node.Step(c.now, raft.Received{From: raft.None, Message: &raft.Heartbeat{Term: 99, Leader: 2}})
	lead.node.Step(c.now, raft.Received{From: 1, Message: &raft.Heartbeat{Term: 99, Leader: 1}})
	b.demand(lead.node.Term() == before, "messages of nobody's are believed")
	_ = lead.node.Step(c.now, raft.Persisted{Term: before + 7, Last: 1 << 30})
	b.demand(lead.node.Durable() < 1<<30, "a write of a term that is to come is taken for done")

	c.step(lead, raft.ChangeMembership{Target: raft.Membership{Voters: same.Voters, Learners: []raft.NodeID{4}}})
	work(20)
	refused(lead, raft.ChangeMembership{Target: same, BasedOn: 1}, errBad) // it has moved on

	// A server without a state neither leads nor takes over, nor gets a vote.
	follow.node.Step(c.now, raft.Compacted{Meta: raft.SnapshotMeta{Index: 1, Term: lead.node.Term()}, Through: 1})
	c.step(c.servers[2], raft.StateLost{Wants: 1})
	for range 3 {
		c.flight = append(c.flight, bareMessage{1, 3, &raft.Heartbeat{Term: lead.node.Term(), Leader: 1, Sent: c.now, Founders: lead.node.Founders()}})
		work(3)
	}
	refused(lead, raft.Transfer{To: 3}, errBad)
	campaigns := c.servers[2].node.Step(c.now, raft.Campaign{})
	b.demand(campaigns.Patience == raft.StopWaiting && len(campaigns.Send) == 0, "who has no state campaigns")
	c.step(lead, raft.ChangeMembership{Target: raft.Membership{Voters: []raft.NodeID{1, 2}, Learners: []raft.NodeID{3, 4}}, Force: true})
	work(30)
	c.flight = append(c.flight, bareMessage{1, 3, &raft.Heartbeat{Term: lead.node.Term(), Leader: 1, Sent: c.now, Founders: lead.node.Founders()}})
	work(5)
	fx := lead.node.Step(c.now, raft.ChangeMembership{Target: raft.Membership{Voters: []raft.NodeID{1, 2, 3}, Learners: []raft.NodeID{4}}})
	unsafe := (*raft.UnsafeChangeError)(nil)
	b.demand(errors.As(fx.Refused, &unsafe) && unsafe.Error() != "", "who has no state is to vote: %v", fx.Refused)

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
