package main

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
)

// senders make, for each path, the function that sends n requests without waiting for their answers, and the one that ends what it uses.
var senders = map[string]func(*generator) (send func(n int), done func()){
	"facade":      func(g *generator) (func(int), func()) { return g.goroutines(g.propose) },
	"facade-read": func(g *generator) (func(int), func()) { return g.goroutines(g.read) },
	"actor":       func(g *generator) (func(int), func()) { return g.actors(&actors.Propose{Data: g.data}) },
	"actor-read":  func(g *generator) (func(int), func()) { return g.actors(&actors.Read{}) },
}

func (g *generator) propose(ctx context.Context) error {
	_, err := g.cluster.nodes[g.cluster.leader].group.Propose(ctx, g.data)
	return err
}

func (g *generator) read(ctx context.Context) error {
	_, err := g.cluster.nodes[g.cluster.leader].group.Read(ctx)
	return err
}

// goroutines sends each request from a goroutine of its own, which waits for the answer.
func (g *generator) goroutines(ask func(context.Context) error) (send func(int), done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	one := func(shard int) {
		for next := true; next; {
			since := time.Now()
			err := ask(ctx)
			next = g.answered(shard, since, errors.Is(err, actors.ErrBusy), err != nil) && ctx.Err() == nil
		}
	}
	return func(n int) {
		for i := range n {
			go one(i)
		}
	}, cancel
}

// senderActors is how many actors send.
const senderActors = 16

// A burst tells a sender actor to send so many requests.
type burst int

// actors sends from a few actors, which count the answers. A request's age is not known to who answers it, so that each actor keeps the times at
// which it sent, in order; answers come in nearly the same order.
func (g *generator) actors(message any) (send func(int), done func()) {
	to := g.cluster.nodes[g.cluster.leader].group.PID()
	root := g.cluster.nodes[g.cluster.leader].system.Root
	var pids []*actor.PID
	for i := range senderActors {
		var sent []time.Time
		request := func(c actor.Context) {
			sent = append(sent, time.Now())
			c.Request(to, message)
		}
		answered := func(c actor.Context, busy, failed bool) {
			since := sent[0]
			if sent = sent[1:]; g.answered(i, since, busy, failed) {
				request(c)
			}
		}
		pids = append(pids, root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
			switch m := c.Message().(type) {
			case burst:
				for range m {
					request(c)
				}
			case *actors.Proposed, *actors.ReadPoint:
				answered(c, false, false)
			case *actors.Refused:
				answered(c, errors.Is(m.Err, actors.ErrBusy), true)
			case *actor.DeadLetterResponse:
				answered(c, false, true)
			}
		})))
	}
	return func(n int) {
			for i, pid := range pids {
				if share := burst((n + i) / len(pids)); share > 0 {
					root.Send(pid, share)
				}
			}
		}, func() {
			for _, pid := range pids {
				_ = root.StopFuture(pid).Wait()
			}
		}
}
