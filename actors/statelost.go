package actors

import (
	"cmp"
	"fmt"
	"time"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/snapshotter"
)

// A replica whose snapshot cannot be read when its state machine is to begin from it goes on without one: it votes and acknowledges, and asks its
// leader, in its answers to heartbeats, for another snapshot. Until the state machine stands there nothing is applied, and it does not lead
// (docs/decisions/0023). A restart on the way finds the same again.

// A StateLostError says that a replica has no state: the snapshot at Index, from which its state machine was to begin, cannot be read. It waits for
// one of its leader's. While none of the voters has a state nobody can lead.
type StateLostError struct {
	Index raft.Index
	Err   error
}

func (e *StateLostError) Error() string {
	return fmt.Sprintf("%v: this replica cannot lead, and applies nothing, until its leader has sent it another snapshot", e.Err)
}

// Unwrap returns what is wrong with the file.
func (e *StateLostError) Unwrap() error { return e.Err }

// A state is what a replica knows of whether its state machine has one.
type state struct {
	ordered   raft.Index      // of the latest snapshot that the applier was told to begin from
	lost      *StateLostError // nil: it has, or is about to
	restoring bool            // it is lost, and the applier was told to begin from another snapshot
	begins    bool            // the applier was told to begin from a snapshot, and has not
}

// waits says that there is nothing to begin from.
func (s *state) waits() bool { return s.lost != nil && !s.restoring }

// stateLost follows a snapshot that cannot be read. The only voter has nobody to ask.
func (r *replica) stateLost(m *applier.Unreadable) {
	if m.Meta.Index != r.state.ordered {
		return // a newer one is to come
	}
	if sole(r.effective.Membership, r.host.cfg.Node) {
		r.fail(m.Err)
		return
	}
	r.state.lost, r.state.restoring = &StateLostError{Index: m.Meta.Index, Err: m.Err}, false
	r.beginning = m.Meta.Index // the applier takes nothing
	r.applied, r.progress.told = 0, 0
	for _, w := range append(r.handed, r.waiting...) { // another snapshot may hold their effects, and no results
		w.Waiter.Resolve(0, nil, ErrIndeterminate)
	}
	r.handed, r.waiting = nil, nil
	r.log.Error("snapshot cannot be read, and there is no other one to begin from: this replica waits for one of its leader's", "index", uint64(m.Meta.Index), "err", m.Err)
	r.host.announce(&SnapshotUnusable{Node: r.host.cfg.Node, Group: r.cfg.Group, Index: m.Meta.Index, Err: m.Err})
	r.step(raft.StateLost{Wants: r.snapshotMeta().Index}, nil)
	r.wantState()
	r.publish()
}

// wantState has the snapshotter take what it has for lost.
func (r *replica) wantState() {
	if r.state.waits() {
		r.ctx.Send(r.snapshotter, &snapshotter.Want{Index: r.snapshotMeta().Index})
	}
}

// received installs a leader's snapshot, and begins from it if there is no state.
func (r *replica) received(m *snapshotter.Received) {
	fx := r.step(raft.Received{From: m.From, Message: &raft.InstallSnapshot{Term: m.Term, Leader: m.Leader, Snapshot: m.Meta}}, nil)
	if r.phase != running || r.state.lost == nil || fx.Impossible != nil {
		return
	}
	switch {
	case fx.Reset != nil: // the applier has its order
	case r.state.restoring || m.Here || m.Meta.Index > r.node.CommitIndex():
		return
	default:
		if !r.fits(m.Meta) || m.Meta.Index > r.snapshotMeta().Index && !r.compact(m.Meta) {
			r.wantState()
			return
		}
		r.beginAgain(m.Meta)
	}
	r.state.restoring = true
	r.step(raft.StateLost{}, nil)
}

// fits says whether the log goes on from a snapshot of what is committed. Who sent it may lead no more, so that the rules have not looked at it.
func (r *replica) fits(meta raft.SnapshotMeta) bool {
	term, known := r.node.TermAt(meta.Index)
	return meta.Index >= r.snapshotMeta().Index && known && term == meta.Term && r.node.MembershipAt(meta.Index).Equal(meta.Membership)
}

// stateRestored: the state machine stands at a snapshot.
func (r *replica) stateRestored(at raft.Index) {
	if r.state.lost == nil || at != r.state.ordered {
		return
	}
	r.state.lost, r.state.restoring = nil, false
	r.log.Info("the state machine has begun from a snapshot of the leader's", "index", uint64(at))
	r.step(raft.StateRestored{}, nil)
	r.publish()
}

// A want is a follower's, of a snapshot.
type want struct {
	sending bool
	next    time.Duration // none is sent before
}

// wanted sends a follower the snapshot that it asks for. Its log may be level with the leader's: the syncer, which feeds it, has no part in this.
func (r *replica) wanted(from raft.NodeID, m *raft.HeartbeatReply) {
	if m.Wants == 0 {
		delete(r.wants, from)
		return
	}
	if _, _, member := r.node.Follower(from); !member || !r.leads(m.Term) || r.applied < m.Wants {
		return // what is not applied here is in no snapshot of this node's
	}
	w := r.wants[from]
	if w == nil {
		w = &want{}
		if r.wants == nil {
			r.wants = map[raft.NodeID]*want{}
		}
		r.wants[from] = w
	}
	if !w.sending && r.now() >= w.next {
		w.sending = true
		r.offer(&snapshotter.Send{Peer: from, Term: m.Term, Leader: r.host.cfg.Node, AtLeast: m.Wants})
	}
}

// offered: a follower that still wants a snapshot gets it again, but not at once. It may have no room for it.
func (r *replica) offered(to raft.NodeID) {
	if w := r.wants[to]; w != nil {
		w.sending, w.next = false, r.now()+cmp.Or(r.cfg.Tuning.SnapshotPause, time.Second)
	}
}
