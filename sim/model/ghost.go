package model

import (
	"fmt"
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// maxLog bounds the committed log of a run.
const maxLog = 14

// A ghost is what happened so far, as far as the properties speak of it: no server need remember it.
type ghost struct {
	leaders [maxTerms]uint8 // who led, by term
	log     [maxLog]committed
	length  uint8
	floor   uint8 // 1+ what was committed when the read under way began; 0: there is none
	reader  uint8
}

// committed is an entry that was committed for the first time by the leader of term by.
type committed struct{ term, by uint8 }

func (g *ghost) String() string { return fmt.Sprint(g.log[:g.length]) }

func (c *checker) ghostNumber(g ghost) uint32 {
	if n, ok := c.ghostOf[g]; ok {
		return n
	}
	n := uint32(len(c.ghosts))
	c.ghostOf[g] = n
	c.ghosts = append(c.ghosts, g)
	return n
}

// remember adds to the ghost of next what an outcome at server i taught, and judges it: next is otherwise complete.
func (c *checker) remember(next *state, i int, before *server, o *outcome) error {
	g := c.ghosts[next.ghost]
	after := c.servers[o.after]
	n := after.node
	if n.Role() == raft.Leader && (before.node.Role() != raft.Leader || before.node.Term() != n.Term()) {
		if other := g.leaders[n.Term()]; other != 0 {
			if err := c.violation("Election Safety", "servers %d and %d are elected in term %d", other, after.id, n.Term()); err != nil {
				return err
			}
		}
		g.leaders[n.Term()] = uint8(after.id)
	}
	if err := c.rememberCommits(&g, next, before, after, o.event); err != nil {
		return err
	}
	if err := c.rememberRead(&g, o, after); err != nil {
		return err
	}
	next.ghost = c.ghostNumber(g)
	return nil
}

// rememberCommits: only a leader commits, and only what a quorum has on disk by the membership it goes by.
func (c *checker) rememberCommits(g *ghost, next *state, before, after *server, ev event) error {
	from, to := raft.Index(g.length)+1, after.node.CommitIndex()
	if to < from {
		return nil
	}
	by := before.node.Term()
	if after.node.Role() == raft.Leader {
		by = after.node.Term()
	} else if before.node.Role() != raft.Leader || after.node.Term() != by {
		return c.violation("State Machine Safety", "server %d hears that %d is committed before any leader committed more than %v", after.id, to, g)
	}
	if to > maxLog {
		return fmt.Errorf("model: a log of %d entries, planned are %d", to, maxLog)
	}
	for i := from; i <= to; i++ {
		term, ok := after.termAt(i)
		if !ok {
			return c.violation("State Machine Safety", "server %d commits %d, which is not in its log", after.id, i)
		}
		holders := 0
		for k := range c.scope.Servers {
			if c.servers[c.sites[next.site[k]].server].held(i, term) {
				holders |= 1 << k
			}
		}
		if m := deciding(before.node, after.node, i, ev); !slices.ContainsFunc(m, func(m raft.Membership) bool { return isQuorum(m, holders) }) {
			if err := c.violation("Durable Quorum", "server %d commits entry %d of term %d, which is on disk at the servers %v only; voters are %v and %v",
				after.id, i, term, members(holders), m[0].Voters, m[0].Outgoing); err != nil {
				return err
			}
		}
		g.log[i-1] = committed{term: uint8(term), by: uint8(by)}
		g.length = uint8(i)
	}
	return nil
}

// deciding are the memberships of which one must have a quorum for entry i, when a leader commits it in a step from before to after. A
// membership counts as soon as it is appended (§6). A joint one is left in the step that commits it: what follows it in the log may be
// committed by the new one already, itself it may not.
func deciding(before, after *raft.Node, i raft.Index, ev event) []raft.Membership {
	old, now := before.Membership(), after.Membership()
	if ev.kind == change {
		return []raft.Membership{now}
	}
	joint := before.Snapshot().Index
	if all := before.ChangesIn(before.FirstIndex(), before.LastIndex()); len(all) > 0 {
		joint = all[len(all)-1].Index
	}
	if old.Joint() && i > joint {
		return []raft.Membership{old, now}
	}
	return []raft.Membership{old}
}

// members are the servers of a set.
func members(set int) (ids []raft.NodeID) {
	for i, id := range serverIDs {
		if set>>i&1 == 1 {
			ids = append(ids, id)
		}
	}
	return ids
}

// rememberRead: a read sees everything that was committed when it was asked (thesis §6.4).
func (c *checker) rememberRead(g *ghost, o *outcome, s *server) error {
	if o.asked {
		g.floor, g.reader = g.length+1, uint8(s.id)
	}
	switch {
	case g.reader != uint8(s.id):
	case o.read != 0 && g.floor > 0:
		if o.read < raft.Index(g.floor) {
			return c.violation("Linearizable Read", "server %d answers a read at %d, but %d was committed when it was asked", s.id, o.read-1, g.floor-1)
		}
		g.floor, g.reader = 0, 0
	case o.lost || o.event.kind == crash || o.event.kind == lose:
		g.floor, g.reader = 0, 0
	}
	return nil
}
