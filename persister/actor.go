package persister

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

type settings struct {
	batchBytes int
	inFlight   int
	answers    int
	log        *slog.Logger
}

// An Option adjusts Props.
type Option func(*settings)

// WithBatchBytes is the size in bytes at which a batch is full and goes out although more writes
// wait; default 4 MiB.
func WithBatchBytes(n int) Option { return func(s *settings) { s.batchBytes = max(n, 1) } }

// WithInFlight is how many batches may be on their way to the disk at once; default 4. One more than the disk
// syncs at a time keeps it busy.
func WithInFlight(n int) Option { return func(s *settings) { s.inFlight = max(n, 1) } }

// WithAnswers bounds, for each group, the writes that store nothing and wait for one batch; default DefaultAnswers. The oldest are dropped, and with
// them their deliveries.
func WithAnswers(n int) Option { return func(s *settings) { s.answers = max(n, 1) } }

// DefaultAnswers is as many as a leader's heartbeats in some seconds ask for.
const DefaultAnswers = 64

// WithLogger is where oddities are reported; default slog.Default().
func WithLogger(l *slog.Logger) Option { return func(s *settings) { s.log = l } }

// Props makes the Props of the one persister of s. It is not to be restarted on the same Storage after a panic.
func Props(st stage.Stage, s Storage, opts ...Option) *actor.Props {
	set := settings{batchBytes: 4 << 20, inFlight: 4, answers: DefaultAnswers, log: slog.Default()}
	for _, opt := range opts {
		opt(&set)
	}
	produce := func() actor.Actor {
		return &persister{settings: set, storage: s, groups: map[raft.GroupID]*member{}}
	}
	return stage.Props(st, produce, stage.WithDrained(0), stage.WithLogger(set.log))
}

// A persister gathers writes into flights, has them committed, and lets go what waited for them.
type persister struct {
	settings
	storage Storage
	root    *actor.RootContext
	self    *actor.PID
	groups  map[raft.GroupID]*member
	failure error

	open     *flight   // being filled; nil when empty
	full     []*flight // closed, waiting for their turn
	inFlight int
	spare    []*flight

	gone atomic.Bool // stopping: the storage need not report any more
}

// A member is a registered group, to be told of a failure.
type member struct {
	load *Load
	// sound: it was loaded and nothing of it has come back rejected, so that, when nothing is on its
	// way, all that it wrote is durable. Otherwise the storage is asked.
	sound bool
}

// broke says that the storage has failed. Storage → persister.
type broke struct{ err error }

// read is the result of Storage.Load. Storage → persister.
type read struct {
	Loaded
	load *Load
}

func (p *persister) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *Write:
		p.write(m)
	case *stage.Drained:
		p.takeOff()
	case *flight:
		p.back(m)
	case *Compact:
		p.compact(m)
	case *Load:
		p.load(m)
	case *read:
		p.read(m)
	case *Release:
		p.release(m.Group)
	case *Destroy:
		p.destroy(m)
	case *broke:
		p.broke(m.err)
	case *actor.Started:
		p.root, p.self = ctx.ActorSystem().Root, ctx.Self()
		p.storage.OnFailure(func(err error) { p.report(&broke{err}) })
	case *actor.Stopping:
		p.settle()
		p.gone.Store(true)
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		p.log.Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
}

// report is how the storage's goroutines talk to the persister.
func (p *persister) report(message any) {
	if !p.gone.Load() {
		p.root.Send(p.self, message)
	}
}

// refused answers a message that comes after the failure.
func (p *persister) refused(replyTo *actor.PID) bool {
	if p.failure == nil {
		return false
	}
	p.tell(replyTo, &StoreFailed{Err: p.failure})
	return true
}

func (p *persister) tell(to *actor.PID, message any) {
	if to != nil {
		p.root.Send(to, message)
	}
}

func (p *persister) write(m *Write) {
	if p.refused(m.ReplyTo) {
		return
	}
	size := 0
	for _, b := range m.Blocks {
		size += b.Size()
	}
	if m.Hard != nil || m.Reset != nil || size > 0 {
		p.add(Op{Group: m.Group, Hard: m.Hard, Reset: m.Reset, Blocks: m.Blocks}, m, size)
		return
	}
	if g := p.groups[m.Group]; g != nil && g.sound && p.open == nil && p.inFlight == 0 { // nothing that it could wait for
		p.deliver(m, nil)
		return
	}
	p.answer(m)
}

// answer has a write that stores nothing wait for the open flight. Its group may be asked without end while the disk is stuck, and nothing else
// bounds what is answered: of many the oldest are dropped. The network may lose them just as well, so whoever asked asks again.
func (p *persister) answer(m *Write) {
	op := Op{Group: m.Group} // changes nothing, but is rejected when an earlier write of its group was
	if m.Ack != nil {
		p.add(op, m, 0)
		return
	}
	a := p.filling().answers[m.Group]
	if a == nil {
		a = &answers{}
		p.add(op, a, 0)
		p.filling().answers[m.Group] = a
	}
	if len(a.writes) == p.answers {
		if !a.dropped {
			a.dropped = true
			p.log.Warn("the disk is slow: the oldest of a group's answers that wait for it are dropped", "group", m.Group, "kept", len(a.writes))
		}
		a.writes[0] = nil
		a.writes = a.writes[1:]
	}
	a.writes = append(a.writes, m)
}

// deliver sends what waited for m, whose durability ack may hold.
func (p *persister) deliver(m *Write, ack *Persisted) {
	for _, d := range m.Then {
		p.tell(d.To, d.Message)
	}
	if m.Ack == nil {
		return
	}
	if ack == nil {
		ack = new(Persisted)
	}
	*ack = Persisted{Group: m.Group, Ack: *m.Ack}
	p.tell(m.ReplyTo, ack)
}

func (p *persister) compact(m *Compact) {
	if !p.refused(m.ReplyTo) {
		p.add(Op{Group: m.Group, Compact: &m.Meta, Through: m.Through}, m, 0)
	}
}

// release and destroy leave nothing gathered behind, so that a Load of a group without a registration need not.
func (p *persister) release(g raft.GroupID) {
	delete(p.groups, g)
	if p.failure == nil {
		p.settle()
		p.storage.Forget(g)
	}
}

func (p *persister) destroy(m *Destroy) {
	delete(p.groups, m.Group)
	if !p.refused(m.ReplyTo) {
		p.add(Op{Group: m.Group, Destroy: true}, m, 0)
		p.settle()
	}
}

// load reads a group once everything gathered for it is on its way.
func (p *persister) load(m *Load) {
	if p.refused(m.ReplyTo) {
		return
	}
	if _, ok := p.groups[m.Group]; ok {
		p.settle()
	}
	p.groups[m.Group] = &member{load: m}
	p.storage.Load(m.Group, func(state raft.State, fresh bool, err error) {
		p.report(&read{Loaded: Loaded{Group: m.Group, State: state, Fresh: fresh, Err: err}, load: m})
	})
}

// read answers a Load when all that it has seen is durable, the founding membership of a fresh group included.
func (p *persister) read(m *read) {
	g := p.groups[m.Group]
	switch {
	case p.refused(m.load.ReplyTo):
		return
	case g == nil || g.load != m.load: // released, destroyed or loaded again meanwhile
		return
	case m.Err == nil && m.Fresh:
		_, m.Err = entry.DecodeMembership(entry.AppendMembership(nil, m.load.Founding))
	}
	g.sound = m.Err == nil
	switch {
	case m.Err != nil:
		p.release(m.Group)
		m.State = raft.State{}
		p.tell(m.load.ReplyTo, &m.Loaded)
	case m.Fresh:
		m.State.Snapshot.Membership = m.load.Founding
		p.add(Op{Group: m.Group, Found: &m.load.Founding}, m, 0)
	case p.open == nil && p.inFlight == 0:
		p.tell(m.load.ReplyTo, &m.Loaded)
	default:
		p.wait(none, m)
	}
}

// broke makes the first failure known to every group, in the order of their ids so that a simulation repeats, and forgets what can no
// longer be promised.
func (p *persister) broke(err error) {
	if p.failure != nil {
		return
	}
	p.failure = err
	for _, g := range slices.Sorted(maps.Keys(p.groups)) {
		p.tell(p.groups[g].load.ReplyTo, &StoreFailed{Err: err})
	}
	clear(p.groups)
	p.open, p.full, p.spare = nil, nil, nil
}
