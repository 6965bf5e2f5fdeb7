package actors

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/replication"
	"github.com/troupe-raft/troupe/snapshotter"
)

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
	h, t := r.host, &r.cfg.Tuning
	r.daemons = daemons{}
	turns := h.cfg.ApplyTurns
	if r.cfg.ApplyWaits {
		turns = nil
	}
	name := fmt.Sprintf("group-%d", r.cfg.Group)
	spawn := func(p *actor.Props) *actor.PID {
		pid := r.ctx.Spawn(p) // may panic in the user's StateMachine function: then there is nothing to wait for
		r.alive++
		return pid
	}
	r.applier = spawn(applier.Props(applier.Config{
		Group: r.cfg.Group, Stage: h.stage, Machine: r.cfg.machine(), Reader: h.reader, Log: h.logger("applier"), Inside: &r.handle.inside, Turns: turns,
		TurnBytes: t.ApplyTurnBytes, TurnTime: t.ApplyTurnTime, Stride: t.ApplyStride, ReadBytes: t.ApplyReadBytes, StallTime: t.BehindSnapshot, ReportEvery: r.cfg.lookEvery(),
	}))
	r.election = spawn(election.Props(election.Config{
		Stage: h.stage, Timeout: r.cfg.ElectionTimeout, Log: h.logger("election"), Name: name,
	}))
	r.syncer = spawn(replication.Props(replication.Config{
		Group: r.cfg.Group, Stage: h.stage, Sender: h.transport.Sender, Reader: h.reader,
		Pace: raft.Pace{
			MaxBytes: t.FollowerBytes, MinBytes: t.FollowerMinBytes, MaxMessages: t.FollowerMessages,
			QueueDelay: t.FollowerDelay, MeasureEvery: t.FollowerMeasure, AnswerMax: t.FollowerAnswer,
			RetryFirst: r.cfg.ElectionTimeout.Min, RetryMax: 4 * r.cfg.ElectionTimeout.Max,
		},
		MaxMessageBytes: t.MessageBytes, CacheBytes: t.CacheBytes, SettleAfter: t.SettleAfter, TellEvery: t.ProgressEvery, Restarts: t.Daemons.Limit, Window: t.Daemons.Window,
		Log: h.logger("replication"),
	}))
	every := r.cfg.SnapshotEvery
	if every == NoSnapshots || r.cfg.snapshotless() {
		every = 0
	}
	r.snapshotter = spawn(snapshotter.Props(snapshotter.Config{
		Group: r.cfg.Group, Node: h.cfg.Node, Stage: h.stage, FS: h.fs, Dir: h.snapshotDir(r.cfg.Group),
		Every: every, ChunkBytes: r.cfg.SnapshotChunk, PieceBytes: t.SnapshotPieceBytes, BufferBytes: t.SnapshotBufferBytes,
		RetryAfter: t.SnapshotRetry, Retries: t.SnapshotRetries, StallAfter: t.SnapshotStall, PauseFirst: t.SnapshotPause, PauseMax: t.SnapshotPauseMax,
		Sender: h.transport.Sender, Log: h.logger("snapshotter"),
	}))
}
