package actors

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/stage"
)

// Events leave a host in two steps, since a subscriber of the event stream may block, also for ever. The announcer takes what replicas
// tell, in order, keeps at most HostTuning.EventQueue of it, and never blocks. The publisher runs the subscribers, one event at a time.

// An announcement is an event on its way to the subscribers: group → announcer → publisher.
type announcement struct{ event any }

// published tells the announcer that the publisher is free again.
type published struct{}

// A flushEvents asks the announcer to close done once all that it had been told is published.
type flushEvents struct{ done chan struct{} }

// An announcer is the queue of events of one host. It is a child of the host's actor.
type announcer struct {
	host      *Host
	publisher *actor.PID
	log       *slog.Logger

	queue   []any
	busy    bool // the publisher has an event
	dropped uint64
	flushes []*flushEvents // answered when the queue is empty
}

func (a *announcer) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *announcement:
		a.take(m.event)
		a.next(ctx)
	case *published:
		a.busy = false
		a.next(ctx)
	case *flushEvents:
		a.flushes = append(a.flushes, m)
		a.next(ctx)
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		a.log.Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
}

// take queues an event; the oldest gives way when there is no room.
func (a *announcer) take(event any) {
	if len(a.queue) >= a.host.cfg.Tuning.EventQueue {
		a.queue[0] = nil
		a.queue = a.queue[1:]
		a.dropped++
		a.host.eventsDropped.Add(1)
	}
	a.queue = append(a.queue, event)
}

// next hands the oldest event to the publisher when that is free, and before it the number of those that are missing.
func (a *announcer) next(ctx actor.Context) {
	switch {
	case a.busy:
		return
	case a.dropped > 0:
		lost := &EventsDropped{Node: a.host.cfg.Node, Count: a.dropped}
		a.log.Warn("a subscriber of the event stream is slow or blocks: events were dropped", "dropped", lost.Count)
		a.dropped = 0
		a.publish(ctx, lost)
	case len(a.queue) > 0:
		event := a.queue[0]
		a.queue[0] = nil
		a.queue = a.queue[1:]
		a.publish(ctx, event)
	default:
		for _, f := range a.flushes {
			close(f.done)
		}
		a.flushes = nil
	}
}

func (a *announcer) publish(ctx actor.Context, event any) {
	a.busy = true
	ctx.Request(a.publisher, &announcement{event})
}

// A publisher runs the subscribers on its turn. It is an actor of the system's root: nobody waits for its end, which may never come.
type publisher struct {
	host *Host
	log  *slog.Logger
}

func (p *publisher) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *announcement:
		p.publish(m.event)
		ctx.Respond(&published{})
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		p.log.Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
}

// publish runs the subscribers. The panic of one is its own: the others hear of the next event all the same.
func (p *publisher) publish(event any) {
	defer func() {
		if reason := recover(); reason != nil {
			p.log.Error("a subscriber of the event stream panicked", "event", fmt.Sprintf("%T", event), "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
		}
	}()
	p.host.system.EventStream.Publish(event)
}

// announce tells the subscribers of the system's event stream. It never blocks.
func (h *Host) announce(event any) { h.system.Root.Send(h.announcer, &announcement{event}) }

// flushEvents waits until the subscribers have got all that was told so far, but no longer than HostTuning.FlushTime.
func (h *Host) flushEvents(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Tuning.FlushTime)
	defer cancel()
	f := &flushEvents{done: make(chan struct{})}
	h.system.Root.Send(h.announcer, f)
	select {
	case <-f.done:
	case <-ctx.Done():
		h.logger("raft").Warn("a subscriber of the event stream blocks: the host stops without it")
	}
}

// spawnPublisher starts the actor that runs the subscribers.
func (h *Host) spawnPublisher() *actor.PID {
	log := h.logger("raft")
	return h.system.Root.Spawn(stage.Props(h.stage, func() actor.Actor { return &publisher{host: h, log: log} }, stage.WithLogger(log)))
}

func (h *Host) announcerProps() *actor.Props {
	log := h.logger("raft")
	return stage.Props(h.stage, func() actor.Actor {
		return &announcer{host: h, publisher: h.publisher, log: log}
	}, stage.WithLogger(log))
}
