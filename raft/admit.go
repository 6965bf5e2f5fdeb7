package raft

import (
	"cmp"
	"slices"
	"time"
)

// A change takes effect when it is appended (§6), and only the new quorum can commit it, or commit one that takes it back. A change to
// servers that do not exist, are down or have yet to get the log would therefore end a healthy cluster. So a leader looks first at what it
// knows of the servers that would vote, unless it is told not to.

// vitals are what a leader knows of a peer's life. They are pacing to all rules but this one.
type vitals struct {
	replied time.Duration // when it last answered in this term; never at first
	// Catching up goes in rounds (thesis §4.2.1): one ends when the peer has on its disk what the log held when the round began.
	goal  Index         // the end of the log when the round began
	began time.Duration // and when that was
	level time.Duration // the peer has all that the log held at this time; never at first
}

// newcomer is what is known of a server that has just become a peer.
func (n *Node) newcomer() vitals {
	return vitals{replied: never, goal: n.log.Last(), began: n.now, level: never}
}

// noteLife follows an answer of p, after its match is known.
func (n *Node) noteLife(p *peer) {
	v := &p.vitals
	v.replied = n.now
	if p.match >= v.goal {
		v.level = v.began
		v.goal, v.began = n.log.Last(), n.now
	}
}

// lately reports whether at is no longer ago than a follower may wait for its leader.
func (n *Node) lately(at time.Duration) bool { return at != never && n.now-at <= n.cfg.ElectionMax }

// alive reports whether a server takes part, as far as this leader knows.
func (n *Node) alive(id NodeID) bool {
	if id == n.cfg.ID {
		return true
	}
	p := n.peer(id)
	return p != nil && n.lately(p.vitals.replied)
}

// admit refuses a change from now to next that could leave the cluster without a quorum: a majority of the new voters, and in joint
// consensus of the old ones too, must have answered within ElectionMax, from where they are to be, somebody of them must be able to lead, and whoever is to get a vote must have caught up
// as a learner. Nobody is looked for where another member answers. Located are those who say themselves that they are where next looks for them. The
// error is an *UnsafeChangeError.
func (n *Node) admit(now, next *Membership, located []NodeID) error {
	e := &UnsafeChangeError{Voters: len(next.Voters), Needed: len(next.Voters)/2 + 1}
	if !slices.ContainsFunc(next.Voters, n.mayFollow) {
		for _, id := range next.Voters {
			if p := n.peer(id); p != nil && p.wants > 0 {
				e.Servers = append(e.Servers, Unready{ID: id, Why: Stateless})
			}
		}
	}
	for _, id := range slices.Concat(next.Voters, next.Outgoing) {
		if moves(now, next, id) && n.alive(id) && !slices.Contains(located, id) {
			e.Servers = append(e.Servers, Unready{ID: id, Why: Moved})
		}
	}
	for _, m := range next.Members {
		if by := n.occupant(now, next, m); by != None && !slices.Contains(located, m.ID) {
			e.Servers = append(e.Servers, Unready{ID: m.ID, Why: Taken, By: by})
		}
	}
	for _, id := range next.Voters {
		if n.alive(id) {
			e.Alive++
		}
		if !now.IsVoter(id) {
			if u, ok := n.unready(now, id); ok {
				e.Servers = append(e.Servers, u)
			}
		}
	}
	if e.Alive < e.Needed {
		e.Servers = append(e.Servers, n.silent(next.Voters)...)
	}
	if next.Joint() && majority(next.Outgoing, n.vital) == 0 {
		e.Servers = append(e.Servers, n.silent(next.Outgoing)...)
	}
	if len(e.Servers) == 0 {
		return nil
	}
	slices.SortStableFunc(e.Servers, func(a, b Unready) int { return cmp.Compare(a.ID, b.ID) })
	e.Servers = slices.CompactFunc(e.Servers, func(a, b Unready) bool { return a.ID == b.ID })
	return e
}

// moves reports whether a member is to be looked for elsewhere. Whoever answers now does so from where it is; who does not answer is lost to the
// majority anyway.
func moves(now, next *Membership, id NodeID) bool {
	from, _ := now.Member(id)
	to, _ := next.Member(id)
	return now.Has(id) && to.Addr != from.Addr
}

// occupant is the member that answers, and goes on to, where m is newly looked for.
func (n *Node) occupant(now, next *Membership, m Member) NodeID {
	if m.Addr == "" || now.Has(m.ID) && !moves(now, next, m.ID) {
		return None
	}
	for _, other := range next.Members {
		if other.ID != m.ID && other.Addr == m.Addr && now.Has(other.ID) && !moves(now, next, other.ID) && n.alive(other.ID) {
			return other.ID
		}
	}
	return None
}

func (n *Node) vital(id NodeID) int {
	if n.alive(id) {
		return 1
	}
	return 0
}

// mayFollow reports whether a server could lead after this one, as far as its state machine goes.
func (n *Node) mayFollow(id NodeID) bool {
	p := n.peer(id)
	return id == n.cfg.ID || p != nil && n.alive(id) && p.wants == 0
}

// unready says what keeps a server without a vote from being given one.
func (n *Node) unready(now *Membership, id NodeID) (Unready, bool) {
	p := n.peer(id)
	switch {
	case !now.IsLearner(id) || p == nil:
		return Unready{ID: id, Why: NotLearner}, true
	case !n.alive(id):
		return n.silence(id), true
	case !p.counts():
		return Unready{ID: id, Why: Doubted}, true
	case p.wants > 0:
		return Unready{ID: id, Why: Stateless}, true
	case p.match < n.log.Last() && !n.lately(p.vitals.level):
		return Unready{ID: id, Why: Behind, Lag: n.log.Last() - p.match}, true
	}
	return Unready{}, false
}

// silent lists who of ids has not answered.
func (n *Node) silent(ids []NodeID) (list []Unready) {
	for _, id := range ids {
		if !n.alive(id) {
			list = append(list, n.silence(id))
		}
	}
	return list
}

func (n *Node) silence(id NodeID) Unready {
	u := Unready{ID: id, Why: Silent, Silence: -1}
	if p := n.peer(id); p != nil && p.vitals.replied != never {
		u.Silence = n.now - p.vitals.replied
	}
	return u
}
