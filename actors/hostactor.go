package actors

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/heartbeat"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/replication"
	"github.com/troupe-raft/troupe/stage"
)

// hostStopping tells a group to stop.
type hostStopping struct{}

// A hostActor supervises what the groups of a host share. The heartbeat restarts, and all leaders register again;
// a persister that panicked has an unknown disk behind it, so it stays down and all groups with it.
type hostActor struct {
	host        *Host
	supervision *stage.Backoff
	ready       chan shared
}

// shared are the children of the host's actor.
type shared struct{ persister, heartbeat, announcer *actor.PID }

func (a *hostActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.ready <- shared{ctx.Spawn(a.host.persisterProps()), ctx.Spawn(a.host.heartbeatProps()), ctx.Spawn(a.host.announcerProps())}
	case *heartbeat.OnDuty:
		a.host.tellGroups(ctx, m)
	case *heartbeat.Stalled:
		a.host.stalled(ctx, m)
	case *heartbeat.Resumed:
		a.host.resumed(ctx, m)
	case *stage.GaveUp:
		a.host.storeBroke(ctx, fmt.Errorf("%s kept crashing: %v", m.Child.Id, m.Reason))
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		a.host.logger("raft").Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
}

// HandleFailure implements actor.SupervisorStrategy for the children.
func (a *hostActor) HandleFailure(system *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, rs *actor.RestartStatistics, reason, message any) {
	if child.Equal(a.host.persister) {
		supervisor.StopChildren(child)
		a.host.storeBroke(system.Root, fmt.Errorf("persister panicked: %v", reason))
		return
	}
	a.supervision.HandleFailure(system, supervisor, child, rs, reason, message)
}

type sender interface{ Send(*actor.PID, any) }

// storeBroke stops every group of this host: none may vote, acknowledge or answer on a disk that cannot be trusted.
func (h *Host) storeBroke(ctx sender, err error) {
	h.broken.CompareAndSwap(nil, &err)
	h.tellGroups(ctx, &persister.StoreFailed{Err: err})
}

// running lists the groups in the order of their ids, so that a simulation can be replayed.
func (h *Host) running() []*Group {
	var running []*Group
	h.groups.Range(func(_, g any) bool {
		running = append(running, g.(*Group))
		return true
	})
	slices.SortFunc(running, func(a, b *Group) int { return cmp.Compare(a.id, b.id) })
	return running
}

// tellGroups sends to every replica.
func (h *Host) tellGroups(ctx sender, message any) {
	for _, g := range h.running() {
		if pid := g.PID(); pid != nil {
			ctx.Send(pid, message)
		}
	}
}

func (h *Host) persisterProps() *actor.Props {
	return persister.Props(h.stage, h.store, persister.WithLogger(h.logger("persister")),
		persister.WithBatchBytes(h.cfg.Tuning.WriteBytes), persister.WithInFlight(h.cfg.Tuning.WritesInFlight),
		persister.WithAnswers(h.cfg.Tuning.WaitingAnswers))
}

func (h *Host) heartbeatProps() *actor.Props {
	return heartbeat.Props(heartbeat.Config{
		Stage: h.stage, Interval: h.cfg.HeartbeatInterval, MaxBeats: h.cfg.Tuning.Beats, Stall: h.cfg.Tuning.LeaderStall,
		Sender: h.transport.Sender, Node: h.cfg.Node, Log: h.logger("heartbeat"),
	})
}

// spawnShared starts the host's own actors and waits until their PIDs are known.
func (h *Host) spawnShared() error {
	h.publisher = h.spawnPublisher()
	a := &hostActor{host: h, supervision: h.cfg.Tuning.Daemons.backoff(h.stage, h.logger("raft")), ready: make(chan shared, 1)}
	h.root = h.system.Root.Spawn(stage.Props(h.stage, func() actor.Actor { return a }, stage.WithLogger(h.logger("raft"))))
	if s, ok := h.stage.(stage.Driven); ok {
		s.Run(func() bool { return len(a.ready) > 0 }, math.MaxInt)
	}
	h.shared = <-a.ready
	return nil
}

// stopShared lets the persister finish what it has and stops the host's actors.
func (h *Host) stopShared() {
	if err := h.system.Root.PoisonFuture(h.persister).Wait(); err != nil {
		h.logger("persister").Error("persister did not stop in time", "err", err)
	}
	h.system.Root.Stop(h.publisher) // and not waited for: a subscriber may hold it for ever
	if err := h.system.Root.StopFuture(h.root).Wait(); err != nil {
		h.logger("raft").Error("host did not stop in time", "err", err)
	}
}

// register makes a replica known; a second one of its group is refused.
func (h *Host) register(r *replica) error {
	if err := h.suits(&r.cfg); err != nil {
		return err
	}
	if err := h.claim(r.handle); err != nil {
		return err
	}
	return h.storeFailure()
}

// claim makes a handle the one of its group on this host. Only once it is visible does it look whether the host is stopping: either the stop
// sees it, or it sees the stop. One that is refused must still end.
func (h *Host) claim(g *Group) error {
	had, loaded := h.groups.LoadOrStore(g.id, g)
	switch {
	case h.stopping.Load():
		return fmt.Errorf("group %d: host %d is stopping: %w", g.id, h.cfg.Node, ErrStopped)
	case loaded && had != g:
		return fmt.Errorf("group %d already runs on node %d", g.id, h.cfg.Node)
	}
	return nil
}

// route opens the way for peers' messages, unroute closes it.
func (h *Host) route(r *replica) {
	h.routes.Store(r.cfg.Group, &route{group: r.handle.PID(), syncer: r.syncer, snapshotter: r.snapshotter})
	h.mismatches.began(r.cfg.Group)
}

func (h *Host) unroute(r *replica) {
	if had, ok := h.routes.Load(r.cfg.Group); ok && had.(*route).group.Equal(r.handle.PID()) {
		h.routes.Delete(r.cfg.Group)
	}
}

// deliver sends what arrived to the mailboxes it is for. Messages for groups that do not run here are dropped, as
// a network drops them; when they keep coming, their sender is told.
func (h *Host) deliver(from raft.NodeID, batch []remote.Envelope) {
	root := h.system.Root
	for _, env := range batch {
		if pulse, ok := env.Message.(*remote.Pulse); ok {
			for i := range pulse.Beats {
				if to := h.routeOf(pulse.Beats[i].Group); to != nil {
					root.Send(to.group, &inbound{from: from, message: &pulse.Beats[i].Heartbeat})
				} else {
					h.missed(from, pulse.Beats[i].Group)
				}
			}
			continue
		}
		to := h.routeOf(env.Group)
		if to == nil {
			if _, told := env.Message.(*remote.Mismatch); !told {
				h.missed(from, env.Group)
			}
			continue
		}
		if reply, ok := env.Message.(*raft.AppendEntriesReply); ok {
			root.Send(to.syncer, &replication.Reply{From: from, Message: reply})
			continue
		}
		root.Send(to.group, &inbound{from: from, message: env.Message})
	}
}

func (h *Host) routeOf(g raft.GroupID) *route {
	r, ok := h.routes.Load(g)
	if !ok {
		return nil
	}
	return r.(*route)
}
