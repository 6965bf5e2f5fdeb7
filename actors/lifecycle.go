package actors

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/heartbeat"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/replication"
	"github.com/troupe-raft/troupe/snapshotter"
)

// A wake is a timer of the replica's own that ran out.
type wake struct {
	transfer uint64 // a transfer's deadline
	reload   uint64 // a crashed replica's pause is over
	room     bool   // who waits for room may have waited long enough
	credit   bool   // credit came back while requests wait for it
	gathered bool   // proposals have gathered long enough, unless flushes says that they went out
	flushes  uint64
	progress uint64 // the state machine may have been at one entry for long
}

// A daemonCrash tells the replica that a child whose loss is the whole replica's crash has panicked.
type daemonCrash struct {
	child  *actor.PID
	reason any
}

// crashes counts crashes within a window.
type crashes struct {
	times []time.Duration
	run   uint64 // counts the runs that ended: a wake is good for the pause after its own
}

var errSnapshotterRestarted = errors.New("snapshotter restarted")

// start registers the replica and asks the disk what it knows.
func (r *replica) start() {
	r.handle.pid.Store(r.ctx.Self())
	switch err := r.host.register(r); {
	case errors.Is(err, ErrStopped):
		r.ctx.Stop(r.ctx.Self())
		return
	case err != nil:
		r.fail(err)
		return
	}
	r.claimed = true
	r.warn()
	r.load()
}

func (r *replica) load() {
	r.phase = loading
	s := r.handle.Status()
	s.Phase, s.NextTry = Starting, time.Time{}
	r.handle.status.Store(&s)
	r.ctx.Send(r.host.persister, &persister.Load{Group: r.cfg.Group, Founding: r.cfg.founding(r.host.cfg), ReplyTo: r.ctx.Self()})
}

// loaded builds the rules from what the disk held and brings the daemons up. Nothing is answered before.
func (r *replica) loaded(l *persister.Loaded) {
	if r.phase != loading {
		return
	}
	if l.Err != nil {
		r.fail(l.Err)
		return
	}
	node, err := raft.New(r.host.raftConfig(&r.cfg), l.State, r.now())
	if err != nil {
		r.fail(err)
		return
	}
	r.time.begin(r.now(), l.State.Snapshot.Index, node.LastIndex(), l.State.Stamp)
	r.begin(node, l.State.Snapshot, l.State.Bytes)
}

// begin resets everything else that one run of the replica knows. Of the log that the disk held it gets the size.
func (r *replica) begin(node *raft.Node, snapshot raft.SnapshotMeta, bytes int) {
	r.node, r.phase = node, running
	r.builder = entry.Builder{}
	r.tail.clear()
	r.waiting, r.handed, r.inFlight = nil, nil, nil
	r.feeding, r.wants, r.kept = nil, nil, r.keepsNothing()
	r.state = state{}
	r.found, r.inherited = found{last: node.LastIndex(), bytes: bytes}, inheritance{}
	r.rounds = map[uint64][]*request{}
	r.progress = progress{run: r.progress.run + 1}
	s := node.Status()
	r.leader = raft.RoleState{Role: s.Role, Term: s.Term}
	r.commit = raft.EntryID{Index: snapshot.Index, Term: snapshot.Term}
	r.handedTo, r.applied, r.inApplier, r.beginning = snapshot.Index, 0, 0, 0
	r.host.learnAddresses(r.effective.Membership, node.Membership())
	r.effective = raft.Change{Membership: node.Membership()}
	r.restarts = snapshot
	r.warnOutsider()
	r.spawnDaemons()
	r.orderApplier(snapshot)
	r.host.route(r)
	r.publish()
	r.host.guard.inForce(node.Membership())
	r.settled, r.settledAt, r.toldBack = undropped(node.MembershipAt(r.commit.Index), node.Membership()), 0, false
	r.settle()
	r.greetAll()
	r.identityMoved(r.host.cfg.Node)
	if sole(r.effective.Membership, r.host.cfg.Node) {
		r.step(raft.Campaign{}, nil)
	}
}

// sole says whether a node is the only voter, which need not wait for anybody.
func sole(m raft.Membership, id raft.NodeID) bool {
	return len(m.Outgoing) == 0 && len(m.Voters) == 1 && m.Voters[0] == id
}

// orderApplier tells the applier where to start: the persisted snapshot.
func (r *replica) orderApplier(meta raft.SnapshotMeta) {
	r.ctx.Send(r.applier, r.beginApplier(meta))
}

// onDuty answers a daemon that started or restarted with its orders.
func (r *replica) onDuty(message any) {
	switch message.(type) {
	case *election.OnDuty:
		if r.node.Role() != raft.Learner {
			r.patience++
			r.ctx.Send(r.election, election.Arm{Seq: r.patience})
		}
	case *replication.OnDuty:
		if r.leader.Role == raft.Leader {
			r.lead()
		}
	case *heartbeat.OnDuty: // the one before may have had the syncer rest
		if r.leader.Role == raft.Leader {
			r.lead()
		}
	case *snapshotter.OnDuty: // its orders name what the disk knows: removing older files sooner would leave a restart without any
		r.ctx.Send(r.snapshotter, &snapshotter.Orders{Term: r.leader.Term, Snapshot: r.restarts})
		// A snapshotter that restarted has forgotten whom it was sending to: the syncer may ask again.
		r.ctx.Send(r.syncer, &replication.SnapshotDone{Err: errSnapshotterRestarted})
		r.wants = nil
		r.kept.AllSent(r.now())
		r.wantState()
	case *applier.OnDuty:
		// Its orders were the first message in its mailbox.
	default:
		r.unknown(message)
	}
}

// crash ends this run of the replica: everybody who waits is answered, the daemons stop, and after a pause the replica loads again
// from the disk, its state machine from the latest snapshot. Too many crashes in a window and it stays down.
func (r *replica) crash(reason error) {
	if r.phase >= halting {
		return
	}
	r.log.Error("replica crashed", "reason", reason)
	if r.cfg.NoRestart {
		r.fail(fmt.Errorf("crashed, which GroupConfig.NoRestart makes final: %w", reason))
		return
	}
	now, limits := r.now(), r.cfg.Tuning.Crashes
	r.crashes.times = append(r.crashes.times, now)
	for len(r.crashes.times) > 0 && now-r.crashes.times[0] > limits.Window {
		r.crashes.times = r.crashes.times[1:]
	}
	if len(r.crashes.times) > limits.Limit {
		r.fail(fmt.Errorf("crashed %d times within %v, last: %w", len(r.crashes.times), limits.Window, reason))
		return
	}
	r.end(func() {
		r.halt(halting, reason)
		r.host.announce(&ReplicaRestarted{Node: r.host.cfg.Node, Group: r.cfg.Group, Reason: reason})
		if r.alive == 0 {
			r.pause()
		}
	})
}

// end carries out the end of a run. One that panics on its way is carried out again: every part of it may happen twice.
func (r *replica) end(how func()) {
	r.ending = how
	how()
	r.ending = nil
}

// fail takes the replica down for good, with a reason that Status shows.
func (r *replica) fail(reason error) {
	if r.phase >= failed {
		return
	}
	r.log.Error("replica failed", "reason", reason)
	r.end(func() {
		r.halt(failed, reason)
		r.host.failed(r.cfg.Group, reason)
		r.host.announce(&ReplicaFailed{Node: r.host.cfg.Node, Group: r.cfg.Group, Reason: reason})
	})
}

// halt stops taking part at once.
func (r *replica) halt(to phase, reason error) {
	r.phase = to
	r.crashes.run++ // a wake that is still on its way from an earlier crash must not load before this run's daemons are gone
	if r.claimed {  // a second replica of a group was refused, and must not touch what the first one has
		r.host.unroute(r)
		r.ctx.Send(r.host.persister, &persister.Release{Group: r.cfg.Group})
	}
	if r.node != nil { // whatever r.leader says: a panic amid the end of a leadership comes after that and before the heartbeat hears of it
		r.ctx.Send(r.host.heartbeat, &heartbeat.Rest{Group: r.cfg.Group, Term: r.node.Term()})
	}
	r.answerAll(ErrStopped)
	for _, pid := range []*actor.PID{r.applier, r.election, r.syncer, r.snapshotter} {
		if pid != nil {
			r.ctx.Stop(pid)
		}
	}
	s := Status{Node: r.host.cfg.Node, Group: r.cfg.Group, Stopped: true, Err: reason, Phase: to.public()}
	if r.node != nil {
		s.Term = r.node.Term()
	}
	r.handle.status.Store(&s)
}

// answerAll ends every wait: what is not in the log is refused, the rest is unknown.
func (r *replica) answerAll(refusal error) {
	refuseAll(r.batch, refusal)
	refuseAll(r.reads[0], refusal)
	refuseAll(r.reads[1], refusal)
	for _, round := range slices.Sorted(maps.Keys(r.rounds)) {
		refuseAll(r.rounds[round], refusal)
	}
	for _, w := range append(r.handed, r.waiting...) {
		w.Waiter.Resolve(0, nil, ErrIndeterminate)
	}
	r.refuseWaiting(refusal)
	r.change.fail(ErrIndeterminate)
	refuseAll(r.transfer.held, refusal)
	if r.transfer.request != nil {
		r.transfer.request.refuse(ErrIndeterminate)
	}
	r.batch, r.reads, r.rounds, r.handed, r.waiting = nil, [2][]*request{}, nil, nil, nil
	r.transfer.request, r.transfer.held = nil, nil
}

// childGone counts the daemons down; the last one of a crashed run lets the next begin.
func (r *replica) childGone(*actor.PID) {
	r.alive--
	if r.phase == halting && r.alive == 0 {
		r.pause()
	}
}

// pause waits a little, longer from crash to crash, before the replica loads again.
func (r *replica) pause() {
	wait := r.cfg.Tuning.Crashes.pause(len(r.crashes.times))
	s := r.handle.Status()
	s.NextTry = r.clock.Wall().Add(wait)
	r.handle.status.Store(&s)
	r.wakeAfter(wait, &wake{reload: r.crashes.run})
}

// public is the phase as Status has it.
func (p phase) public() Phase {
	return [...]Phase{loading: Starting, running: Running, halting: Restarting, failed: Failed, leaving: Left}[p]
}

// restart is an operator's wish to start a failed replica again.
func (r *replica) restart(q *request) {
	if r.phase == failed && r.host.storeFailure() == nil {
		r.crashes.times = nil
		if r.alive == 0 {
			r.start()
		} else {
			r.phase = halting // the last daemon to leave starts it
		}
	}
	q.Resolve(0, nil, r.host.storeFailure())
}

func (r *replica) wake(w *wake) {
	switch {
	case w.transfer != 0:
		r.transfer.expired(r, w.transfer)
	case w.room:
		r.room.timer = false // drained, which follows, looks
	case w.credit: // likewise
	case w.gathered:
		r.gathering = false
		if r.phase == running && w.flushes == r.flushes {
			r.flush()
		}
	case w.progress != 0:
		r.lookAtProgress(w.progress)
	case w.reload == r.crashes.run && r.phase == halting:
		r.load()
	}
}

// wakeAfter sends the replica a message when d has passed.
func (r *replica) wakeAfter(d time.Duration, w *wake) {
	root, self := r.host.system.Root, r.ctx.Self()
	r.clock.AfterFunc(d, func() { root.Send(self, w) })
}

func (r *replica) downError() error {
	if err := r.handle.Status().Err; err != nil {
		return errors.Join(ErrStopped, err)
	}
	return ErrStopped
}

// farewell is the actor's own end. A panic here would resurrect or hang it, and the stage's guard swallows one.
func (r *replica) farewell(message any) {
	switch message.(type) {
	case *actor.Stopping, *actor.Restarting:
		if r.phase == loading || r.phase == running {
			r.halt(leaving, nil)
		}
		r.phase = leaving
		if _, again := message.(*actor.Restarting); again { // its parent's wish: the next incarnation has a handle of its own
			r.handle.end()
		}
	case *actor.Stopped:
		r.handle.end()
	}
}

// daemonCrashed is the applier's panic: a bare restart of it would skip an entry, so the replica restarts as a whole.
func (r *replica) daemonCrashed(m *daemonCrash) {
	err, ok := m.reason.(error)
	if !ok {
		err = fmt.Errorf("%v", m.reason)
	}
	r.crash(fmt.Errorf("%s: %w", m.child.Id, err))
}
