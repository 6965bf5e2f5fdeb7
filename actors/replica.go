package actors

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/heartbeat"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/replication"
	"github.com/troupe-raft/troupe/stage"
)

// A phase is how far a replica is in its life.
type phase uint8

const (
	loading phase = iota // waiting for the persister
	running              // takes part
	halting              // crashed: its daemons are being stopped, then it loads again
	failed               // down with a reason, until Restart
	leaving              // the actor is being stopped
)

// A replica is the RaftGroup actor: the one owner of raft.Node. Everything it knows is touched on its own mailbox only.
type replica struct {
	host   *Host
	cfg    GroupConfig
	handle *Group
	log    *slog.Logger
	votes  *slog.Logger // of the module election
	clock  stage.Clock
	ctx    actor.Context // of the message being handled

	phase   phase
	claimed bool // the group is this replica's on this host
	node    *raft.Node
	daemons
	crashes     crashes
	ending      func() // the end of a run that is being carried out
	supervision *stage.Backoff

	// What waits for the mailbox to run empty, to become one block or one read round.
	builder   entry.Builder
	batch     []*request
	flushes   uint64        // blocks sealed so far
	gathered  int64         // the first stamp in batch; 0: none
	gathering bool          // a wake is on its way, to seal what gathers behind blocks in flight
	reads     [2][]*request // by raft.Read, raft.LeaseRead
	changed   bool          // the status has to be published
	room      waitingRoom

	tail     tail
	waiting  []applier.Waiting // proposals in the log, not yet handed to the applier; ascending
	handed   []applier.Waiting // handed over, not yet known to be applied
	rounds   map[uint64][]*request
	lastRead uint64

	time      logTime
	progress  progress
	commit    raft.EntryID
	handedTo  raft.Index // last index given to the applier
	applied   raft.Index
	inFlight  []raft.Index // last indices of the blocks proposed here and not yet committed
	found     found
	inherited inheritance
	restarts  raft.SnapshotMeta // what a restart begins from: the newest that the disk knows, which may be older than the rules'
	inApplier int               // Committed messages that the applier has not reported done
	state     state
	wants     map[raft.NodeID]*want // of followers, while leading
	kept      raft.Kept             // of the log, for followers that are sent a snapshot
	letGoAt   time.Duration         // when it was looked at last whether they still need it
	beginning raft.Index            // of a leader's snapshot that the applier has not begun from: it gets nothing more until then; 0: none

	patience  uint64 // version of the election timer's last order
	leader    raft.RoleState
	feeding   []replication.Fed // the syncer's last word on it, while leading
	signed    time.Duration     // the last sign of life to the heartbeat
	change    pendingChange
	transfer  pendingTransfer
	effective raft.Change
	locations locations
	troubles  map[raft.NodeID]error // what keeps other nodes from working with this replica
	refused   uint64                // messages that no correct node sends
	refusals  map[refusal]bool      // of which the reason has been told
	outsider  bool                  // that this node is no founder has been told
	settled   raft.Membership       // the last one known to be committed
	settledAt raft.Index            // where that was set, plus 1
	removed   raft.Index            // by which this node is no member any more has been told; 0: nothing has
	toldBack  bool                  // that this node has gone back has been told to the rules
	target    raft.Index            // leading: what must be applied before the replica counts as caught up
	lag       lag                   // behind the leader
}

// daemons are the children of one run of the replica.
type daemons struct {
	applier, election, syncer, snapshotter *actor.PID
	alive                                  int
}

// An inbound is a message from a peer, off the transport.
type inbound struct {
	from    raft.NodeID
	message any
}

// Receive only dispatches. A panic here is this replica's crash, and nobody else's: it never reaches the
// supervisor of whoever spawned the group.
func (r *replica) Receive(ctx actor.Context) {
	r.ctx = ctx
	switch ctx.Message().(type) {
	case *actor.Stopping, *actor.Restarting, *actor.Stopped:
		r.farewell(ctx.Message())
		return
	}
	defer r.survive()
	switch m := ctx.Message().(type) {
	case *actor.Started:
		r.start()
	case *actor.Terminated:
		r.childGone(m.Who)
	case *daemonCrash:
		r.daemonCrashed(m)
	case *stage.GaveUp:
		r.crash(fmt.Errorf("daemon %s kept crashing: %v", m.Child.Id, m.Reason))
	case *persister.StoreFailed:
		r.fail(fmt.Errorf("log cannot be written: %w", m.Err))
	case *hostStopping:
		ctx.Stop(ctx.Self())
	case *wake:
		r.wake(m)
	case *request:
		r.request(m)
	case *stage.Drained:
		r.drained()
	case actor.SystemMessage, actor.AutoReceiveMessage, *actor.DeadLetterResponse:
	default:
		r.receiveWork(m)
	}
}

// receiveWork handles what only a running replica may take; before and after, peers and daemons are not listened to.
func (r *replica) receiveWork(message any) {
	if l, ok := message.(*persister.Loaded); ok {
		r.loaded(l)
		return
	}
	message = pointer(message)
	if q := r.fromActor(message); q != nil {
		r.request(q)
		return
	}
	if _, ok := message.(*GetStatus); ok {
		r.status()
		return
	}
	if r.phase != running {
		if !ours(message) {
			r.unknown(message)
		}
		return
	}
	switch m := message.(type) {
	case *inbound:
		r.receivePeer(m)
	case *persister.Persisted:
		r.step(raft.Persisted(m.Ack), nil)
		r.settle()
	case *persister.Compacted:
		r.compacted(m)
	case *replication.Matched:
		for i := range m.Acks {
			r.step(m.Acks[i], nil)
		}
	case *replication.Refusal:
		r.step(raft.Received{From: m.From, Message: m.Message}, nil)
	case *replication.Halted:
		if rotten := (*persister.CorruptError)(nil); errors.As(m.Err, &rotten) || r.leader.Role == raft.Leader && m.Term == r.leader.Term {
			r.fail(fmt.Errorf("log cannot be read: %w", m.Err))
		}
	case *replication.Feeding:
		if r.leader.Role == raft.Leader && m.Term == r.leader.Term {
			r.feeding, r.changed = m.Followers, true
		}
	case *replication.NeedSnapshot:
		r.sendSnapshot(m)
	case election.Elapsed:
		if m.Seq == r.patience {
			r.readClocks() // a leader's, now and then
			r.step(raft.Elapsed{}, nil)
		}
	case *heartbeat.Probe:
		r.probed(m)
	case *heartbeat.Resumed:
		r.resume(m)
	case *locate:
		r.locate()
	case *letGo:
		r.letGo()
	case *identityMoved:
		r.identityMoved(m.peer)
	case *applier.Applied:
		r.appliedTo(m.Index, m.Stamp)
	case *applier.Progress:
		r.progressTo(m.Index)
	case *applier.Begun:
		r.begun(m)
	case *applier.Unreadable:
		r.stateLost(m)
	case *applier.Broken:
		r.fail(m.Err)
	default:
		r.receiveSnapshotter(m)
	}
}

// receivePeer steps a peer's message. Bulk chunks go to the snapshotter once their term is known to be no older.
func (r *replica) receivePeer(in *inbound) {
	switch m := in.message.(type) {
	case *remote.AppendBlocks:
		r.step(raft.Received{From: in.from, Message: &m.AppendEntries}, m.Blocks)
	case *remote.SnapshotChunk:
		r.receiveChunk(in.from, m)
	case *remote.SnapshotChunkReply:
		r.receiveChunkReply(in.from, m)
	case *remote.Mismatch:
		r.mismatched(in.from, m)
	case *remote.Location:
		r.toldLocation(in.from, m)
	case raft.Message:
		if _, beat := m.(*raft.Heartbeat); beat {
			r.tellProgress()
		}
		fx := r.step(raft.Received{From: in.from, Message: m}, nil)
		if reply, ok := m.(*raft.HeartbeatReply); ok && fx.Impossible == nil {
			r.heard(in.from, reply.Term)
			r.wanted(in.from, reply)
		}
	default:
		r.log.Warn("unexpected message from peer", "from", in.from, "type", fmt.Sprintf("%T", m))
	}
}

// heard tells the syncer of a follower that is behind and answers.
func (r *replica) heard(from raft.NodeID, term raft.Term) {
	if term != r.leader.Term {
		return
	}
	if match, _, ok := r.node.Follower(from); ok && match < r.node.LastIndex() {
		r.ctx.Send(r.syncer, &replication.Heard{Term: term, Peer: from})
	}
}

// now is the clock of all rules.
func (r *replica) now() time.Duration { return r.clock.Now() }

// survive turns a panic into this replica's crash or, when a rule was broken, its end.
func (r *replica) survive() {
	p := recover()
	if p == nil {
		return
	}
	err, ok := p.(error)
	if !ok {
		err = fmt.Errorf("panic: %v", p)
	}
	r.log.Error("replica panicked", "err", err, "stack", string(debug.Stack()))
	if how := r.ending; how != nil {
		r.ending = nil
		how()
		return
	}
	var broken *raft.BrokenInvariant
	if errors.As(err, &broken) {
		r.fail(err)
		return
	}
	r.crash(err)
}
