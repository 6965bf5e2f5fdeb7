package raft

import (
	"errors"
	"fmt"
	"time"
)

// broken stops the node.
func (n *Node) broken(name, format string, args ...any) {
	panic(&BrokenInvariant{Name: name, Node: n.cfg.ID, Term: n.hard.Term, Detail: fmt.Sprintf(format, args...)})
}

// verify is run by every Step and costs no loop.
func (n *Node) verify() {
	last := n.log.LastID()
	switch {
	case n.commit < n.told.commit:
		n.broken("Commit Monotonic", "commit fell from %d to %d", n.told.commit, n.commit)
	case n.commit > last.Index:
		n.broken("Commit Within Log", "commit %d, last %d", n.commit, last.Index)
	case n.snapshot.Index > n.commit || n.log.Prev.Index > n.snapshot.Index:
		n.broken("Snapshot Within Commit", "prev %d, snapshot %d, commit %d", n.log.Prev.Index, n.snapshot.Index, n.commit)
	case last.Term > n.hard.Term:
		n.broken("Terms Monotonic", "the log ends in term %d", last.Term)
	case n.hard.Term < n.told.hard.Term || n.hard.Term == n.told.hard.Term && n.told.hard.Vote != None && n.told.hard.Vote != n.hard.Vote:
		n.broken("Vote Once", "term and vote went from %v to %v", n.told.hard, n.hard)
	case n.durable > last.Index:
		n.broken("Durable Within Log", "durable %d, last %d", n.durable, last.Index)
	case (n.role == Leader) != (n.leader == n.cfg.ID):
		n.broken("Leader Knows Itself", "%v, leader %d", n.role, n.leader)
	case n.role == Leader && n.told.role.Role == Leader && n.told.role.Term == n.hard.Term && n.termFirst > last.Index:
		n.broken("Leader Append-Only", "the no-op at %d is gone", n.termFirst)
	}
}

// Check looks for broken invariants in the node's whole state and names the first it finds, as *BrokenInvariant. It
// costs a pass over the term spans and changes nothing.
func (n *Node) Check() (err error) {
	defer func() {
		if r := recover(); r != nil {
			b, ok := r.(*BrokenInvariant)
			if !ok {
				panic(r)
			}
			err = b
		}
	}()
	n.verify()
	if e := n.log.validate(); e != nil {
		n.broken("Log Contiguous", "%v", e)
	}
	before := n.log.Prev.Index
	for _, c := range n.changes {
		if c.Index <= before || c.Index > n.log.Last() {
			n.broken("Changes Within Log", "a membership at %d, log %d..%d", c.Index, n.log.First(), n.log.Last())
		}
		before = c.Index
	}
	for _, p := range n.peers {
		if p.match > n.log.Last() {
			n.broken("Match Within Log", "server %d matches through %d, last %d", p.id, p.match, n.log.Last())
		}
	}
	return nil
}

// validate says what is wrong with a log.
func (s Shape) validate() error {
	if (s.Prev.Index == 0) != (s.Prev.Term == 0) {
		return fmt.Errorf("the log follows entry %d of term %d", s.Prev.Index, s.Prev.Term)
	}
	at := s.Prev
	for _, r := range s.Runs {
		switch {
		case r.First != at.Index+1 || r.Last < r.First || r.First == 0:
			return fmt.Errorf("entries %d..%d follow entry %d", r.First, r.Last, at.Index)
		case r.Term == 0 || r.Term < at.Term:
			return fmt.Errorf("entries %d..%d of term %d follow term %d", r.First, r.Last, r.Term, at.Term)
		}
		at = EntryID{Index: r.Last, Term: r.Term}
	}
	return nil
}

func (c Config) validate() error {
	switch {
	case c.ID == None:
		return &InvalidConfigError{Reason: "the ID is 0"}
	case c.ElectionMin <= 0:
		return &InvalidConfigError{Reason: fmt.Sprintf("ElectionMin %v is not positive", c.ElectionMin)}
	case c.ElectionMax != 0 && c.ElectionMax < c.ElectionMin:
		return &InvalidConfigError{Reason: fmt.Sprintf("ElectionMax %v is below ElectionMin %v", c.ElectionMax, c.ElectionMin)}
	case c.LeaseDrift < 0:
		return &InvalidConfigError{Reason: fmt.Sprintf("LeaseDrift %v is negative", c.LeaseDrift)}
	case c.ElectionMin > 1000*time.Hour:
		return &InvalidConfigError{Reason: fmt.Sprintf("ElectionMin %v is beyond reason", c.ElectionMin)}
	}
	return nil
}

// validate says what a disk holds that no server could have written.
func (st State) validate() error {
	bad := func(format string, args ...any) error {
		return &InvalidStateError{Reason: fmt.Sprintf(format, args...)}
	}
	log := Shape{Prev: st.Prev, Runs: st.Runs}
	if err := log.validate(); err != nil {
		return bad("%v", err)
	}
	snap := EntryID{Index: st.Snapshot.Index, Term: st.Snapshot.Term}
	switch {
	case st.Hard.Term > greatestTerm:
		return bad("the term is %d", st.Hard.Term)
	case snap.Term > greatestTerm: // a start takes it over where the write of the term was lost
		return bad("the snapshot ends with term %d", snap.Term)
	case st.Hard.Promise < 0 || st.Hard.Promise > longestPromise:
		return bad("a promise of %v", st.Hard.Promise)
	case log.Last() > greatestIndex || snap.Index > greatestIndex:
		return bad("the log ends at entry %d, and the snapshot at %d", log.Last(), snap.Index)
	case log.LastID().Term > st.Hard.Term:
		return bad("the log ends in term %d, but the server's term is %d", log.LastID().Term, st.Hard.Term)
	case st.Hard.Term == 0 && st.Hard.Vote != None:
		return bad("a vote for server %d in term 0", st.Hard.Vote)
	case (snap.Index == 0) != (snap.Term == 0):
		return bad("a snapshot at entry %d of term %d", snap.Index, snap.Term)
	case st.Prev.Index > snap.Index:
		return bad("the log begins after entry %d, but the snapshot ends at %d", st.Prev.Index, snap.Index)
	case st.Prev.Index == snap.Index && st.Prev.Term != snap.Term:
		return bad("the log follows term %d at entry %d, the snapshot ends with term %d", st.Prev.Term, st.Prev.Index, snap.Term)
	case snap.Index > 0 && st.Snapshot.Membership.IsZero():
		return bad("the snapshot at %d has no membership", snap.Index)
	}
	if err := st.validateMemberships(log.has(snap)); err != nil {
		return bad("%v", err)
	}
	return nil
}

// validateMemberships checks the snapshot's membership and those in the log; joined means that the log contains the snapshot's entry.
func (st State) validateMemberships(joined bool) error {
	if m := st.Snapshot.Membership; !m.IsZero() {
		if err := m.Validate(); err != nil && st.Snapshot.Index == 0 {
			return fmt.Errorf("the founding membership: %w", err)
		} else if err != nil {
			return fmt.Errorf("at the snapshot: %w", err)
		}
	}
	log := Shape{Prev: st.Prev, Runs: st.Runs}
	before := st.Prev.Index
	for i, c := range st.Changes {
		if c.Index <= before || c.Index > log.Last() {
			return fmt.Errorf("a membership at %d, not in ascending order within the log %d..%d", c.Index, log.First(), log.Last())
		}
		before = c.Index
		if err := c.Membership.Validate(); err != nil {
			return fmt.Errorf("at entry %d: %w", c.Index, err)
		}
		latest := i+1 == len(st.Changes) || st.Changes[i+1].Index > st.Snapshot.Index
		if joined && latest && c.Index <= st.Snapshot.Index && !c.Membership.Equal(st.Snapshot.Membership) {
			return errors.New("the snapshot's membership contradicts the log's")
		}
	}
	return nil
}
