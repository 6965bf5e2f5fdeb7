package main

import (
	"context"
	"fmt"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/troupe-raft/troupe/demo/client"
	"github.com/troupe-raft/troupe/sim/history"
)

// challengers is how many of each kind, linearizable reads, lease reads and writes, ask a node that may take itself for the leader.
const challengers = 8

// A challenge is requests to one node that is about to lose its leadership without knowing: they lie in its sockets when it
// wakes up. They are part of the history, which tells whether the node answered what it must not.
type challenge struct {
	load    *traffic
	node    int
	askers  []asker
	answers sync.WaitGroup
}

// An asker is one client of the node alone.
type asker struct {
	client *client.Client
	op     history.Op
	read   string
}

// challenge connects clients to a node, and opens sessions for those that will write.
func (n *nemesis) challenge(node int) *challenge {
	n.t.Helper()
	c := &challenge{load: n.load, node: node}
	for i := range 3 * challengers {
		conn, via := n.load.dial(patience, node)
		a := asker{client: conn, read: linear, op: history.Op{Client: 50 + i, Via: via + " alone", Kind: history.Get, Key: pick(n.rand, both...)}}
		warm := a.op
		switch i % 3 {
		case 1:
			a.read = lease
		case 2:
			a.op.Kind, a.op.Arg, warm = history.Append, c.word(a.op), a.op
			warm.Kind, warm.Arg = history.Append, c.word(a.op)
		}
		if !n.load.ask(n.t.Context(), conn, warm, a.read, nil) {
			n.t.Errorf("node %d does not answer %v", node+1, &warm)
		}
		c.askers = append(c.askers, a)
	}
	return c
}

func (c *challenge) word(o history.Op) string {
	return history.Token(o.Client, int(c.load.words.Add(1)))
}

// send returns once all requests are on their way to the node.
func (c *challenge) send() {
	c.load.t.Helper()
	written := make(chan struct{}, len(c.askers))
	for _, a := range c.askers {
		var once sync.Once
		ctx := httptrace.WithClientTrace(c.load.t.Context(), &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { once.Do(func() { written <- struct{}{} }) },
		})
		c.answers.Go(func() { c.ask(ctx, a) })
	}
	timeout := time.After(patience)
	for range c.askers {
		select {
		case <-written:
		case <-timeout:
			c.load.t.Fatalf("node %d was not sent all requests", c.node+1)
		}
	}
	c.load.rec.Note(fmt.Sprintf("%d requests lie before node %d", len(c.askers), c.node+1))
}

func (c *challenge) ask(ctx context.Context, a asker) {
	if !c.load.ask(ctx, a.client, a.op, a.read, nil) {
		c.load.t.Errorf("node %d never answered %v", c.node+1, &a.op)
	}
	bye, cancel := context.WithTimeout(context.Background(), parting)
	defer cancel()
	_ = a.client.Close(bye) // an open session that nobody uses does no harm
}

// answered waits until every request has its answer, the right one or not.
func (c *challenge) answered() { c.answers.Wait() }
