package raft

import (
	"errors"
	"fmt"
	"slices"
)

// strike lets the faults happen that are not the network's.
func (w *world) strike() {
	f := w.faults
	if w.chance(f.crash) {
		s := w.servers[w.ids[w.rand.IntN(len(w.ids))]]
		if s.down {
			w.start(s, Membership{})
		} else {
			w.crash(s)
		}
	}
	if w.chance(f.back) {
		w.goBackSomewhere()
	}
	if w.chance(f.lose) {
		w.loseSomewhere()
	}
	if w.chance(f.partition) {
		w.happened["partition"]++
		side := map[NodeID]bool{}
		for _, id := range w.ids {
			side[id] = w.rand.IntN(2) == 0
		}
		oneWay := w.rand.IntN(4) == 0
		for _, a := range w.ids {
			for _, b := range w.ids {
				if side[a] != side[b] && (!oneWay || side[a]) {
					w.cut[[2]NodeID{a, b}] = true
				}
			}
		}
	}
	if w.chance(f.heal) {
		clear(w.cut)
	}
}

// crash takes what is not on disk away from s.
func (w *world) crash(s *server) {
	w.happened["crash"]++
	s.state, s.down = s.Durable(), true
	for id, r := range w.reads {
		if r.server == s.id {
			delete(w.reads, id)
		}
	}
}

// goBackSomewhere restarts a server from a disk that has lost something, and knows it, unless so many are in doubt already that the others
// are no quorum. Now and then it takes a copy for the next time instead.
func (w *world) goBackSomewhere() {
	s := w.servers[w.ids[w.rand.IntN(len(w.ids))]]
	if w.rand.IntN(2) == 0 {
		if !s.down {
			s.images = append(s.images, s.Durable())
		}
		return
	}
	inDoubt := 0
	for _, o := range w.servers {
		if o != s && (o.down && o.state.Hard.Doubt || !o.down && o.disk.hard.Doubt) {
			inDoubt++
		}
	}
	if inDoubt >= (len(w.ids)-1)/2 {
		return
	}
	if !s.down {
		w.crash(s)
	}
	old := &ReplicaState{}
	if n := len(s.images); n > 0 && w.rand.IntN(4) != 0 {
		image := *s.images[w.rand.IntN(n)]
		old = &image
	} else {
		old.Snapshot.Membership = Membership{Voters: w.ids}
	}
	w.happened["back"]++
	old.Hard.Doubt = true
	s.state = old
	w.start(s, Membership{})
}

// loseSomewhere has a server find that its snapshot cannot be read, unless another one is without already: nobody could be elected then.
func (w *world) loseSomewhere() {
	for _, s := range w.servers {
		if s.stateless {
			return
		}
	}
	s := w.servers[w.ids[w.rand.IntN(len(w.ids))]]
	if s.down || s.mem.snapshot.Index == 0 {
		return
	}
	w.happened["state lost"]++
	if s.node.Role() == Leader {
		w.happened["leader's state lost"]++
	}
	w.lose(s)
	w.collect(s)
}

func (w *world) lose(s *server) {
	s.stateless = true
	s.LoseState()
}

// ask lets clients and operators turn to s.
func (w *world) ask(s *server) {
	f := w.faults
	if w.chance(f.propose) {
		w.proposals++
		if _, err := s.Propose(fmt.Appendf(nil, "p%d", w.proposals)); err == nil {
			w.happened["proposed"]++
		}
	}
	if w.chance(f.read) {
		w.read(s, s.Read)
	}
	if w.chance(f.lease) {
		w.read(s, s.LeaseRead)
	}
	if w.chance(f.compact) && s.applied > 0 && !s.stateless {
		index := s.applied - min(Index(w.rand.IntN(4)), s.applied-1)
		switch err := s.Compact(index, digest(w.committed[:index]), Index(w.rand.IntN(5))); err {
		case nil:
			w.happened["compacted"]++
		case ErrMembershipUnknown:
			w.happened["not compacted"]++
		default:
			w.fatalf("server %d: compact %d: %v", s.id, index, err)
		}
	}
	if w.chance(f.change) && s.node.Role() == Leader {
		ask, what := s.ChangeMembers, "changed"
		if w.rand.IntN(2) == 0 {
			ask, what = s.ForceMembers, "forced"
		}
		var unsafe *UnsafeChangeError
		if _, err := ask(w.someMembership(s.node.Membership())); err == nil {
			w.happened[what]++
		} else if errors.As(err, &unsafe) {
			w.happened["unsafe"]++
		}
	}
	if w.chance(f.transfer) && s.node.Role() == Leader {
		if s.Status().TransferTo != None {
			s.AbortTransfer()
		} else if s.Transfer(w.ids[w.rand.IntN(len(w.ids))]) == nil {
			w.happened["transfer"]++
		}
	}
	if w.chance(f.disturb) {
		if w.rand.IntN(2) == 0 {
			s.Campaign()
		} else {
			s.StepDown()
		}
	}
	w.collect(s)
}

func (w *world) read(s *server, ask func(uint64)) {
	w.nextRead++
	w.reads[w.nextRead] = &openRead{server: s.id, start: s.starts, floor: Index(len(w.committed))}
	ask(w.nextRead)
}

// someMembership returns one that differs from m in one or many servers.
func (w *world) someMembership(m Membership) Membership {
	next := Membership{Voters: slices.Clone(m.Voters), Learners: slices.Clone(m.Learners)}
	for changes := 1 + w.rand.IntN(3); changes > 0; changes-- {
		id := w.ids[w.rand.IntN(len(w.ids))]
		in := next.Has(id)
		drop := func(o NodeID) bool { return o == id }
		next.Voters = slices.DeleteFunc(next.Voters, drop)
		next.Learners = slices.DeleteFunc(next.Learners, drop)
		switch {
		case !in && w.rand.IntN(2) == 0:
			next.Learners = append(next.Learners, id)
		case !in || w.rand.IntN(3) == 0:
			next.Voters = append(next.Voters, id)
		}
	}
	return next
}

// recover ends all faults and checks that the cluster works again: it elects, commits, and everybody in it catches up.
func (w *world) recover() {
	w.faults = faults{hold: w.faults.hold, sync: 1}
	clear(w.cut)
	for _, id := range w.ids {
		if s := w.servers[id]; s.down {
			w.start(s, Membership{})
		}
	}
	before := len(w.committed)
	for wait := 0; ; wait++ {
		w.tick()
		if wait > 20000 {
			w.fatalf("no recovery: %s", w.picture())
		}
		leader := w.leader()
		if leader == nil {
			continue
		}
		leader.AbortTransfer()
		if wait%50 == 0 && leader.applied > 0 && !leader.stateless { // it has one to send
			_ = leader.Compact(leader.applied, digest(w.committed[:leader.applied]), 5)
		}
		if len(w.committed) == before || w.behind(leader) {
			if wait%50 == 0 {
				_, _ = leader.Propose([]byte("after")) // refused while it has just stepped down
			}
			continue
		}
		break
	}
	w.checkLogs()
}

// leader returns the live leader of the newest term.
func (w *world) leader() (best *server) {
	for _, id := range w.ids {
		if s := w.servers[id]; !s.down && s.node.Role() == Leader && (best == nil || s.node.Term() > best.node.Term()) {
			best = s
		}
	}
	return best
}

// behind reports whether a member has less committed than the leader, or a change is under way.
func (w *world) behind(leader *server) bool {
	m := leader.node.Membership()
	if m.Joint() {
		return true
	}
	for _, id := range m.IDs() {
		if w.servers[id].stateless || w.servers[id].node.CommitIndex() < leader.node.CommitIndex() {
			return true
		}
	}
	return leader.node.CommitIndex() < leader.node.LastIndex()
}

func (w *world) picture() (s string) {
	for _, id := range w.ids {
		st := w.servers[id].Status()
		s += fmt.Sprintf("\n%d: %v term %d leader %d commit %d log %d..%d members %v/%v/%v match %v",
			id, st.Role, st.Term, st.Leader, st.Commit, st.First, st.Last,
			st.Membership.Voters, st.Membership.Outgoing, st.Membership.Learners, st.Match)
	}
	return s
}
