package model

import (
	"errors"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A state is the whole cluster at a moment: every field but used is a number of the checker's.
type state struct {
	site  [maxServers]uint32
	ghost uint32
	used  spent
}

// found are the states that were reached, each once.
type found struct {
	states  []state
	parents []uint32
	table   []uint64 // open addressing: 1+ the position of a state, and above it half of its hash
}

// add keeps st unless it is known, and reports whether it is new.
func (f *found) add(st state, parent uint32) bool {
	if 2*len(f.states) >= len(f.table) {
		f.grow()
	}
	h := st.hash()
	for at, mask := h, uint64(len(f.table)-1); ; at++ {
		k := f.table[at&mask]
		if k == 0 {
			f.states = append(f.states, st)
			f.parents = append(f.parents, parent)
			f.table[at&mask] = h&^position | uint64(len(f.states))
			return true
		}
		if (k^h)&^position == 0 && f.states[k&position-1] == st {
			return false
		}
	}
}

const position = 1<<32 - 1

func (f *found) grow() {
	old := f.table
	f.table = make([]uint64, max(1<<12, 2*len(old)))
	mask := uint64(len(f.table) - 1)
	for i := range f.states {
		h := f.states[i].hash()
		at := h
		for f.table[at&mask] != 0 {
			at++
		}
		f.table[at&mask] = h&^position | uint64(i+1)
	}
}

func (s *state) hash() uint64 {
	h := uint64(s.ghost)<<32 | uint64(s.used)
	for _, n := range s.site {
		h = (h ^ uint64(n)) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	h *= 0xbf58476d1ce4e5b9
	return h ^ h>>32
}

// A Report is what a run came to.
type Report struct {
	Figures
	Took      time.Duration
	Servers   int            // different states of single servers
	Messages  int            // different messages
	Led       raft.Term      // the latest term that had a leader
	Committed int            // the most entries that were committed
	Happened  map[string]int // transitions by kind of event
	Violation *Violation     // nil: every property held in every state
}

// Run tries everything within the scope, nearest first, and stops at the first violation. The error says that the scope is not
// usable; a violation is in the Report. It keeps all states in memory, some 50 bytes each.
func Run(s Scope) (Report, error) {
	began := time.Now()
	if err := s.validate(); err != nil {
		return Report{}, err
	}
	c := newChecker(s)
	v, err := c.search()
	r := Report{
		Figures: c.figures, Took: time.Since(began), Servers: len(c.servers), Messages: len(c.letters),
		Violation: v, Happened: map[string]int{},
	}
	for k, n := range c.happened {
		if n > 0 {
			r.Happened[kind(k).String()] = n
		}
	}
	for _, g := range c.ghosts {
		r.Committed = max(r.Committed, int(g.length))
		for t, id := range g.leaders {
			if id != 0 {
				r.Led = max(r.Led, raft.Term(t))
			}
		}
	}
	return r, err
}

// search is the breadth-first search.
func (c *checker) search() (*Violation, error) {
	if err := c.start(); err != nil {
		return nil, err
	}
	c.add(c.least(c.first), 0)
	defer func() { c.figures.States = len(c.states) }()
	level := 1 // the first state of the next depth
	for at := 0; at < len(c.states); at++ {
		if at == level {
			level = len(c.states)
			c.figures.Depth++
			if c.figures.Depth == c.scope.Depth {
				return nil, nil
			}
		}
		err := c.successors(c.states[at], func(next state, who int, o *outcome, err error) error {
			c.figures.Transitions++
			c.happened[o.event.kind]++
			if err != nil || !c.add(c.least(next), uint32(at)) {
				return err
			}
			return c.judgeState(&next, who)
		})
		if v := (*Violation)(nil); errors.As(err, &v) {
			return c.explain(uint32(at)), nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// successors calls visit with every state that one event leads to, at which server, and by which outcome. The error is a violation by
// the event itself.
func (c *checker) successors(st state, visit func(next state, who int, o *outcome, err error) error) error {
	limit := &c.limit
	for i := range c.scope.Servers {
		for _, e := range c.edgesOf(st.site[i]) {
			o := &c.outcomes[e.outcome]
			if o.cost != free && st.used.of(o.cost) >= limit[o.cost] {
				continue
			}
			next, err := c.follow(st, i, e, o)
			if next == st && err == nil {
				continue
			}
			if err := visit(next, i, o, err); err != nil {
				return err
			}
		}
	}
	if st.used.of(ticks) < limit[ticks] {
		next, o := c.tick(st)
		return visit(next, 0, o, nil)
	}
	return nil
}

// follow is the state that an edge of server i's site leads to.
func (c *checker) follow(st state, i int, e edge, o *outcome) (state, error) {
	if o.broken != 0 {
		return st, c.faults[o.broken-1]
	}
	next := st
	next.site[i] = e.after
	if o.cost != free {
		next.used = next.used.plus(o.cost)
	}
	for k := range c.scope.Servers {
		next.site[k] = c.arrive(next.site[k], o.to[k])
	}
	if o.told || o.asked || o.read != 0 || o.lost || o.event.kind == crash || o.event.kind == lose {
		before := c.servers[c.sites[st.site[i]].server]
		if err := c.remember(&next, i, before, o); err != nil {
			return next, err
		}
	}
	return next, nil
}

// tick lets time pass everywhere.
func (c *checker) tick(st state) (state, *outcome) {
	next := st
	next.used = next.used.plus(ticks)
	var last *outcome
	var outs [maxServers]outcome
	for i := range c.scope.Servers {
		here := c.sites[st.site[i]]
		outs[i] = c.outcomes[c.happening(here.server, event{kind: tick})]
		next.site[i] = c.siteNumber(outs[i].after, here.inbox)
		last = &outs[i]
	}
	for i := range c.scope.Servers {
		for k := range c.scope.Servers {
			next.site[k] = c.arrive(next.site[k], outs[i].to[k])
		}
	}
	return next, last
}
