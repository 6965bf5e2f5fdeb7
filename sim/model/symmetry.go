package model

import (
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// A renaming gives every server another's ID. Two states of the cluster that a renaming turns into each other have the same future up to
// that renaming, so one of them is enough. The image of a server is not computed from the server: it is what the rules make of
// the renamed events that led to it, from the same start. TestRenaming checks that no way there gives another image.
type renaming struct {
	to      [maxServers]int // position of a server → its position under the new name
	from    [maxServers]int // and back
	targets []uint32        // Scope.Targets → the same
	servers []uint32        // number → 1+ number of the image; 0: not asked for yet
	letters []uint32
	sets    []uint32
	sites   []uint32
	ghosts  []uint32
}

// An origin is how a server came about: the event that made it of another one.
type origin struct {
	from  uint32
	event event
	start bool // none: it is what the server with this ID begins as
}

// renamings are those that leave the founding voters and the set of targets as they are, except for the one that renames nobody.
func (s Scope) renamings() (out []*renaming) {
	if s.plain || s.faults.fastClock != raft.None {
		return nil
	}
	var each func(to []int)
	each = func(to []int) {
		if len(to) < s.Servers {
			for i := range s.Servers {
				if !slices.Contains(to, i) {
					each(append(slices.Clone(to), i))
				}
			}
			return
		}
		r := &renaming{}
		for i, k := range to {
			r.to[i], r.from[k] = k, i
		}
		if r.fits(s) && !slices.IsSorted(to) {
			out = append(out, r)
		}
	}
	each(nil)
	return out
}

func (r *renaming) fits(s Scope) bool {
	if !slices.Equal(r.ids(s.Voters), s.Voters) {
		return false
	}
	for _, t := range s.Targets {
		image := r.membership(t)
		k := slices.IndexFunc(s.Targets, image.Equal)
		if k < 0 {
			return false
		}
		r.targets = append(r.targets, uint32(k))
	}
	return true
}

func (r *renaming) id(id raft.NodeID) raft.NodeID {
	if id == raft.None {
		return id
	}
	return serverIDs[r.to[id-1]]
}

func (r *renaming) ids(ids []raft.NodeID) []raft.NodeID {
	var out []raft.NodeID
	for _, id := range ids {
		out = append(out, r.id(id))
	}
	slices.Sort(out)
	return out
}

func (r *renaming) membership(m raft.Membership) raft.Membership {
	return raft.Membership{Voters: r.ids(m.Voters), Outgoing: r.ids(m.Outgoing), Learners: r.ids(m.Learners)}
}

func (r *renaming) message(m raft.Message) raft.Message {
	switch m := m.(type) {
	case *raft.RequestVote:
		c := *m
		c.Candidate = r.id(m.Candidate)
		return &c
	case *raft.AppendEntries:
		c := *m
		c.Leader, c.Changes = r.id(m.Leader), nil
		for _, ch := range m.Changes {
			c.Changes = append(c.Changes, raft.Change{Index: ch.Index, Membership: r.membership(ch.Membership)})
		}
		return &c
	case *raft.Heartbeat:
		c := *m
		c.Leader = r.id(m.Leader)
		return &c
	case *raft.InstallSnapshot:
		c := *m
		c.Leader, c.Snapshot.Membership = r.id(m.Leader), r.membership(m.Snapshot.Membership)
		return &c
	case *raft.TimeoutNow:
		c := *m
		c.Leader = r.id(m.Leader)
		return &c
	case *raft.Recall:
		c := *m
		c.Leader = r.id(m.Leader)
		return &c
	case *raft.Trust:
		c := *m
		c.Leader = r.id(m.Leader)
		return &c
	}
	return m // names nobody
}

// image looks n up in memo and works it out if it is not there.
func image(memo *[]uint32, n uint32, work func() uint32) uint32 {
	if int(n) < len(*memo) && (*memo)[n] != 0 {
		return (*memo)[n] - 1
	}
	out := work()
	if int(n) >= len(*memo) {
		*memo = append(*memo, make([]uint32, int(n)+1-len(*memo)+len(*memo)/2)...)
	}
	(*memo)[n] = out + 1
	return out
}

func (c *checker) renamedLetter(r *renaming, n uint32) uint32 {
	return image(&r.letters, n, func() uint32 {
		l := c.letters[n]
		return c.letterNumber(letter{from: r.id(l.from), to: r.id(l.to), message: r.message(l.message)})
	})
}

func (c *checker) renamedSet(r *renaming, n uint32) uint32 {
	return image(&r.sets, n, func() uint32 {
		var out []uint32
		for _, l := range c.sets[n] {
			out = append(out, c.renamedLetter(r, l))
		}
		slices.Sort(out)
		return c.setNumber(out)
	})
}

func (c *checker) renamedEvent(r *renaming, ev event) event {
	switch ev.kind {
	case hear:
		ev.arg = c.renamedLetter(r, ev.arg)
	case change:
		ev.arg = r.targets[ev.arg]
	case transfer:
		ev.arg = uint32(r.id(raft.NodeID(ev.arg)))
	}
	return ev
}

func (c *checker) renamedServer(r *renaming, n uint32) uint32 {
	return image(&r.servers, n, func() uint32 {
		o := c.origins[n]
		if o.start {
			return c.sites[c.first.site[r.to[c.servers[n].id-1]]].server
		}
		return c.outcomes[c.happening(c.renamedServer(r, o.from), c.renamedEvent(r, o.event))].after
	})
}

func (c *checker) renamedSite(r *renaming, n uint32) uint32 {
	return image(&r.sites, n, func() uint32 {
		s := c.sites[n]
		return c.siteNumber(c.renamedServer(r, s.server), c.renamedSet(r, s.inbox))
	})
}

func (c *checker) renamedGhost(r *renaming, n uint32) uint32 {
	return image(&r.ghosts, n, func() uint32 {
		g := c.ghosts[n]
		for t, id := range g.leaders {
			g.leaders[t] = uint8(r.id(raft.NodeID(id)))
		}
		g.reader = uint8(r.id(raft.NodeID(g.reader)))
		return c.ghostNumber(g)
	})
}

// least is the one among the renamed states that stands for all of them.
func (c *checker) least(st state) state {
	best := st
	for _, r := range c.renamings {
		c.lessen(&best, &st, r)
	}
	return best
}

// renamed is the image of st.
func (c *checker) renamed(st state, r *renaming) state {
	out := state{ghost: c.renamedGhost(r, st.ghost), used: st.used}
	for i := range c.scope.Servers {
		out.site[r.to[i]] = c.renamedSite(r, st.site[i])
	}
	return out
}

// lessen makes best the image of st if that is less.
func (c *checker) lessen(best, st *state, r *renaming) {
	less := false
	var other [maxServers]uint32
	for i := range c.scope.Servers {
		n := st.site[r.from[i]]
		if int(n) < len(r.sites) && r.sites[n] != 0 {
			n = r.sites[n] - 1
		} else {
			n = c.renamedSite(r, n)
		}
		if !less && n > best.site[i] {
			return
		}
		less = less || n < best.site[i]
		other[i] = n
	}
	g := c.renamedGhost(r, st.ghost)
	if less || g < best.ghost {
		best.site, best.ghost = other, g
	}
}
