package persister

import (
	"github.com/troupe-raft/troupe/persister/journal"
	"github.com/troupe-raft/troupe/raft"
)

// An engine turns ops into pieces of the journal, and knows what has landed. It has no goroutine, lock or clock: it says
// what is to be written, and is told when that is done. One caller at a time.
type engine struct {
	log      *journal.Log
	groups   map[raft.GroupID]*written // that are loaded, as their last op leaves them
	overlays map[raft.GroupID]*overlay // what the journal has of groups, as it has landed
	// ended is what is known of a group that is not loaded, for an op that destroys it: whether it lives, and its numbers.
	ended func(raft.GroupID) (written, error)

	commits []*pendingCommit // that are not wholly in the journal, in order
	filling payload          // of the piece that is open
	placed  []payload        // of pieces that are ended and have not landed, in order
	writes  []journal.Write
}

// A pendingCommit waits for room in the journal.
type pendingCommit struct {
	ops     []Op
	next    int      // of ops
	changes []change // of the op before, that are to be put; one piece, if they fit in any
	size    int      // of these
	done    func(error)
}

// A payload is what one piece holds.
type payload struct {
	changes []change
	done    []func(error)
}

// commit makes ops into changes. done is called once they and all earlier ones have landed. An op that breaks an
// invariant is left out, says so in Err, and its group becomes unknown.
func (e *engine) commit(ops []Op, done func(error)) error {
	e.commits = append(e.commits, &pendingCommit{ops: ops, done: done})
	return e.place()
}

// place puts commits into the journal as far as there is room.
func (e *engine) place() error {
	for len(e.commits) > 0 {
		c := e.commits[0]
		for len(c.changes) > 0 || c.next < len(c.ops) {
			if len(c.changes) == 0 {
				if err := e.op(c); err != nil {
					return err
				}
				continue
			}
			if ok, err := e.put(c); !ok || err != nil {
				return err
			}
		}
		e.commits = e.commits[1:]
		switch n := len(e.placed); { // it may say nothing of its own: then it waits for what was on its way
		case len(e.filling.changes) > 0:
			e.filling.done = append(e.filling.done, c.done)
		case n > 0:
			e.placed[n-1].done = append(e.placed[n-1].done, c.done)
		default:
			c.done(nil)
		}
	}
	return nil
}

// op makes the next op of a commit into changes.
func (e *engine) op(c *pendingCommit) error {
	o := &c.ops[c.next]
	c.next++
	err := e.apply(c, o)
	if err != nil && ofGroup(err) {
		o.Err = err
		delete(e.groups, o.Group)
		return nil
	}
	return err
}

func (e *engine) apply(c *pendingCommit, o *Op) error {
	g := e.groups[o.Group]
	switch {
	case o.Destroy && g == nil:
		found, err := e.ended(o.Group)
		if err != nil {
			return err
		}
		g = &found
	case g == nil:
		return broken(o.Group, "written without being loaded")
	}
	if err := g.check(o); err != nil {
		return err
	}
	if o.Destroy {
		delete(e.groups, o.Group)
		if !g.alive {
			return nil
		}
	}
	gen := g.gen
	g.apply(o, func(kind changeKind, body []byte) {
		c.changes = append(c.changes, change{kind: kind, group: o.Group, gen: gen, number: g.number, body: body})
		c.size += changeHead + len(body)
	})
	return nil
}

// put puts the changes of an op into one piece, or, where they are more than any piece holds, one after the other: each
// leaves a whole group. False: a segment must be made ready first.
func (e *engine) put(c *pendingCommit) (bool, error) {
	need := c.size
	if need > e.log.MaxPayload() {
		need = changeHead + len(c.changes[0].body)
	}
	if e.log.Room() < need && !e.log.Empty() {
		e.seal()
	}
	if e.log.Room() < need {
		turn, err := e.log.Turn()
		if err == journal.ErrNoRoom {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		e.writes = append(e.writes, turn)
	}
	for ; len(c.changes) > 0 && e.log.Room() >= changeHead+len(c.changes[0].body); c.changes = c.changes[1:] {
		x := &c.changes[0]
		var head [changeHead]byte
		x.pos = e.log.Put(x.appendHead(head[:0])).At
		x.at = e.log.Put(x.body)
		c.size -= changeHead + len(x.body)
		e.filling.changes = append(e.filling.changes, *x)
	}
	return true, nil
}

// seal ends the piece that is open.
func (e *engine) seal() {
	e.writes = append(e.writes, e.log.Seal(journal.Flight))
	e.placed, e.filling = append(e.placed, e.filling), payload{}
}

// needs reports whether a segment is to be made ready.
func (e *engine) needs() bool { return e.log.Ready() == 0 }

// next is what is to be written next: the piece that is open goes as it is when nothing was ended before it. False:
// nothing, or nothing before something has landed.
func (e *engine) next() (journal.Write, bool) {
	if len(e.writes) == 0 && !e.log.Empty() {
		e.seal()
	}
	if len(e.writes) == 0 || e.writes[0].After > e.log.Landed() {
		return journal.Write{}, false
	}
	w := e.writes[0]
	e.writes = e.writes[1:]
	return w, true
}

// landed says that the oldest write is written and synced. It returns who is to be told.
func (e *engine) landed() (done []func(error), err error) {
	w, err := e.log.Land()
	if err != nil || w.Kind != journal.Flight {
		return nil, err
	}
	p := e.placed[0]
	e.placed = e.placed[1:]
	for i := range p.changes {
		c := &p.changes[i]
		o := e.overlays[c.group]
		if o == nil {
			o = &overlay{}
			e.overlays[c.group] = o
		}
		if err := o.apply(c); err != nil {
			return nil, err
		}
	}
	return p.done, nil
}
