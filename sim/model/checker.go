package model

import (
	"slices"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A checker holds everything that has a number, and the search.
type checker struct {
	scope   Scope
	enc     *encoder
	moments time.Duration // without a clock: later than everything so far

	servers  []*server
	origins  []origin // of the servers
	serverOf map[string]uint32
	letters  []letter
	letterOf map[string]uint32
	sets     [][]uint32 // of messages, ascending
	setOf    map[string]uint32
	sites    []site
	siteOf   map[site]uint32
	edges    [][]edge // by site; nil until asked for
	outcomes []outcome
	faults   []error // by outcome.broken-1
	ghosts   []ghost
	ghostOf  map[ghost]uint32
	arrived  map[uint64]uint32 // site and set of messages → site

	renamings []*renaming
	first     state
	limit     [costs]uint32
	found
	figures  Figures
	happened [kinds]int

	key     []byte
	scratch []uint32
}

// A site is a server with what is on the way to it.
type site struct{ server, inbox uint32 }

// An edge is a way to leave a site. Its own messages not counted, the cluster differs by one site.
type edge struct{ outcome, after uint32 }

func newChecker(s Scope) *checker {
	c := &checker{
		scope: s, enc: newEncoder(s), renamings: s.renamings(), limit: s.Limit.of(),
		serverOf: map[string]uint32{}, letterOf: map[string]uint32{}, setOf: map[string]uint32{},
		siteOf: map[site]uint32{}, ghostOf: map[ghost]uint32{}, arrived: map[uint64]uint32{},
	}
	c.setNumber(nil)
	c.ghostNumber(ghost{})
	return c
}

// serverNumber gives s its number, and what is derived from it.
func (c *checker) serverNumber(s *server, from origin) uint32 {
	key := c.enc.server(s)
	if n, ok := c.serverOf[string(key)]; ok {
		return n
	}
	n := uint32(len(c.servers))
	c.serverOf[string(key)] = n
	c.servers, c.origins = append(c.servers, s), append(c.origins, from)
	s.derive(c.scope.Clock)
	s.offers = c.offers(s)
	return n
}

// siteNumber gives a server with its inbox its number.
func (c *checker) siteNumber(server, inbox uint32) uint32 {
	at := site{server: server, inbox: c.alive(server, inbox)}
	if n, ok := c.siteOf[at]; ok {
		return n
	}
	n := uint32(len(c.sites))
	c.siteOf[at] = n
	c.sites = append(c.sites, at)
	c.edges = append(c.edges, nil)
	return n
}

// arrive puts a set of messages into a site's inbox.
func (c *checker) arrive(at, set uint32) uint32 {
	if set == 0 {
		return at
	}
	key := uint64(at)<<32 | uint64(set)
	if n, ok := c.arrived[key]; ok {
		return n
	}
	s := c.sites[at]
	n := c.siteNumber(s.server, c.union(s.inbox, set))
	c.arrived[key] = n
	return n
}

// edgesOf are the events that change something, or send something, at a site. Ticks are not among them.
func (c *checker) edgesOf(at uint32) []edge {
	if c.edges[at] != nil {
		return c.edges[at]
	}
	here := c.sites[at]
	out := []edge{}
	add := func(number uint32) {
		if c.idle(here.server, number) {
			return
		}
		o := &c.outcomes[number]
		e := edge{outcome: number}
		if o.broken == 0 {
			e.after = c.siteNumber(o.after, here.inbox)
		}
		out = append(out, e)
	}
	for _, number := range c.actions(here.server) {
		add(number)
	}
	for _, l := range c.sets[here.inbox] {
		add(c.hearing(here.server, l))
	}
	c.edges[at] = out
	return out
}

// hearing is the outcome of a message at a server.
func (c *checker) hearing(number, letter uint32) uint32 {
	return c.happening(number, event{kind: hear, arg: letter})
}

// happening is the outcome of an event at a server.
func (c *checker) happening(number uint32, ev event) uint32 {
	s := c.servers[number]
	if o, ok := s.outcomes[ev]; ok {
		return o
	}
	o := c.outcomeOf(number, ev)
	s.outcomes[ev] = o
	return o
}

// actions are the outcomes of what may happen to a server by itself, ticks excepted.
func (c *checker) actions(number uint32) (out []uint32) {
	for _, ev := range c.eventsAt(c.servers[number]) {
		out = append(out, c.happening(number, ev))
	}
	return out
}

func (c *checker) eventsAt(s *server) (evs []event) {
	n, limit := s.node, c.scope.Limit
	leads := n.Role() == raft.Leader
	if len(s.pending) > 0 {
		evs = append(evs, event{kind: sync})
	}
	if leads && c.scope.Clock || !leads && n.Term() < c.scope.Terms && limit.Timeouts > 0 {
		evs = append(evs, event{kind: losePatience})
	}
	if limit.Crashes > 0 {
		evs = append(evs, event{kind: crash})
	}
	if limit.Losses > 0 && s.disk.hard.Term > 0 {
		evs = append(evs, event{kind: lose, arg: everything})
		if !c.scope.Wiped && s.disk.last() > s.disk.prev.Index {
			evs = append(evs, event{kind: lose, arg: lastEntry})
		}
		if !c.scope.Wiped && s.disk.hard.Vote != raft.None {
			evs = append(evs, event{kind: lose, arg: vote})
		}
	}
	if n.CommitIndex() > n.Snapshot().Index && limit.Snapshots > 0 && !n.MembershipAt(n.CommitIndex()).IsZero() {
		evs = append(evs, event{kind: snapshot}, event{kind: snapshot, arg: 1})
	}
	if !leads {
		return evs
	}
	room := c.scope.Log == 0 || n.LastIndex() < c.scope.Log
	if limit.Proposals > 0 && room {
		evs = append(evs, event{kind: propose})
	}
	if limit.Changes > 0 && room {
		for i := range c.scope.Targets {
			evs = append(evs, event{kind: change, arg: uint32(i)})
		}
	}
	if limit.Beats > 0 {
		evs = append(evs, event{kind: beat})
	}
	if limit.Reads > 0 {
		evs = append(evs, event{kind: read})
	}
	if limit.Transfers > 0 {
		for _, id := range n.Membership().IDs() {
			evs = append(evs, event{kind: transfer, arg: uint32(id)})
		}
	}
	return evs
}

// start numbers the cluster's first state: nobody has a term yet.
func (c *checker) start() error {
	for i, id := range c.scope.ids() {
		d := disk{snapshot: raft.SnapshotMeta{Membership: c.founding(id)}}
		s := &server{id: id, disk: d, life: 1}
		node, err := raft.New(raft.Config{ID: id, ElectionMin: electionMin, Life: s.life << 8}, d.state(), c.nowAt(s))
		if err != nil {
			return err
		}
		s.node = node
		c.first.site[i] = c.siteNumber(c.serverNumber(s, origin{start: true}), 0)
	}
	return nil
}

// founding is the membership that a server begins with.
func (c *checker) founding(id raft.NodeID) (m raft.Membership) {
	if slices.Contains(c.scope.Voters, id) {
		m.Voters = c.scope.Voters
	}
	return m
}
