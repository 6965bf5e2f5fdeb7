package actors

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/troupe-raft/troupe/raft"
)

// A pendingTransfer is a leadership transfer under way. Proposals that arrive meanwhile are held: the new leader's
// clients find it by the refusal, and if the transfer fails they are taken here.
type pendingTransfer struct {
	request *request
	held    []*request
	run     uint64 // version of the deadline
	late    bool   // the deadline has passed: its words go to the client rather than the rules'
	failed  error  // why it is given up before the deadline, at the wake that is on its way
}

func (p *pendingTransfer) running() bool   { return p.request != nil }
func (p *pendingTransfer) hold(q *request) { p.held = append(p.held, q) }

func (p *pendingTransfer) start(r *replica, q *request) {
	if !q.take() {
		return
	}
	q.enter()
	switch {
	case r.leader.Leader == q.to && q.to != raft.None:
		q.Resolve(0, nil, nil)
		return
	case r.leader.Role != raft.Leader:
		q.refuse(&NotLeaderError{Leader: r.leader.Leader, Term: r.leader.Term})
		return
	case p.running():
		q.refuse(ErrTransferring)
		return
	}
	r.flush()
	p.request = q
	if fx := r.step(raft.Transfer{To: q.to}, nil); fx.Refused != nil {
		p.end(r, fx.Refused)
		return
	}
	p.run++
	p.failed = nil
	r.wakeAfter(r.cfg.TransferTimeout, &wake{transfer: p.run})
}

// expired gives the transfer up: proposals are taken again.
func (p *pendingTransfer) expired(r *replica, run uint64) {
	if !p.running() || run != p.run {
		return
	}
	late := cmp.Or(p.failed, fmt.Errorf("%w: node %d did not take over within %v", ErrTransferFailed, p.request.to, r.cfg.TransferTimeout))
	if r.leader.Role == raft.Leader {
		p.late = true
		r.step(raft.AbortTransfer{}, nil)
		p.late = false
	}
	p.end(r, late)
}

// leaderKnown ends the transfer when it turns out who leads after this replica. That may be itself again: then the proposals that are held become
// entries, for which it is too early amid the step that makes it leader.
func (p *pendingTransfer) leaderKnown(r *replica, leader raft.NodeID) {
	if !p.running() {
		return
	}
	if leader == p.request.to {
		p.end(r, nil)
		return
	}
	failed := fmt.Errorf("%w: node %d leads instead", ErrTransferFailed, leader)
	if leader == r.host.cfg.Node {
		p.failed = failed
		r.wakeAfter(0, &wake{transfer: p.run})
		return
	}
	p.end(r, failed)
}

// end answers the transfer and lets the held proposals go: into the log if this replica still leads, else to the new leader.
func (p *pendingTransfer) end(r *replica, err error) {
	if !p.running() {
		return
	}
	q := p.request
	p.request = nil
	q.Resolve(0, nil, err)
	for len(p.held) > 0 { // one by one: those that are left when taking one up panics are still known, and answered
		h := p.held[0]
		p.held = p.held[1:]
		r.request(h)
	}
	p.held = nil
}

// transferDone follows the rules' word on the transfer. Success is not told before the new leader is heard of. Nor is failure when this replica merely
// leads no more: the target's term may be heard of from others first.
func (r *replica) transferDone(done raft.TransferDone) {
	if done.Err != nil && !r.transfer.late && !errors.Is(done.Err, ErrNotLeader) {
		r.transfer.end(r, fmt.Errorf("%w: %w", ErrTransferFailed, done.Err))
	}
}
