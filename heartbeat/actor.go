package heartbeat

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// The defaults of a Config.
const (
	DefaultInterval = 50 * time.Millisecond // a third of the shortest election timeout
	DefaultMaxBeats = 4096
	DefaultStall    = 500 * time.Millisecond // or 4 intervals
)

// A Config fixes the heartbeat of one host.
type Config struct {
	Stage    stage.Stage
	Interval time.Duration // between pulses; default 50ms
	MaxBeats int           // in one Pulse, which bounds its frame; default 4096
	// Stall is how long a group that leads may give no sign of life although asked; default 500ms, or 4 intervals if that is longer.
	// Only time counts in which this actor itself gets its turns.
	Stall  time.Duration
	Sender func(raft.NodeID) *actor.PID
	Node   raft.NodeID  // this host, the Leader in every beat
	Log    *slog.Logger // default slog.Default()
}

// Validate reports every fault at once, or nil. Zero means the default.
func (c Config) Validate() (err error) {
	if c.Interval < 0 {
		err = errors.Join(err, fmt.Errorf("heartbeat: Interval %v is negative", c.Interval))
	}
	if c.MaxBeats < 0 {
		err = errors.Join(err, fmt.Errorf("heartbeat: MaxBeats %d is negative", c.MaxBeats))
	}
	if c.Stall < 0 {
		err = errors.Join(err, fmt.Errorf("heartbeat: Stall %v is negative", c.Stall))
	}
	if c.Stage == nil || c.Sender == nil {
		err = errors.Join(err, errors.New("heartbeat: Stage and Sender are needed"))
	}
	if c.Node == raft.None {
		err = errors.Join(err, errors.New("heartbeat: Node is not set"))
	}
	return err
}

// Props makes the heartbeat of one host, to be spawned once, as a child of the actor that answers OnDuty.
func Props(cfg Config) *actor.Props {
	cfg.Interval = cmp.Or(cfg.Interval, DefaultInterval)
	cfg.MaxBeats = cmp.Or(cfg.MaxBeats, DefaultMaxBeats)
	cfg.Stall = cmp.Or(cfg.Stall, max(DefaultStall, 4*cfg.Interval))
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	return stage.Props(cfg.Stage, func() actor.Actor {
		return &pulser{
			cfg: cfg, clock: cfg.Stage.Clock(), watch: newWatch(cfg.Stall),
			register: register{node: cfg.Node, groups: make(map[raft.GroupID]*group)},
		}
	}, stage.WithDrained(0), stage.WithLogger(cfg.Log))
}

// A tick is what the clock's timer sends. Its address is its version: only the one waited for counts.
type tick struct{ _ byte } // not empty: empty structs may share an address

// pulser sends the beats: all of them once an interval, and those that were asked for as soon as its mailbox is empty.
type pulser struct {
	cfg      Config
	clock    stage.Clock
	register register
	watch    watch
	asked    []*group // want a beat now; some may have been vacated since

	due     time.Duration // when the next tick should come; Clock.Now
	running stage.Timer   // nil when none runs
	next    *tick         // what it will send
}

func (a *pulser) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *Advance:
		a.advance(c, m)
	case *BeatNow:
		a.beatNow(c, m)
	case *stage.Drained:
		a.sendAsked(c)
	case *tick:
		a.tick(c, m)
	case *Alive:
		if g := a.register.current(m.Group, m.Term); g != nil {
			a.signed(c, g)
		}
	case *Lead:
		a.lead(c, m)
	case *Rest:
		if g := a.register.rest(m); g != nil {
			a.watch.forget(g)
		}
		a.setTimer(c)
	case *actor.Started:
		c.Send(c.Parent(), &OnDuty{})
	case *actor.Stopping, *actor.Restarting:
		a.stopTimer()
	case actor.SystemMessage, actor.AutoReceiveMessage: // rest of the lifecycle
	default:
		a.cfg.Log.Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
}

func (a *pulser) lead(c actor.Context, m *Lead) {
	old := a.register.groups[m.Group]
	g := a.register.lead(m)
	if g == nil {
		return
	}
	if old != nil {
		a.watch.forget(old)
		if old.withheld && old.term == g.term {
			a.resumed(c, g)
		}
	}
	a.watch.signed(g)
	a.ask(c, g)
	a.setTimer(c)
}

func (a *pulser) advance(c actor.Context, m *Advance) {
	g := a.register.current(m.Group, m.Term)
	if g == nil {
		return
	}
	a.signed(c, g)
	if m.Commit.Index > g.commit.Index {
		g.commit = m.Commit
		g.write()
	}
}

func (a *pulser) beatNow(c actor.Context, m *BeatNow) {
	g := a.register.current(m.Group, m.Term)
	if g == nil {
		return
	}
	a.signed(c, g)
	if m.Round > g.round {
		g.round = m.Round
		g.write()
	}
	a.ask(c, g)
}

// ask puts g among those that get a beat as soon as the mailbox is empty, or enough have asked.
func (a *pulser) ask(c actor.Context, g *group) {
	if g.asked {
		return
	}
	g.asked = true
	if a.asked = append(a.asked, g); len(a.asked) >= a.cfg.MaxBeats {
		a.sendAsked(c)
	}
}

// sendAsked sends the beats that were asked for, one message per peer.
func (a *pulser) sendAsked(c actor.Context) {
	if len(a.asked) == 0 {
		return
	}
	now := a.clock.Now()
	for _, g := range a.asked {
		if !g.asked {
			continue
		}
		g.asked = false
		for _, s := range g.seats {
			b := s.peer.beats[s.at]
			b.Sent = now
			s.peer.urgent = append(s.peer.urgent, b)
		}
	}
	a.forgetAsked()
	for _, p := range a.register.peers {
		if len(p.urgent) == 0 {
			continue
		}
		beats := p.urgent
		p.urgent = nil // the message's from here on
		a.post(c, a.cfg.Sender(p.node), &remote.Pulse{Beats: beats})
	}
}

func (a *pulser) forgetAsked() {
	clear(a.asked)
	a.asked = a.asked[:0]
}

// tick sends every peer all of its beats.
func (a *pulser) tick(c actor.Context, m *tick) {
	if m != a.next {
		return
	}
	a.running, a.next = nil, nil
	for _, g := range a.asked {
		g.asked = false
	}
	a.forgetAsked()
	now := a.clock.Now()
	a.look(c, now-a.due)
	for _, p := range a.register.peers {
		to := a.cfg.Sender(p.node)
		if to == nil {
			continue // before anything is copied: a peer that is gone costs nothing
		}
		for from := 0; from < len(p.beats); from += a.cfg.MaxBeats {
			a.post(c, to, p.pulse(from, a.cfg.MaxBeats, now))
		}
	}
	if a.due += a.cfg.Interval; a.due <= now { // late by more than an interval: do not catch up
		a.due = now + a.cfg.Interval
	}
	a.startTimer(c, now)
}

func (a *pulser) post(c actor.Context, to *actor.PID, m *remote.Pulse) {
	if to != nil {
		c.Send(to, &remote.Post{Envelope: remote.Envelope{Message: m}})
	}
}

// setTimer lets the timer run exactly while there is somebody to send to.
func (a *pulser) setTimer(c actor.Context) {
	switch busy := len(a.register.peers) > 0; {
	case busy && a.running == nil:
		now := a.clock.Now()
		a.due = now + a.cfg.Interval
		a.startTimer(c, now)
	case !busy && a.running != nil:
		a.stopTimer()
	}
}

func (a *pulser) startTimer(c actor.Context, now time.Duration) {
	if len(a.register.peers) == 0 {
		return
	}
	t := new(tick)
	root, self := c.ActorSystem().Root, c.Self()
	a.next = t
	a.running = a.clock.AfterFunc(a.due-now, func() { root.Send(self, t) })
}

func (a *pulser) stopTimer() {
	if a.running != nil {
		a.running.Stop()
		a.running, a.next = nil, nil
	}
}
