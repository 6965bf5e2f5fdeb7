package model

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// maxTerms bounds Scope.Terms.
const maxTerms = 8

// A server is everything that one server is. Once it has a number it never changes.
type server struct {
	id      raft.NodeID
	node    *raft.Node
	disk    disk
	pending []write       // issued, not synced; oldest first
	spoken  raft.NodeID   // the vote in the term on disk that the others were told of, before or after a crash
	now     time.Duration // with Scope.Clock
	life    uint64        // with Limit.Losses: it started that often
	once    []disk        // what was on its disk each time before that lost something

	// What follows from the above.
	first  raft.Index  // the index before log's
	log    []raft.Term // of the entries after first
	lease  bool        // it holds one
	offers []uint32    // ascending: what its log and commit index let a leader send

	outcomes map[event]uint32 // of what was asked about so far
}

func (s *server) clone() *server {
	c := &server{id: s.id, node: s.node.Clone(), disk: s.disk.clone(), spoken: s.spoken, now: s.now, life: s.life, once: slices.Clone(s.once)}
	c.pending = slices.Clone(s.pending)
	for i := range c.pending {
		c.pending[i].held = slices.Clone(c.pending[i].held)
	}
	return c
}

// derive works out what follows from the rest.
func (s *server) derive(clock bool) {
	s.first = s.node.FirstIndex() - 1
	for i := s.first + 1; i <= s.node.LastIndex(); i++ {
		t, _ := s.node.TermAt(i)
		s.log = append(s.log, t)
	}
	until, ok := s.node.LeaseUntil()
	s.lease = clock && ok && s.now < until
	s.outcomes = map[event]uint32{}
}

// held reports whether the entry is on the server's disk, or was before that lost something.
func (s *server) held(i raft.Index, term raft.Term) bool {
	return s.disk.holds(i, term) || slices.ContainsFunc(s.once, func(d disk) bool { return d.holds(i, term) })
}

func (s *server) String() string {
	n := s.node
	var b strings.Builder
	fmt.Fprintf(&b, "%v in term %d", n.Role(), n.Term())
	if v := n.Status().Vote; v != raft.None {
		fmt.Fprintf(&b, ", vote %d", v)
	}
	fmt.Fprintf(&b, ", log %s, commit %d", terms(s.first, s.log), n.CommitIndex())
	if i := n.Snapshot().Index; i > 0 {
		fmt.Fprintf(&b, ", snapshot %d", i)
	}
	if m := n.Membership(); m.Joint() {
		fmt.Fprintf(&b, ", voters %v and %v", m.Voters, m.Outgoing)
	} else {
		fmt.Fprintf(&b, ", voters %v", m.Voters)
	}
	if len(s.pending) > 0 {
		fmt.Fprintf(&b, "; on disk term %d, vote %d, log %s", s.disk.hard.Term, s.disk.hard.Vote, terms(s.disk.prev.Index, s.disk.terms))
	}
	return b.String()
}

// terms writes a log as the terms of its entries.
func terms(before raft.Index, log []raft.Term) string {
	s := fmt.Sprint(log)
	if before > 0 {
		s = fmt.Sprintf("%d:%s", before, s)
	}
	return s
}
