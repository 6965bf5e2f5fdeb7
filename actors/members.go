package actors

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// A pendingChange is the membership change that a client waits for.
type pendingChange struct {
	request *request
	target  raft.Membership
}

// start proposes the change. The answer comes when the final membership, with no joint one in force, is committed.
func (p *pendingChange) start(r *replica, q *request) {
	if !q.take() {
		return
	}
	q.enter()
	if r.leader.Role != raft.Leader {
		q.refuse(&NotLeaderError{Leader: r.leader.Leader, Term: r.leader.Term})
		return
	}
	if p.request != nil {
		q.refuse(ErrChangeInProgress)
		return
	}
	if err := r.node.CheckBasis(q.change.BasedOn); err != nil {
		q.refuse(err)
		return
	}
	if err := r.host.reachable(q.change); err != nil {
		q.refuse(err)
		return
	}
	target, err := q.change.apply(r.node.Membership(), r.newcomer)
	if err != nil {
		q.refuse(err)
		return
	}
	r.flush()
	// Known before the step: a single voter may see it committed within it.
	p.request, p.target = q, target
	event := q.change.event(target)
	event.Located = r.there(target)
	if fx := r.step(event, nil); fx.Refused != nil {
		p.fail(fx.Refused)
	}
}

// committed answers when the membership in force is final and committed.
func (p *pendingChange) committed(r *replica, to raft.Index) {
	if p.request == nil || len(r.effective.Membership.Outgoing) > 0 || to < r.effective.Index {
		return
	}
	if !slices.Equal(r.effective.Membership.Voters, p.target.Voters) || !slices.Equal(r.effective.Membership.Learners, p.target.Learners) {
		return
	}
	q := p.request
	p.request = nil
	if q.claim() {
		q.index, q.membership = r.effective.Index, r.effective.Membership
		q.deliver()
	}
}

func (p *pendingChange) fail(err error) {
	if p.request != nil {
		p.request.refuse(err)
		p.request = nil
	}
}

func (c Change) event(target raft.Membership) raft.ChangeMembership {
	return raft.ChangeMembership{Target: target, Force: c.Force, BasedOn: c.BasedOn}
}

// reachable refuses a change with an address at which nobody can be reached.
func (h *Host) reachable(c Change) error {
	if h.locator == nil {
		return nil
	}
	for _, m := range slices.Concat(c.Voters, c.Learners, c.AddVoters, c.AddLearners, c.Addresses) {
		if err := h.locator.CheckAddr(m.Addr); m.Addr != "" && err != nil {
			return &raft.InvalidChangeError{Reason: fmt.Sprintf("node %d: %v", m.ID, err)}
		}
	}
	return nil
}

// once refuses a change that says of one node more than once what is to become of it, or of two that they are at one place: one of the two is a slip, and
// nobody knows which.
func (c Change) once() error {
	where := map[raft.NodeID]string{}
	for _, list := range []struct {
		name string
		ids  []raft.NodeID
	}{
		{"voters", numbers(c.Voters)}, {"learners", numbers(c.Learners)}, {"voters to add", numbers(c.AddVoters)}, {"learners to add", numbers(c.AddLearners)},
		{"addresses", numbers(c.Addresses)}, {"nodes to promote", c.Promote}, {"nodes to remove", c.Remove}, {"nodes to readmit", c.Readmit},
	} {
		for _, id := range list.ids {
			if first, named := where[id]; named {
				return &raft.InvalidChangeError{Reason: fmt.Sprintf("node %d is named twice, under %s and under %s: say once what is to become of it", id, first, list.name)}
			}
			where[id] = list.name
		}
	}
	there := map[string]raft.NodeID{}
	for _, m := range slices.Concat(c.Learners, c.AddVoters, c.AddLearners, c.Addresses) { // new voters are held against more than that by the rules
		if first, named := there[m.Addr]; named && m.Addr != "" {
			return &raft.InvalidChangeError{Reason: fmt.Sprintf("nodes %d and %d are both to be reached at %s: one of the two is mistyped", first, m.ID, m.Addr)}
		}
		there[m.Addr] = m.ID
	}
	return nil
}

// apply computes the membership that the change asks for. Newcomer is the folder that a node to be let back in runs on.
func (c Change) apply(now raft.Membership, newcomer func(raft.NodeID) (uint64, error)) (raft.Membership, error) {
	if err := c.once(); err != nil {
		return raft.Membership{}, err
	}
	info := map[raft.NodeID]raft.Member{}
	for _, m := range now.Members {
		info[m.ID] = m
	}
	voters, learners := now.Voters, now.Learners
	if len(c.Voters) == 0 && len(c.Learners) > 0 {
		return raft.Membership{}, &raft.InvalidChangeError{Reason: "learners are listed without the voters: list all members, or add the learners"}
	}
	if len(c.Voters) > 0 {
		voters, learners = note(info, nil, c.Voters), note(info, nil, c.Learners)
	}
	voters = note(info, voters, c.AddVoters)
	for _, id := range c.Promote {
		if !slices.Contains(learners, id) {
			return raft.Membership{}, &raft.InvalidChangeError{Reason: fmt.Sprintf("node %d is not a learner", id)}
		}
		voters = append(slices.Clone(voters), id)
	}
	for _, m := range c.AddLearners {
		if slices.Contains(voters, m.ID) {
			return raft.Membership{}, &raft.InvalidChangeError{Reason: fmt.Sprintf("node %d votes: it cannot be added as a learner, and is not changed", m.ID)}
		}
	}
	learners = note(info, learners, c.AddLearners)
	for _, id := range c.Readmit {
		if !now.Has(id) {
			return raft.Membership{}, &ReadmitError{id, "it is not a member: add it"}
		}
		store, err := newcomer(id)
		if err != nil {
			return raft.Membership{}, err
		}
		m := info[id]
		m.Store = store
		info[id] = m
		voters, learners = without(voters, []raft.NodeID{id}), append(slices.Clone(learners), id)
	}
	for _, m := range c.Addresses {
		if !slices.Contains(voters, m.ID) && !slices.Contains(learners, m.ID) {
			return raft.Membership{}, &raft.InvalidChangeError{Reason: fmt.Sprintf("node %d is not a member: it has no address to change", m.ID)}
		}
		note(info, nil, []raft.Member{m})
	}
	for _, id := range c.Remove {
		if !slices.Contains(voters, id) && !slices.Contains(learners, id) {
			return raft.Membership{}, &raft.InvalidChangeError{Reason: fmt.Sprintf("node %d is not a member", id)}
		}
	}
	out := raft.Membership{}
	out.Voters = without(voters, c.Remove)
	out.Learners = without(without(learners, c.Remove), out.Voters)
	for _, id := range append(slices.Clone(out.Voters), out.Learners...) {
		m := info[id]
		m.ID = id
		out.Members = append(out.Members, m)
	}
	slices.SortFunc(out.Members, func(a, b raft.Member) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// note adds members to a list of ids and to what is known of them; what a change leaves blank stays as it was known.
func note(info map[raft.NodeID]raft.Member, ids []raft.NodeID, members []raft.Member) []raft.NodeID {
	ids = slices.Clone(ids)
	for _, m := range members {
		known := info[m.ID]
		info[m.ID] = raft.Member{
			ID: m.ID, Addr: cmp.Or(m.Addr, known.Addr), Tag: cmp.Or(m.Tag, known.Tag), Store: cmp.Or(m.Store, known.Store),
		}
		ids = append(ids, m.ID)
	}
	return ids
}

func numbers(members []raft.Member) (ids []raft.NodeID) {
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	return ids
}

// without is ids less drop, sorted and without duplicates.
func without(ids, drop []raft.NodeID) []raft.NodeID {
	out := slices.DeleteFunc(slices.Clone(ids), func(id raft.NodeID) bool { return slices.Contains(drop, id) })
	slices.Sort(out)
	return slices.Compact(out)
}
