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

	waiting []*payload // composed, with no place yet: no segment is ready
	placed  []*payload // in the journal, in order; not landed
	writes  []journal.Write
}

// A payload is what one piece holds.
type payload struct {
	parts   [][]byte // of the payload
	size    int
	changes []change
	offsets []int // of their bodies in the payload
	done    []func(error)
}

// commit makes ops into changes. done is called once they and all earlier ones have landed. An op that breaks an
// invariant is left out, says so in Err, and its group becomes unknown.
func (e *engine) commit(ops []Op, done func(error)) error {
	p := &payload{}
	for i := range ops {
		if err := e.op(&p, &ops[i]); err != nil {
			if !ofGroup(err) {
				return err
			}
			ops[i].Err = err
			delete(e.groups, ops[i].Group)
		}
	}
	switch last := e.lastPayload(); {
	case len(p.changes) > 0:
		p.done = append(p.done, done)
		e.waiting = append(e.waiting, p)
	case last != nil: // what it says nothing of is on its way
		last.done = append(last.done, done)
	default:
		done(nil)
	}
	return e.place()
}

func (e *engine) lastPayload() *payload {
	switch {
	case len(e.waiting) > 0:
		return e.waiting[len(e.waiting)-1]
	case len(e.placed) > 0:
		return e.placed[len(e.placed)-1]
	}
	return nil
}

// op adds an op's changes to the contents, and begins others when it is full.
func (e *engine) op(p **payload, o *Op) error {
	g := e.groups[o.Group]
	switch {
	case o.Destroy && g == nil:
		found, err := e.ended(o.Group)
		if err != nil || !found.alive {
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
	var all []change
	size := 0
	gen := g.gen
	g.apply(o, func(kind changeKind, body []byte) {
		all = append(all, change{kind: kind, group: o.Group, gen: gen, number: g.number, body: body})
		size += changeHead + len(body)
	})
	e.fit(p, size)
	for _, c := range all {
		e.fit(p, changeHead+len(c.body))
		(*p).add(c)
	}
	return nil
}

// fit begins another payload where one has no room for so much. An op is in one piece, unless it is larger than that:
// then its changes are in order, each of which leaves a whole group.
func (e *engine) fit(p **payload, size int) {
	if (*p).size > 0 && (*p).size+size > e.log.MaxPayload() {
		e.waiting = append(e.waiting, *p)
		*p = &payload{}
	}
}

func (p *payload) add(c change) {
	p.changes, p.offsets = append(p.changes, c), append(p.offsets, p.size+changeHead)
	p.parts, p.size = append(p.parts, c.appendHead(make([]byte, 0, changeHead)), c.body), p.size+changeHead+len(c.body)
}

// place gives what waits its place in the journal, as far as segments are ready.
func (e *engine) place() error {
	for len(e.waiting) > 0 {
		p := e.waiting[0]
		writes, err := e.log.Append(journal.Flight, p.parts)
		if err == journal.ErrNoRoom {
			return nil
		}
		if err != nil {
			return err
		}
		at := writes[len(writes)-1].At
		for i := range p.changes {
			c := &p.changes[i]
			c.pos = journal.Within(at, p.offsets[i]-changeHead, changeHead).At
			c.at = journal.Within(at, p.offsets[i], len(c.body))
		}
		e.writes = append(e.writes, writes...)
		e.placed, e.waiting = append(e.placed, p), e.waiting[1:]
	}
	return nil
}

// needs reports whether a segment is to be made ready.
func (e *engine) needs() bool { return e.log.Ready() == 0 }

// next is what is to be written next; false: nothing, or nothing before something has landed.
func (e *engine) next() (journal.Write, bool) {
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
