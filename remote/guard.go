package remote

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A Call is what a node says of itself when it calls.
type Call struct {
	raft.Incarnation
	// Counted: some node has let this very start in.
	Counted bool
}

// A Guard tells the starts and folders of nodes apart (raft.Acquaintance). Its methods are safe for concurrent use, and are called by the
// goroutines of connections.
type Guard interface {
	// Self is this start of this node. Others do not learn of it as a caller's before Speak has returned it.
	Self() raft.Incarnation
	// Speak is Self once it is durable. An error keeps this node from calling anybody.
	Speak() (raft.Incarnation, error)
	// Counted says whether some node has let this start in, as Counts has told.
	Counted() bool
	// Known is how a node was met last: it is told so.
	Known(raft.NodeID) raft.Acquaintance
	// Greeted judges a node that calls (raft.Acquaintance.Greet), and remembers it before it returns. What p finds out
	// may take Config.ProbeTimeout and longer. An error refuses the connection; one with a standing that does not count
	// is let in all the same, for what Pass lets through. Calls in the name of one node do not overlap.
	Greeted(node raft.NodeID, call Call, p raft.Prober) (raft.Standing, error)
	// Entered says that a connection was let in, with that standing.
	Entered(raft.NodeID, raft.Incarnation, raft.Standing)
	// Pass takes out of a batch what this node must not listen to. It may change the batch.
	Pass(raft.NodeID, raft.Incarnation, []Envelope) []Envelope
	// Judged says what another node, which runs as judge, makes of a start of this one.
	Judged(by raft.NodeID, judge, start raft.Incarnation, standing raft.Standing)
}

// A Guarded is a Transport of another's making that has a guard look at who calls, as TCP does. A host gives it the guard before Start.
type Guarded interface {
	SetGuard(Guard)
}

// asking is the lane of a call that only wants to know who answers.
const asking Lane = 0xff

// A standingError refuses a connection for what the caller is.
type standingError struct {
	standing raft.Standing
	error
}

// callers serialises the calls in the name of each node.
type callers struct {
	mu   sync.Mutex
	busy map[raft.NodeID]chan struct{}
}

// enter waits for its turn. It fails with the context's cause.
func (c *callers) enter(ctx context.Context, node raft.NodeID) error {
	for {
		c.mu.Lock()
		before, busy := c.busy[node]
		if !busy {
			if c.busy == nil {
				c.busy = map[raft.NodeID]chan struct{}{}
			}
			c.busy[node] = make(chan struct{})
		}
		c.mu.Unlock()
		if !busy {
			return nil
		}
		select {
		case <-before:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *callers) leave(node raft.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.busy[node])
	delete(c.busy, node)
}

// greeting is what this node says of itself to another one. Nothing without a guard.
func (c *Config) greeting(to raft.NodeID) (p person, err error) {
	p.founders = c.Founders
	if c.Guard == nil {
		return p, nil
	}
	if p.self, err = c.Guard.Speak(); err != nil {
		return p, fmt.Errorf("remote: %w", err)
	}
	p.counted, p.known = c.Guard.Counted(), c.Guard.Known(to)
	return p, nil
}

// told passes on what a caller knows of this node. It is not heard before the caller is known to be no copy: that knows others as they were when it was made.
// Nor is one that only asks, which does not say who it is.
func (c *Config) told(h *hello) {
	if c.Guard == nil {
		return
	}
	self := c.Guard.Self()
	if s := h.known.Judge(self, false); !s.Counts() {
		c.Guard.Judged(h.from, h.self, self, s)
	}
}

// identify judges a caller, whose turn it is.
func (t *TCP) identify(h *hello, in *inbound) error {
	g := t.cfg.Guard
	if g == nil {
		return nil
	}
	in.judge = g.Self()
	standing, err := g.Greeted(h.from, Call{h.self, h.counted}, prober{in, h})
	if err != nil {
		return &standingError{standing, err}
	}
	in.start, in.standing = h.self, standing
	return nil
}

// Why nobody is judged yet.
var (
	// What arrives on a connection may have been under way when the process behind it died.
	errBusyConnection = errors.New("another start of the node was connected, and it is not sure yet whether that has ended: call again")
	// What the caller said may be older than what is known of its node.
	errCallerGone = errors.New("the caller does not show that it is still there, which it has to before it is judged: call again")
)

// A prober finds out who lives besides the caller of in, and whether that does. It implements raft.Prober.
type prober struct {
	in *inbound
	h  *hello
}

// Caller implements raft.Prober: the caller has to greet again, with a number that it could not know before.
func (p prober) Caller() error {
	in, cfg := p.in, &p.in.t.cfg
	defer func() { _ = in.raw.SetDeadline(time.Now().Add(cfg.HandshakeTimeout)) }()
	_ = in.raw.SetDeadline(time.Now().Add(cfg.ProbeTimeout))
	ask := verdict{speaks: cfg.speaks, reason: "show that you are still there", challenge: rand.Uint64() | 1}
	if _, err := in.conn.Write(ask.append(nil)); err != nil {
		return errCallerGone
	}
	again, _, err := readHello(in.conn, cfg.speaks)
	if err != nil || again.proof != ask.challenge || again.from != p.h.from || again.self != p.h.self {
		return errCallerGone
	}
	return nil
}

// Another implements raft.Prober: another start of the caller's node may live on a connection, or where the node is known to listen.
// Connections of starts that do not live are ended.
func (p prober) Another() (bool, error) {
	t, h := p.in.t, p.h
	t.mu.Lock()
	var others []*inbound
	for s, in := range t.slots {
		if s.from == h.from && in.start != h.self {
			others = append(others, in)
		}
	}
	t.mu.Unlock()
	var wg sync.WaitGroup
	found := make([]sign, len(others))
	for i, in := range others {
		wg.Go(func() { found[i] = in.answers(t.cfg.ProbeTimeout) })
	}
	wg.Wait()
	switch {
	case slices.Contains(found, answered):
		return true, nil
	case slices.Contains(found, heard):
		return false, errBusyConnection
	}
	for _, in := range others {
		in.cancel(errReplaced)
		<-in.done
	}
	return t.others(h.from, h.self), nil
}

// others asks wherever a node may listen which starts of it are there, and reports whether one is on that folder which is not self. One on another
// folder may be the caller, which knows by now that it is a copy.
func (t *TCP) others(node raft.NodeID, self raft.Incarnation) bool {
	p := t.known(node)
	ctx, cancel := context.WithTimeoutCause(t.ctx, t.cfg.ProbeTimeout, errors.New("remote: no answer in time"))
	defer cancel()
	places := p.places.list()
	there := make([]raft.Incarnation, len(places))
	var wg sync.WaitGroup
	for i, addr := range places {
		wg.Go(func() { there[i] = t.whoIs(ctx, node, p, addr) })
	}
	wg.Wait()
	return slices.ContainsFunc(there, func(i raft.Incarnation) bool { return i.Store == self.Store && i != self })
}

// whoIs asks which start of a node is at addr. None answers: the zero one.
func (t *TCP) whoIs(ctx context.Context, node raft.NodeID, p *peer, addr string) raft.Incarnation {
	s := &session{t: t, peer: p, addr: addr, ctx: ctx, hello: hello{
		speaks: t.cfg.speaks, cluster: t.cfg.Cluster, from: t.cfg.Node, to: node, lane: asking,
		person: person{founders: t.cfg.Founders, known: t.cfg.Guard.Known(node)},
	}}
	raw, err := s.dial()
	if err != nil {
		return raft.Incarnation{}
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	_, v, _, err := s.shake(raw)
	if err != nil {
		return raft.Incarnation{}
	}
	return v.self
}

// Greet calls a node if there is no connection to it, until it is heard, and from when it has an address: so that the node knows of this start, whoever leads.
func (t *TCP) Greet(node raft.NodeID) {
	if t.cfg.Guard == nil {
		return
	}
	t.known(node).setCalling(callUntil)
	t.call(node)
}

// call makes an attempt now, if there is an address and no connection.
func (t *TCP) call(node raft.NodeID) {
	if pid := t.Sender(node); pid != nil {
		t.cfg.System.Root.Send(pid, &alive{})
	}
}

// Ungreet ends what Greet began: a node that is no member any more may never be there again, and where it was another may refuse every call.
func (t *TCP) Ungreet(node raft.NodeID) { t.known(node).setCalling(callNever) }

// GreetAgain ends all connections to others and calls them anew: this node is not who it was.
func (t *TCP) GreetAgain() {
	for _, pid := range *t.senders.Load() {
		t.cfg.System.Root.Send(pid, &moved{})
		t.cfg.System.Root.Send(pid, &alive{})
	}
}
