package actors

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/replication"
	"github.com/troupe-raft/troupe/snapshotter"
	"github.com/troupe-raft/troupe/stage"
)

// The supervision of daemons: a restart loses only pacing, so it comes quickly and backs off when it does not help.
const (
	restartFirst  = 10 * time.Millisecond
	restartMax    = time.Second
	restartJitter = 0.2
	restartLimit  = 10
	restartWindow = time.Minute
)

func backoff(s stage.Stage, log *slog.Logger) *stage.Backoff {
	return &stage.Backoff{
		Stage: s, First: restartFirst, Max: restartMax, Jitter: restartJitter,
		Limit: restartLimit, Window: restartWindow, Log: log,
	}
}

// HandleFailure supervises the daemons: the applier's panic ends this run of the replica (a bare restart would
// skip an entry), the others restart. It runs on the replica's own turn.
func (r *replica) HandleFailure(system *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, rs *actor.RestartStatistics, reason, message any) {
	lose(message)
	if child.Equal(r.applier) {
		supervisor.StopChildren(child)
		system.Root.Send(r.handle.pid.Load(), &daemonCrash{child: child, reason: reason})
		return
	}
	r.supervision.HandleFailure(system, supervisor, child, rs, reason, message)
}

// lose answers whoever waits for a message that a daemon panicked at: it comes no second time, and the daemon may not have noted it. If it
// has, it answers once more when it stops, which does nothing. Committed entries are noted here.
func lose(message any) {
	switch m := actor.UnwrapEnvelopeMessage(message).(type) {
	case *applier.Barrier:
		m.Dropped()
	case *snapshotter.Take:
		m.Dropped()
	}
}

// spawnDaemons starts the children of this run. Each reports OnDuty and gets its orders then.
func (r *replica) spawnDaemons() {
	h := r.host
	r.daemons = daemons{}
	name := fmt.Sprintf("group-%d", r.cfg.Group)
	spawn := func(p *actor.Props, err error) *actor.PID {
		if err != nil {
			panic(fmt.Errorf("actors: daemon configuration: %w", err))
		}
		pid := r.ctx.Spawn(p) // may panic in the user's StateMachine function: then there is nothing to wait for
		r.alive++
		return pid
	}
	r.applier = spawn(applier.Props(applier.Config{
		Group: r.cfg.Group, Stage: h.stage, Machine: r.cfg.machine(), Reader: h.reader, Log: h.logger("applier"),
	}), nil)
	r.election = spawn(election.Props(election.Config{
		Stage: h.stage, Timeout: r.cfg.ElectionTimeout, Log: h.logger("election"), Name: name,
	}), nil)
	r.syncer = spawn(replication.Props(replication.Config{
		Group: r.cfg.Group, Stage: h.stage, Sender: h.transport.Sender, Reader: h.reader,
		Pace: raft.Pace{
			MaxBytes: inflightBytes, MaxMessages: inflightMessages,
			RetryFirst: r.cfg.ElectionTimeout.Min, RetryMax: 4 * r.cfg.ElectionTimeout.Max,
		},
		Log: h.logger("replication"),
	}), nil)
	every := r.cfg.SnapshotEvery
	if every == NoSnapshots || r.cfg.snapshotless() {
		every = 0
	}
	r.snapshotter = spawn(snapshotter.Props(snapshotter.Config{
		Group: r.cfg.Group, Node: h.cfg.Node, Stage: h.stage, FS: h.fs, Dir: h.snapshotDir(r.cfg.Group),
		Every: every, ChunkBytes: r.cfg.SnapshotChunk, Sender: h.transport.Sender, Log: h.logger("snapshotter"),
	}), nil)
}

// What one follower may have unacknowledged.
const (
	inflightBytes    = 16 << 20
	inflightMessages = 256
)
