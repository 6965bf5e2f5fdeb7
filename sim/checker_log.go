package sim

import (
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A lineage is a replica's log as the checker knows it: the terms from one step to the next, and the memberships that the blocks
// themselves hold. What the rules think of their memberships is held against it.
type lineage struct {
	shape    raft.Shape
	snapshot raft.Index
	base     raft.Membership // in force at the entry before the log
	changes  []raft.Change   // the memberships in the log
}

// effective is the membership that decides: the latest in the log, committed or not (§6). Index is that of the entry before the log
// when the log holds none.
func (g *lineage) effective() raft.Change {
	if n := len(g.changes); n > 0 {
		return g.changes[n-1]
	}
	return raft.Change{Index: g.shape.Prev.Index, Membership: g.base}
}

// common is the last entry through which two logs are the same. Entries that one of them has compacted count as the same when the
// other has the entry that the compaction kept the term of; ok is false when the logs already differ there.
func common(a, b *raft.Shape) (i raft.Index, ok bool) {
	i = max(a.Prev.Index, b.Prev.Index)
	s, known := a.TermAt(i)
	t, known2 := b.TermAt(i)
	if !known || !known2 || s != t {
		return 0, false
	}
	for j, k := 0, 0; j < len(a.Runs) && k < len(b.Runs); {
		x, y := a.Runs[j], b.Runs[k]
		switch {
		case x.Last <= i:
			j++
		case y.Last <= i:
			k++
		case x.Term != y.Term:
			return i, true
		default:
			i = min(x.Last, y.Last)
		}
	}
	return i, true
}

// loaded is the lineage of a replica that has just been loaded from its disk.
func (c *checker) loaded(l *life) (g lineage, commit raft.Index) {
	m := l.node.disk.life.view(groupID)
	g.shape, g.snapshot = m.shape(), m.snapshot.Index
	if t, ok := m.termAt(m.snapshot.Index); !ok || t != m.snapshot.Term {
		g.shape = raft.Shape{Prev: raft.EntryID{Index: m.snapshot.Index, Term: m.snapshot.Term}}
	}
	g.base = c.memberships(l.node, g.shape.Prev.Index)
	g.gather(c, nil, g.shape.Prev.Index)
	return g, m.snapshot.Index
}

// shape is the stored log.
func (m *image) shape() raft.Shape {
	s := raft.Shape{Prev: m.prev}
	for _, b := range m.blocks {
		first := max(b.First(), m.prev.Index+1)
		if n := len(s.Runs); n > 0 && s.Runs[n-1].Term == b.Term() {
			s.Runs[n-1].Last = b.Last()
		} else if b.Last() >= first {
			s.Runs = append(s.Runs, raft.Run{First: first, Last: b.Last(), Term: b.Term()})
		}
	}
	return s
}

// gather notes the memberships after entry i, as the log holds them.
func (g *lineage) gather(c *checker, n *raft.Node, i raft.Index) {
	for i++; i <= g.shape.Last(); i++ {
		t, _ := g.shape.TermAt(i)
		if m := c.changeAt(raft.EntryID{Index: i, Term: t}, n); m != nil {
			g.changes = append(g.changes, raft.Change{Index: i, Membership: *m})
		}
	}
}

// changeAt is the membership that an entry holds, nil mostly. Of an entry that no disk was given yet, it is what the first replica says
// that has it: claimed holds it to that as soon as a disk gets it.
func (c *checker) changeAt(id raft.EntryID, n *raft.Node) *raft.Membership {
	if k, ok := c.entries[id]; ok {
		if k.kind != raft.Reconfigure {
			return nil
		}
		return c.changed[id]
	}
	m, ok := c.claims[id]
	if !ok && n != nil {
		if in := n.ChangesIn(id.Index, id.Index); len(in) > 0 {
			m = &in[0].Membership
		}
		c.claims[id] = m
	}
	return m
}

// claimed compares an entry that a disk is given for the first time with what a replica said of it.
func (c *checker) claimed(id raft.EntryID, e *entry.Entry) {
	var holds *raft.Membership
	if e.Kind == raft.Reconfigure {
		m, err := entry.DecodeMembership(e.Data)
		if err != nil {
			c.fail("membership follows the log", "entry %d of term %d: %v", id.Index, id.Term, err)
		}
		holds = &m
		c.changed[id] = holds
	}
	said, ok := c.claims[id]
	if !ok {
		return
	}
	delete(c.claims, id)
	if (said == nil) != (holds == nil) || said != nil && !said.Equal(*holds) {
		c.fail("membership follows the log", "entry %d of term %d holds %v, its leader goes by %v", id.Index, id.Term, holds, said)
	}
}

// memberships is what was in force at a committed entry, or at the beginning of a node's log.
func (c *checker) memberships(n *node, i raft.Index) raft.Membership {
	switch {
	case i > raft.Index(len(c.log)):
		c.fail("snapshots are of committed entries", "node %d has one at %d or beyond, committed is %d", n.id, i, len(c.log))
	case i > 0:
		return *c.log[i-1].members
	case n.founder:
		return c.founding
	}
	return raft.Membership{}
}

// traced follows a replica's log over a step: entries come and go only as the rules allow, and so do memberships.
func (c *checker) traced(l *life, n *raft.Node) {
	v := &l.view
	snapshot := n.Snapshot()
	if t, _ := n.TermAt(n.LastIndex()); v.last.Index == n.LastIndex() && v.last.Term == t && v.log.snapshot == snapshot.Index && v.log.shape.First() == n.FirstIndex() {
		if now := v.log.effective().Membership; !now.Equal(n.Membership()) {
			c.fail("membership follows the log", "node %d goes by %v, its log holds %v", n.ID(), n.Membership(), now)
		}
		return
	}
	old, g := &v.log.shape, &v.log
	shape := n.Shape()
	same, joined := common(old, &shape)
	had, has := old.TermAt(snapshot.Index)
	switch {
	case snapshot.Index > g.snapshot && (!has || had != snapshot.Term): // a leader's, of a log that differs (§7)
		if shape.Prev.Index != snapshot.Index || len(shape.Runs) > 0 {
			c.fail("a snapshot replaces a log that differs", "node %d installs one at %d of term %d and keeps entries %d to %d", n.ID(), snapshot.Index, snapshot.Term, shape.First(), shape.Last())
		}
		same = snapshot.Index
	case !joined:
		c.fail("leader append-only", "node %d has another log after %d than before, without a snapshot", n.ID(), shape.Prev.Index)
	case same < old.Last():
		c.shortened(v, n, same, &shape)
	}
	if shape.Prev.Index > old.Prev.Index {
		g.base = c.memberships(l.node, shape.Prev.Index)
	}
	g.shape, g.snapshot = shape, snapshot.Index
	kept := g.changes[:0]
	for _, e := range g.changes {
		if e.Index > shape.Prev.Index && e.Index <= same {
			kept = append(kept, e)
		}
	}
	g.changes = kept
	g.gather(c, n, max(same, shape.Prev.Index))
	if now := g.effective().Membership; !now.Equal(n.Membership()) {
		c.fail("membership follows the log", "node %d goes by %v, its log of %d to %d holds %v", n.ID(), n.Membership(), shape.First(), shape.Last(), now)
	}
}

// shortened: only a follower loses entries, only by a conflict, and none that is committed (§5.3).
func (c *checker) shortened(v *view, n *raft.Node, same raft.Index, now *raft.Shape) {
	switch {
	case v.role == raft.Leader && n.Role() == raft.Leader && v.term == n.Term():
		c.fail("leader append-only", "leader %d of term %d lost its entry %d", n.ID(), n.Term(), same+1)
	case same < v.commit:
		c.fail("committed never truncated", "node %d loses entry %d, %d is committed", n.ID(), same+1, v.commit)
	case now.Last() == same:
		c.fail("only a conflict removes entries", "node %d loses entry %d to nothing", n.ID(), same+1)
	}
}

// stable: what a replica takes for stored is stored. A snapshot stands for the entries that it covers as soon as its file is there.
func (c *checker) stable(l *life, n *raft.Node) {
	m := l.node.disk.image(groupID)
	if n.Term() < m.hard.Term {
		c.fail("term monotone", "node %d is in term %d, its disk in %d", n.ID(), n.Term(), m.hard.Term)
	}
	v := &l.view
	d := n.Durable()
	if v.log.snapshot < m.snapshot.Index {
		c.fail("snapshot monotone", "node %d goes by the snapshot at %d, on its disk is that at %d", n.ID(), v.log.snapshot, m.snapshot.Index)
	}
	if t, ok := n.TermAt(d); ok && d > v.log.snapshot && (d != v.durable.Index || t != v.durable.Term) {
		v.durable = raft.EntryID{Index: d, Term: t}
		if !c.holding(m, v.durable) {
			c.fail("what counts as durable is", "node %d takes entry %d of term %d for stored, its disk ends at %d", n.ID(), d, t, m.last().Index)
		}
	}
}

// holding reports whether a disk has the very entry, or a snapshot of committed history that covers it.
func (c *checker) holding(m *image, id raft.EntryID) bool {
	if id.Index <= m.snapshot.Index {
		return id.Index == 0 || id.Index <= raft.Index(len(c.log)) && c.log[id.Index-1].term == id.Term
	}
	t, ok := m.termAt(id.Index)
	return ok && t == id.Term
}

// ledTerm is the term of an entry in the log of a term's leader.
func (c *checker) ledTerm(term raft.Term, i raft.Index) (raft.Term, bool) {
	s, ok := c.reigns[term]
	switch {
	case !ok:
		return 0, false
	case i > s.Last():
		return term, true
	case i == 0:
		return 0, true
	case i < s.Prev.Index: // compacted, hence committed
		return c.log[i-1].term, true
	}
	return s.TermAt(i)
}

// found is the membership that the first servers begin with.
func (c *checker) found(founders []raft.NodeID) {
	c.founding = raft.Membership{Voters: founders}
	for _, id := range founders {
		c.founding.Members = append(c.founding.Members, raft.Member{ID: id})
	}
	c.settled = c.founding
}
