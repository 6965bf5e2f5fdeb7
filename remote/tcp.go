package remote

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// maxStrangers bounds the nodes that are counted one by one: on plain TCP anyone may claim to be any.
const maxStrangers = 1 << 12

// TCP is the Transport over TCP.
type TCP struct {
	cfg     Config
	deliver Deliver
	weather weather
	ctx     context.Context // ends everything at once
	cancel  context.CancelFunc
	running sync.WaitGroup // goroutines and sender actors

	senders atomic.Pointer[map[raft.NodeID]*actor.PID] // immutable once published

	conns       atomic.Int64
	refusals    atomic.Uint64
	lastRefusal atomic.Pointer[string]
	complaints  complaints
	callers     callers

	mu       sync.Mutex
	listener net.Listener
	peers    map[raft.NodeID]*peer
	slots    map[slot]*inbound
	greeting list.List // of *inbound that have not said who they are, the oldest first
	stopping bool
}

var _ Transport = (*TCP)(nil)

// NewTCP checks cfg and prepares a transport, which neither listens nor dials before Start.
func NewTCP(cfg Config) (*TCP, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &TCP{
		cfg:   cfg.withDefaults(),
		peers: make(map[raft.NodeID]*peer),
		slots: make(map[slot]*inbound),
	}
	t.cfg.Log = t.cfg.Log.With("node", cfg.Node)
	if t.cfg.TLS != nil {
		t.cfg.TLS = t.cfg.TLS.Clone()
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.senders.Store(&map[raft.NodeID]*actor.PID{})
	for node, addr := range cfg.Peers {
		t.SetPeer(node, addr)
	}
	return t, nil
}

// Start implements Transport. The error wraps that of listening.
func (t *TCP) Start(deliver Deliver) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case deliver == nil:
		return errors.New("remote: Start without Deliver")
	case t.stopping:
		return errors.New("remote: Start after Stop")
	case t.listener != nil:
		return errors.New("remote: Start twice")
	}
	listening := net.ListenConfig{KeepAliveConfig: t.keepAlive()}
	l, err := listening.Listen(t.ctx, "tcp", t.cfg.Listen)
	if err != nil {
		return fmt.Errorf("remote: %w", err)
	}
	t.listener, t.deliver = l, deliver
	t.running.Add(1)
	go t.accept(l)
	return nil
}

// Addr implements Transport. Before Start it is Config.Listen.
func (t *TCP) Addr() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listener == nil {
		return t.cfg.Listen
	}
	return t.listener.Addr().String()
}

// SetPeer implements Transport.
func (t *TCP) SetPeer(node raft.NodeID, addr string) {
	t.mu.Lock()
	t.setPeer(node, addr, false)
	p := t.peers[node]
	t.mu.Unlock()
	if p != nil && p.calling() == callUntil { // Greet may have come before there was an address
		t.call(node)
	}
}

// learn takes a caller's own word for where it listens, until somebody who knows better calls SetPeer: a node that was
// just added must be able to answer members that it has not read of yet.
//
// Who is known by its folder, then or later, is looked for there, too, where somebody who knows better has it elsewhere and is wrong.
func (t *TCP) learn(h hello, from net.Addr, standing raft.Standing) {
	host, port, err := net.SplitHostPort(h.addr)
	if err != nil || port == "0" {
		return
	}
	says := h.addr
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if host, _, err = net.SplitHostPort(from.String()); err != nil {
			return
		}
		says = ""
	}
	known := t.acquaintance(h.from)
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[h.from]
	if p == nil {
		return
	}
	another := known.Known() && known.Store != h.self.Store // which moves nobody, and takes back nothing that the known one said
	if p.address() == "" || p.learned && !another {
		t.setPeer(h.from, net.JoinHostPort(host, port), true)
	}
	if says == "" {
		return
	}
	w := word{addr: says, self: h.self}
	if standing != raft.Same && standing != raft.Next {
		w.unknown = known
	}
	if another {
		p.words.another = w
	} else {
		p.words.known = w
	}
	p.believe(known)
}

// acquaintance is what is known of a node. The guard ends connections under its own lock: it is not asked under the transport's.
func (t *TCP) acquaintance(node raft.NodeID) (a raft.Acquaintance) {
	if g := t.cfg.Guard; g != nil {
		a = g.Known(node)
	}
	return a
}

// words are what callers in a node's name said last: who ran on the folder that it was known by, or was to be, and who ran on another one.
type words struct{ known, another word }

// A word is what a node said of where it listens, and who it was. It was not known by its folder then, if something is unknown: what else was known of it.
type word struct {
	addr    string
	self    raft.Incarnation
	unknown raft.Acquaintance
}

// believe has the node looked for where it says that it listens, once it is known by the folder that it said so on: it may be added, or let back in, only
// after it called. The transport's lock is held.
func (p *peer) believe(known raft.Acquaintance) {
	w := p.words.known
	if known.Store != w.self.Store {
		w = p.words.another
	}
	if w.addr == "" || !known.Known() || known.Forked || known.Store != w.self.Store || known.Start >= w.self.Start && known.Incarnation != w.self {
		return
	}
	if own := p.own.Load(); own == nil || *own != w.addr {
		p.own.Store(&w.addr)
	}
	if known != w.unknown { // else nobody knew it before it called: it is believed where it is found anyhow
		p.places.says(w.addr)
	}
}

// mayBelieve is believe for those who look for a node.
func (t *TCP) mayBelieve(node raft.NodeID, p *peer) {
	known := t.acquaintance(node)
	t.mu.Lock()
	defer t.mu.Unlock()
	p.believe(known)
}

// A Locator is a Transport that finds nodes which do not listen any more where they are said to, as TCP does.
type Locator interface {
	// Located is where a node is connected, if it says itself, known by its folder, that it listens there, and not behind some other address; else empty.
	Located(raft.NodeID) string
	// Advertised is where this node says that it listens; empty if it only knows the port.
	Advertised() string
	// CheckAddr says why nobody can be reached at an address, or nil.
	CheckAddr(addr string) error
}

var _ Locator = (*TCP)(nil)

// Located implements Locator.
func (t *TCP) Located(node raft.NodeID) string {
	p := t.known(node)
	t.mayBelieve(node, p)
	return p.located()
}

// CheckAddr implements Locator.
func (t *TCP) CheckAddr(addr string) error { return CheckAddr(addr) }

// Advertised implements Locator.
func (t *TCP) Advertised() string {
	if addr := t.advertised(); CheckAddr(addr) == nil {
		return addr
	}
	return ""
}

// advertised is the address that this node gives to those it calls: by the name that it was told to listen at, if it was told one.
func (t *TCP) advertised() string {
	if t.cfg.Advertise != "" {
		return t.cfg.Advertise
	}
	bound := t.Addr()
	host, _, _ := net.SplitHostPort(t.cfg.Listen)
	_, port, err := net.SplitHostPort(bound)
	if host == "" || err != nil {
		return bound
	}
	return net.JoinHostPort(host, port)
}

// setPeer sets an address. The caller holds mu.
func (t *TCP) setPeer(node raft.NodeID, addr string, learned bool) {
	if node == t.cfg.Node || node == raft.None || t.stopping {
		return
	}
	p := t.peers[node]
	if p == nil {
		p = new(peer)
		t.peers[node] = p
	}
	p.learned = learned && addr != ""
	if p.address() == addr {
		return
	}
	p.places.set(addr)
	switch pid := (*t.senders.Load())[node]; {
	case pid == nil:
	case addr != "":
		t.cfg.System.Root.Send(pid, &moved{})
	default:
		t.publish(func(m map[raft.NodeID]*actor.PID) { delete(m, node) })
		t.cfg.System.Root.Poison(pid)
	}
}

// Sender implements Transport.
func (t *TCP) Sender(node raft.NodeID) *actor.PID {
	if pid := (*t.senders.Load())[node]; pid != nil {
		return pid
	}
	return t.hire(node)
}

// hire spawns node's sender if there may be one.
func (t *TCP) hire(node raft.NodeID) *actor.PID {
	t.mu.Lock()
	defer t.mu.Unlock()
	if pid := (*t.senders.Load())[node]; pid != nil {
		return pid
	}
	p := t.peers[node]
	if p == nil || p.address() == "" || t.stopping || t.listener == nil {
		return nil
	}
	var gone sync.Once
	stopped := func(pid *actor.PID) { gone.Do(func() { t.retired(node, pid) }) }
	t.running.Add(1)
	pid := t.cfg.System.Root.SpawnPrefix(stage.Props(t.cfg.Stage, func() actor.Actor {
		return &sender{t: t, node: node, peer: p, stopped: stopped}
	}, stage.WithDrained(0), stage.WithLogger(t.cfg.Log)), fmt.Sprintf("remote-%d-to-%d-", t.cfg.Node, node))
	t.publish(func(m map[raft.NodeID]*actor.PID) { m[node] = pid })
	return pid
}

// retired takes note that a sender is gone. If that was not our wish, the next one who asks for it gets another.
func (t *TCP) retired(node raft.NodeID, pid *actor.PID) {
	defer t.running.Done()
	t.mu.Lock()
	defer t.mu.Unlock()
	if current := (*t.senders.Load())[node]; current != nil && current.Equal(pid) {
		t.publish(func(m map[raft.NodeID]*actor.PID) { delete(m, node) })
	}
}

// publish replaces the map of senders. The caller holds mu.
func (t *TCP) publish(change func(map[raft.NodeID]*actor.PID)) {
	next := maps.Clone(*t.senders.Load())
	change(next)
	t.senders.Store(&next)
}

// revive tells node's sender, if there is one, that node is up.
func (t *TCP) revive(node raft.NodeID) {
	if pid := (*t.senders.Load())[node]; pid != nil {
		t.cfg.System.Root.Send(pid, &alive{})
	}
}

// SetChaos implements Transport.
func (t *TCP) SetChaos(c Chaos) { t.weather.set(c) }

// Stats implements Transport.
func (t *TCP) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Stats{
		Peers: make(map[raft.NodeID]PeerStats, len(t.peers)),
		Conns: int(t.conns.Load()), Refused: t.refusals.Load(),
	}
	for node, p := range t.peers {
		s.Peers[node] = p.stats()
	}
	if text := t.lastRefusal.Load(); text != nil {
		s.LastRefusal = *text
	}
	return s
}

// Stop implements Transport. The error wraps ctx's.
func (t *TCP) Stop(ctx context.Context) error {
	t.mu.Lock()
	t.stopping = true
	if t.listener != nil {
		_ = t.listener.Close()
	}
	for _, pid := range *t.senders.Load() {
		t.cfg.System.Root.Poison(pid)
	}
	t.senders.Store(&map[raft.NodeID]*actor.PID{})
	for _, in := range t.slots {
		in.cancel(errStopping)
	}
	t.mu.Unlock()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		t.running.Wait()
	}()
	leave := time.AfterFunc(lastWords, t.cancel) // handshakes on either side
	defer leave.Stop()
	select {
	case <-stopped:
		t.cancel()
		return nil
	case <-ctx.Done():
		t.cancel()
		return fmt.Errorf("remote: stopping: %w", ctx.Err())
	}
}

func (t *TCP) keepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: t.cfg.KeepAlive, Interval: t.cfg.KeepAlive, Count: 3}
}

// known returns where traffic with node is counted.
func (t *TCP) known(node raft.NodeID) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[node]
	if p == nil {
		p = new(peer)
		if len(t.peers) < maxStrangers {
			t.peers[node] = p
		}
	}
	return p
}
