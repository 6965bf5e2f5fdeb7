package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// groupID is the one group that a cluster runs.
const groupID raft.GroupID = 1

// Times of every simulated group.
const (
	electionMin = 150 * time.Millisecond
	electionMax = 300 * time.Millisecond
	heartbeats  = 50 * time.Millisecond
)

// A node is one machine: its disk, and its current life, nil while it is down.
type node struct {
	sim      *Sim
	id       raft.NodeID
	disk     *disk
	life     *life
	founder  bool
	lost     []map[raft.GroupID]*image // what was on its disk each time before it was put back to less
	readmits bool                      // an operator is to let it back in
	pleads   *life                     // who has been asked to, and has not answered
	gone     bool                      // it never comes back: its disk has rotted, or nobody starts it
	lives    int
	toil     time.Duration        // of each Apply
	linger   func() time.Duration // likewise, while only its applier waits; nil: none
	starting bool                 // StartHost drives the stage meanwhile: no time for a crash
	skew     func(*stage.Node)    // its clock's fault, which a restart does not mend
	home     string               // where it listens; empty: wherever it is looked for
	told     map[raft.NodeID]bool // where these listen its program knows; nil: addresses mean nothing
	toldAt   map[raft.NodeID]time.Duration
	pacing
}

// A life is a node from a start to the next crash.
type life struct {
	home    string // node.home, as it was
	node    *node
	stage   *stage.Node
	system  *actor.ActorSystem
	host    *actors.Host
	group   *actors.Group
	deliver remote.Deliver

	transport *transport
	machine   *machine
	view      view
	log       *slog.Logger
	trap      string // the callback that panics next
	pauses    int    // that last
	paused    int    // how often it was
	backlog   int    // messages that had come by the end of the last pause: each may ask for a write
	hang      hang   // of the group's actor
	rarity

	held   int                  // how many things keep it, or a part of it, from going on
	holds  []func()             // ends each of them, once
	freed  time.Duration        // when the last of them ended
	hung   bool                 // an actor of it has been kept
	behind bool                 // and has not yet worked off what it was told meanwhile
	forged map[raft.NodeID]bool // in whose name it was sent what nobody sends
	failed error                // why the replica is down for good

	leaseAsked bool           // a read by its lease has no answer yet
	respawning bool           // the simulator stopped the replica, and another is to follow
	respawned  bool           // that has happened
	deaf       bool           // events were dropped
	broken     bool           // an invariant of its replica was said to be broken
	misled     bool           // replicas were started by mistake
	restarts   int            // of this replica, after crashes
	losses     int            // how often it had no state to begin from
	panics     map[string]int // that were injected into daemons, by package
	open       []*question    // that are not answered; in the order asked
	asked      int            // questions so far
}

// start begins a life from what the disk kept.
func (n *node) start() {
	s := n.sim
	n.lives++
	n.pacing = s.paced(n.id, n.lives)
	n.settleIn()
	l := &life{node: n, home: n.home, stage: s.stage.Node(fmt.Sprintf("n%d", n.id)), panics: map[string]int{}}
	if n.skew != nil {
		n.skew(l.stage)
	}
	l.log = slog.New(&ear{sim: s})
	n.life = l
	l.system = s.system
	n.starting = true
	l.transport = l.newTransport()
	host, err := actors.StartHost(l.system, actors.HostConfig{
		Node: n.id, HeartbeatInterval: s.heartbeat(n), Tuning: s.host(), Loggers: s.loggers(l), ApplyTurns: s.applyTurns(), Stage: rigged{l.stage, l}, FS: n.disk.fs(), Log: l.log,
		KeepAddresses: s.cfg.keeps(),
		Store:         n.disk.greeter(n.disk.open(l.stage.Clock(), s.clock)),
		Transport:     l.transport,
		Watch: func(g raft.GroupID, r *raft.Node) {
			if g == groupID {
				s.check.stepped(l, r)
				l.mayPanic("rules")
				l.mayBreak()
			}
		},
	})
	n.starting = false
	if err != nil {
		s.check.fail("nodes start", "node %d: %v", n.id, err)
		return
	}
	l.host = host
	l.introduce()
	l.spawn()
	if n.founder {
		for _, g := range s.neighbours {
			g.spawn(l)
		}
	}
}

func (l *life) spawn() {
	cfg, host := l.node.sim.group(), l.node.sim.host()
	if l.node.sim.story == nil {
		cfg.ElectionTimeout, cfg.LeaseDrift = l.node.timeout, l.node.drift
	}
	l.node.sim.limits = limitsOf(cfg, host)
	if l.node.founder {
		cfg.Members = l.node.sim.founders
	}
	l.callbacks(&cfg)
	group, err := actors.StartGroup(l.host, cfg)
	if err != nil {
		l.node.sim.check.fail("groups start", "node %d: %v", l.node.id, err)
		return
	}
	l.group, l.restarts = group, 0
	l.early()
}

// running reports whether the replica takes part.
func (l *life) running() bool {
	return l.group != nil && l.failed == nil && !l.respawning && !l.group.Status().Stopped
}

// crash ends the life between two messages, with what was not synced.
func (n *node) crash() {
	if n.life == nil {
		return
	}
	n.life.dies()
	n.life.stage.Halt()
	n.life = nil
	n.disk.crash()
}

// event watches over what replicas say of themselves.
func (s *Sim) event(event any) {
	if g := s.neighbourOf(event); g != nil {
		if e, failed := event.(*actors.ReplicaFailed); failed {
			g.fails(s.nodes[e.Node], e.Reason)
		}
		return
	}
	if groupOf(event) == guestID {
		if e, failed := event.(*actors.ReplicaFailed); failed && !s.nodes[e.Node].disk.excuses(e.Reason) && !sabotaged(e.Reason) {
			s.check.fail("replicas fail only with their disk", "node %d, group %d: %v", e.Node, guestID, e.Reason)
		}
		return
	}
	switch e := event.(type) {
	case *actors.EventsDropped:
		s.deafened(e)
	case *actors.RoleChanged:
		if l := s.nodes[e.Node].life; l != nil {
			l.calls("a subscriber")
		}
		if l := s.nodes[e.Node].life; l != nil && e.Role == raft.Leader {
			l.leads()
			s.moment(l)
		}
	case *actors.MembershipChanged:
		if l := s.nodes[e.Node].life; l != nil && l.view.role == raft.Leader {
			s.moment(l)
		}
	case *actors.PeerTrouble:
		if strange := (*actors.FoundersError)(nil); errors.As(e.Err, &strange) {
			s.check.fail("those founded alike hear each other", "node %d: %v", e.Node, e.Err)
		}
		s.missed(e)
	case *actors.ReplicaFailed:
		if s.nodes[e.Node].life.misledBy(e.Reason) {
			return
		}
		s.replicaFailed(s.nodes[e.Node], e.Reason)
	case *actors.LeaderStalled:
		s.leaderStalled(e)
	case *actors.ApplyStalled:
		s.applyStalled(e)
	case *actors.ReplicaRestarted:
		s.replicaRestarted(s.nodes[e.Node], e.Reason)
	}
}

// subscriber is another program's, which may panic.
func (s *Sim) subscriber(event any) {
	e, ok := event.(*actors.RoleChanged)
	if ok {
		s.onItsOwn(event)
	}
	if ok && e.Group == groupID && s.nodes[e.Node].life != nil {
		s.nodes[e.Node].life.mayPanic("a subscriber")
	}
}

// replicaRestarted: a replica crashes only for a panic that was injected.
func (s *Sim) replicaRestarted(n *node, reason error) {
	s.trace.note("node %d restarts its replica: %s", n.id, firstLine(reason.Error()))
	if n.life != nil {
		n.life.restarts++
	}
	if broken := (*raft.BrokenInvariant)(nil); errors.As(reason, &broken) {
		s.check.fail("who broke an invariant stays down", "node %d: %v", n.id, reason)
	}
	if !sabotaged(reason) {
		s.check.fail("replicas crash only when something panicked", "node %d: %v", n.id, reason)
	}
}

// replicaFailed: a replica goes down for good only for its disk's sake, or after more panics than it is to endure.
func (s *Sim) replicaFailed(n *node, reason error) {
	s.trace.note("node %d failed: %s", n.id, firstLine(reason.Error()))
	if l := n.life; l != nil && l.respawned && l.group != nil && !l.group.Status().Stopped {
		s.count("a replica that was followed by another is told to have failed") // a subscriber hung meanwhile
		return
	}
	if n.life != nil {
		n.life.failed = reason
	}
	if n.life != nil && n.life.deaf { // what led to it may have been told in an event that was dropped
		return
	}
	if !n.disk.excuses(reason) && !(sabotaged(reason) && n.life.exhausted()) {
		s.check.fail("replicas fail only with their disk", "node %d: %v", n.id, reason)
	}
	if rotted(reason) { // a replica that forgot something must never come back under its name
		n.gone = true
	}
}

// upsets counts what may have kept the replica from doing what it was about to do.
func (l *life) upsets() int {
	n := l.restarts
	for _, panics := range l.panics {
		n += panics
	}
	return n
}

// exhausted reports whether so many panics were injected that a replica of this node may go down for good.
func (l *life) exhausted() bool {
	if l == nil {
		return false
	}
	t, h := l.node.sim.group().Tuning, l.node.sim.host()
	return l.broken || l.node.sim.group().NoRestart || l.restarts >= cmp.Or(t.Crashes.Limit, replicaRestarts) || l.panics["heartbeat"] > cmp.Or(h.Daemons.Limit, daemonRestarts) || l.panics["persister"] > 0
}

// sabotaged reports whether a panic that was injected is the reason.
func sabotaged(reason error) bool { return strings.Contains(reason.Error(), errSabotage.Error()) }

// present: a replica ends with a word about it, ReplicaFailed, or because the simulator stopped it.
func (s *Sim) present() {
	for _, id := range s.ids {
		l := s.nodes[id].life
		if l == nil || l.group == nil || l.failed != nil || l.respawning {
			continue
		}
		if _, there := l.host.Group(groupID); !there {
			s.check.fail("no replica ends silently", "node %d has none, and nobody said why", id)
		}
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// mayPanic springs the trap that was set for this callback.
func (l *life) mayPanic(callback string) {
	if l.trap == callback {
		l.trap = ""
		l.node.sim.count("panic in " + callback)
		panic(errSabotage)
	}
}

// crashWithin crashes a node in the middle of the handler that runs, which gets no further than here. What it had sent is lost with the node, and
// what it does while it unwinds changes nothing.
func (n *node) crashWithin(d time.Duration) {
	s := n.sim
	s.trace.note("n%d crashes within a handler", n.id)
	s.count("fault crash-in")
	n.crash()
	s.after(d, func() { s.up(n) })
	panic(errSabotage)
}

// An ear listens to the log for what must never be said. It implements slog.Handler.
type ear struct{ sim *Sim }

func (e *ear) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (e *ear) Handle(_ context.Context, r slog.Record) error {
	if said := r.Message + attrs(r); strings.Contains(said, "unexpected message") && !strays(said) {
		e.sim.check.fail("every message is expected", "%s%s", r.Message, attrs(r))
	}
	e.sim.heard(r)
	return nil
}

func attrs(r slog.Record) (s string) {
	r.Attrs(func(a slog.Attr) bool {
		s += " " + a.String()
		return true
	})
	return s
}

func (e *ear) WithAttrs([]slog.Attr) slog.Handler { return e }
func (e *ear) WithGroup(string) slog.Handler      { return e }

// Interfaces that must stay implemented.
var (
	_ actors.Store      = (*store)(nil)
	_ persister.Storage = (*store)(nil)
	_ remote.Transport  = (*transport)(nil)
)
