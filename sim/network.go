package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// A Link is one direction between two nodes.
type Link struct{ From, To raft.NodeID }

// A network moves batches between nodes: encoded by the sender, decoded where they arrive, like on TCP.
type network struct {
	sim     *Sim
	rand    *rand.Rand
	general Weather
	links   map[Link]Weather // instead of general
	storms  []*storm         // on top of both, as long as each lasts
	wire    remote.Wire
	buf     []byte
	batch   [1]remote.Envelope

	disorder time.Duration // until when appends may overtake each other by much

	free map[Link]time.Duration // when a narrow link has sent what waits before it

	hold func(Link, any) bool // of a scenario: true keeps a message back for ever

	inFlight, inFlightBytes                 int
	late                                    int          // of those in flight
	onLink                                  map[Link]int // of those that are not late
	sent, delivered, dropped, doubled, lost int
	bytes                                   int
}

func newNetwork(s *Sim, r *rand.Rand) *network {
	n := &network{sim: s, rand: r, general: restless, links: map[Link]Weather{}, onLink: map[Link]int{}, free: map[Link]time.Duration{}}
	if s.cfg.Quiet {
		n.general = fair
	}
	return n
}

// send takes a message off a sender actor.
func (n *network) send(l Link, e remote.Envelope) {
	if own, ok := ofGroup(e); ok {
		n.sim.check.spoken(l.From, l.To, own)
		n.sim.check.quiet(l.From, own)
		n.sim.posted(l, own.Message)
	}
	n.sent++
	w := n.weather(l, e.Message)
	if w.Cut || n.sim.shielded(l) || w.Drop > 0 && n.rand.Float64() < w.Drop || n.hold != nil && n.hold(l, e.Message) {
		n.dropped++
		return
	}
	from := n.sim.nodes[l.From].life.transport
	if !from.reaches(l.To) {
		n.sim.count(notThere)
		n.dropped++
		return
	}
	h, ok := from.hello(l.To)
	if !ok {
		n.dropped++
		return
	}
	n.batch[0] = e
	var err error
	if n.buf, err = n.wire.Encode(n.buf[:0], n.batch[:]); err != nil {
		n.sim.check.fail("wire", "node %d cannot encode %T: %v", l.From, e.Message, err)
		return
	}
	n.sim.trace.bytes(n.buf)
	frame := append([]byte(nil), n.buf...)
	n.bytes += len(frame)
	queued, fits := n.queue(l, w, len(frame))
	if !fits {
		n.sim.count("message lost before a narrow link")
		n.dropped++
		return
	}
	copies := 1
	if w.Duplicate > 0 && n.rand.Float64() < w.Duplicate {
		copies = 2
		n.doubled++
	}
	for range copies {
		n.inFlight++
		n.inFlightBytes += len(frame)
		delay := w.Delay + queued
		if w.Jitter > 0 {
			delay += time.Duration(n.rand.Int64N(int64(w.Jitter)))
		}
		switch {
		case w.Late > 0 && n.rand.Float64() < w.Late:
			n.sendLate(l, frame, h, delay+time.Duration(n.rand.Int64N(1+n.rand.Int64N(int64(latest)))))
			continue
		case n.heldUp(e.Message):
			n.sendLate(l, frame, h, delay)
			continue
		}
		n.onLink[l]++
		n.sim.clock.AfterFunc(delay, func() {
			n.onLink[l]--
			n.arrive(l, frame, h)
		})
	}
}

// queue is how long a frame takes to leave on a narrow link, behind all that waits there.
func (n *network) queue(l Link, w Weather, bytes int) (wait time.Duration, fits bool) {
	if w.Rate == 0 {
		return 0, true
	}
	now := n.sim.clock.Now()
	from := max(n.free[l], now)
	if from-now > fullQueue {
		return 0, false
	}
	n.free[l] = from + time.Duration(float64(bytes)/w.Rate*float64(time.Second))
	return min(n.free[l]-now, fullQueue), true
}

// heldUp reports whether m is one of a kind that is slow now and that nobody waits for before sending the next: each chunk of a snapshot is answered as a
// heartbeat is, and the next is sent when the chunk's own answer comes. How many of them are on their way says nothing of who sends them.
func (n *network) heldUp(m any) bool {
	_, ok := m.(*raft.HeartbeatReply)
	return ok && slices.ContainsFunc(n.storms, func(s *storm) bool { return s.kind == nameOf(m) })
}

// sendLate lets a frame arrive after its time.
func (n *network) sendLate(l Link, frame []byte, h *hello, delay time.Duration) {
	from, sender := n.sim.nodes[l.From], n.sim.nodes[l.From].lives
	n.late++
	n.sim.clock.AfterFunc(delay, func() {
		n.late--
		n.sim.count("message late")
		if n.sim.calm {
			n.sim.count("message late, in the calm")
		}
		if from.lives != sender {
			n.sim.count("message late, of a life that has ended")
		}
		n.arrive(l, frame, h)
	})
}

// arrive hands a frame to whoever lives at its destination now and hears its sender, unless the link was cut meanwhile.
func (n *network) arrive(l Link, frame []byte, h *hello) {
	n.inFlight--
	n.inFlightBytes -= len(frame)
	to := n.sim.nodes[l.To].life
	if to == nil || to.deliver == nil || n.weather(l, nil).Cut || n.sim.shielded(l) || !to.transport.hears(l.From, h) {
		n.lost++
		return
	}
	batch, err := n.wire.Decode(frame)
	if err != nil {
		n.sim.check.fail("wire", "node %d cannot decode what node %d sent: %v", l.To, l.From, err)
		return
	}
	n.delivered++
	to.transport.learn(l.From)
	if h != nil {
		if batch = to.transport.guard.Pass(l.From, h.self, batch); len(batch) == 0 {
			n.sim.count("a message of a node that does not count is not heard")
			return
		}
	}
	for i := range batch {
		if batch[i].Group == groupID {
			to.arrived(batch[i].Message)
		}
	}
	to.deliver(l.From, batch)
}

// A transport is one life's end of the network. It implements remote.Transport.
type transport struct {
	net     *network
	life    *life
	senders map[raft.NodeID]*actor.PID

	guard   remote.Guard                     // nil: nodes are taken for who they say they are
	callers map[raft.NodeID]raft.Incarnation // who is connected
	up      map[raft.NodeID]*life            // who has let this start in
	calling map[raft.NodeID]bool             // who is called until it has
	paused  map[raft.NodeID]time.Duration    // who refused, and is not called again before

	addrs   map[raft.NodeID]string // where others are looked for; nil: everywhere
	own     map[raft.NodeID]string // where they say themselves that they are, and are believed
	said    map[raft.NodeID]said   // what they said when they called last
	before  map[raft.NodeID]string // where they were looked for before
	word    map[raft.NodeID]string // where the program said last that they are
	program bool                   // the program says where somebody listens
}

func (l *life) newTransport() *transport {
	t := &transport{
		net: l.node.sim.net, life: l, senders: map[raft.NodeID]*actor.PID{}, callers: map[raft.NodeID]raft.Incarnation{},
		up: map[raft.NodeID]*life{}, calling: map[raft.NodeID]bool{}, paused: map[raft.NodeID]time.Duration{},
	}
	if l.node.told != nil {
		t.addrs, t.own, t.before, t.word = map[raft.NodeID]string{}, map[raft.NodeID]string{}, map[raft.NodeID]string{}, map[raft.NodeID]string{}
		t.said = map[raft.NodeID]said{}
	}
	return t
}

func (t *transport) Start(d remote.Deliver) error {
	t.life.deliver = d
	return nil
}

func (t *transport) Addr() string          { return fmt.Sprintf("node-%d", t.life.node.id) }
func (t *transport) SetChaos(remote.Chaos) {}

// HangUp implements remote.Transport. All nodes are correct, whatever happens to them: only what was forged in a node's name is refused, and terms
// that are too high once somebody forged one.
func (t *transport) HangUp(from raft.NodeID, reason error) {
	why := (*raft.ImpossibleMessageError)(nil)
	odd := (*actors.IdentityError)(nil)
	if t.guard != nil && !errors.As(reason, &why) && (errors.As(reason, &odd) || errors.Is(reason, actors.ErrForgotten)) {
		t.end(from)
		return
	}
	far := errors.As(reason, &why) && t.net.sim.jumped && why.Why == raft.TermTooHigh
	if t.life.forged[from] || far {
		t.net.sim.count(nobodySends)
		return
	}
	t.net.sim.check.fail("no correct node sends the impossible", "node %d refuses a message of node %d: %v", t.life.node.id, from, reason)
}
func (t *transport) Stats() remote.Stats        { return remote.Stats{} }
func (t *transport) Stop(context.Context) error { return nil }
func (t *transport) link(to raft.NodeID) Link   { return Link{t.life.node.id, to} }
func (t *transport) spawn(l Link) *actor.PID {
	return t.life.system.Root.Spawn(stage.Props(rigged{t.life.stage, t.life}, func() actor.Actor { return &sender{t.net, l} }, stage.WithLogger(t.life.log)))
}

// Sender implements remote.Transport.
func (t *transport) Sender(to raft.NodeID) *actor.PID {
	if !t.known(to) {
		return nil
	}
	pid := t.senders[to]
	if pid == nil {
		pid = t.spawn(t.link(to))
		t.senders[to] = pid
	}
	return pid
}

// A sender is the actor that takes posts for one peer.
type sender struct {
	net  *network
	link Link
}

func (s *sender) Receive(c actor.Context) {
	if m, ok := c.Message().(*remote.Post); ok {
		s.net.send(s.link, m.Envelope)
	}
}
