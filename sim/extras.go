package sim

import (
	"cmp"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Some runs have a few faults more, which the plan is too seldom right for: what they need is drawn on purpose. They have their own numbers, so that
// the others stay what they are.

// A state machine that hangs for so long has been found out by then, if it had something to do.
const longestFound = time.Second

// giveUps are actors that panic until nobody restarts them any more.
var giveUps = []string{"election.timer", "replication.syncer", "snapshotter.snapshotter", "heartbeat.pulser"}

// strayed are actors that no bomb hits and that get messages that they do not know all the same.
var strayed = []string{"actors.announcer", "actors.publisher", "actors.hostActor", "replication.reader"}

// textual are actors that panic with a text, some of them at a message that they seldom get.
var textual = []string{"actors.replica", "applier.applier", "applier.applier at applier.Barrier", "actors.replica at sim.strangeMessage"}

// extras draws them.
func (c Config) extras(ids []raft.NodeID) (plan []Fault) {
	r := rand.New(rand.NewPCG(c.Seed, 0xe87a))
	if r.IntN(3) != 0 {
		return nil
	}
	at := func() time.Duration { return time.Duration(r.Int64N(int64(c.Length))) }
	for range 3 + r.IntN(6) {
		f := Fault{At: at(), A: ids[r.IntN(len(ids))]}
		switch r.IntN(7) {
		case 5:
			f.Kind, f.In = PanicIn, brokenRule
			if r.IntN(2) == 0 {
				f.Kind, f.In, f.For = Guest, "", time.Duration(r.Int64N(int64(time.Second)))
			}
		case 0:
			stall := cmp.Or(c.group().ApplyStall, usualApplyStall)
			if stall > longestFound {
				continue
			}
			f.Kind, f.In, f.For, f.N = Hang, "applier.applier", 2*stall+100*time.Millisecond, r.IntN(leads+1)
		case 1:
			f.Kind, f.In = Stray, strayed[r.IntN(len(strayed))]
		case 2:
			f.Kind, f.In = Mistake, slips[r.IntN(len(slips))].name
		case 3:
			f.Kind, f.In = GiveUp, giveUps[r.IntN(len(giveUps))]
		case 4:
			f.Kind, f.In, f.N = PanicText, textual[r.IntN(len(textual))], 1+r.IntN(5)
			if strings.Contains(f.In, " at ") {
				f.N = 1
			}
		default:
			f.Kind, f.N = Foreign, 1+r.IntN(8)
		}
		plan = append(plan, f)
	}
	return plan
}

// brokenRule is a callback that says that a rule was broken.
const brokenRule = "an invariant"

// mayBreak has the rules of a replica break an invariant, as far as it can tell: it is to end, for good.
func (l *life) mayBreak() {
	if l.trap == brokenRule {
		l.trap, l.broken = "", true
		l.node.sim.count("panic in " + brokenRule)
		panic(&raft.BrokenInvariant{Name: "Sabotage", Detail: errSabotage.Error()})
	}
}

// guestID is a group whose founders are others than the nodes that it is started on.
const guestID raft.GroupID = 900

// guest starts a replica of such a group, with a state machine that has Apply alone, and stops it again. It takes no part in anything: it applies
// nothing, leads nobody, and refuses what it is asked.
func (s *Sim) guest(n *node, d time.Duration) {
	l := n.life
	if l == nil || n.starting {
		return
	}
	if _, there := l.host.Group(guestID); there {
		return
	}
	beat := cmp.Or(s.heartbeat(n), heartbeats)
	g, err := actors.StartGroup(l.host, actors.GroupConfig{
		Group: guestID, Members: []raft.NodeID{unknown}, NoRestart: true, ElectionTimeout: election.Timeout{Min: 2 * beat, Max: 4 * beat},
		Apply: func(actors.Command) []byte {
			s.check.fail("who is no member applies nothing", "node %d", n.id)
			return nil
		},
	})
	if err != nil {
		s.check.fail("groups start", "node %d, group %d: %v", n.id, guestID, err)
		return
	}
	s.count("fault " + string(Guest))
	s.foreign[g.PID().Id] = true
	for _, m := range []any{&actors.Propose{Data: []byte("x")}, &actors.Read{}, &actors.TransferLeadership{To: n.id}, &actors.StepDown{}} {
		l.askOf(g.PID(), m, func(answer any) {
			switch answer.(type) {
			case *actors.Refused, *actor.DeadLetterResponse:
			default:
				s.check.fail("who is no member refuses", "node %d answers %T with %T", n.id, m, answer)
			}
		})
	}
	s.clock.AfterFunc(d, func() {
		if status := g.Status(); n.life == l && status.Role != raft.Learner && status.Phase == actors.Running {
			s.check.fail("who is no member leads nobody", "node %d is a %v", n.id, status.RoleName())
		}
		l.system.Root.Stop(g.PID())
		s.clock.AfterFunc(handful, func() { s.trace.note("the guest of node %d is %s", n.id, g.Status().RoleName()) })
	})
}

// slips are mistakes that only the extras draw.
var slips = []mistakeKind{
	{"a node is to come and to go", func(*Sim, *node) any {
		return &actors.ChangeMembers{Change: actors.Change{AddVoters: []raft.Member{{ID: unknown}}, Remove: []raft.NodeID{unknown}}}
	}},
	{"a node is to be two things", func(*Sim, *node) any {
		return &actors.ChangeMembers{Change: actors.Change{Voters: []raft.Member{{ID: 1}}, Learners: []raft.Member{{ID: 1}}, Force: true}}
	}},
	{"a voter is moved", func(_ *Sim, n *node) any {
		return &actors.ChangeMembers{Change: actors.Change{AddVoters: []raft.Member{{ID: n.id, Addr: nowhere}}}}
	}},
	{"a voter is added as a learner", func(_ *Sim, n *node) any {
		return &actors.ChangeMembers{Change: actors.Change{AddLearners: []raft.Member{{ID: n.id, Addr: nowhere}}}}
	}},
	{"learners alone", func(_ *Sim, n *node) any {
		return &actors.ChangeMembers{Change: actors.Change{Learners: []raft.Member{{ID: n.id}}}}
	}},
	{"a stranger is promoted twice", func(_ *Sim, n *node) any {
		return &actors.ChangeMembers{Change: actors.Change{Promote: []raft.NodeID{unknown, unknown}}}
	}},
}

// allMistakes are the plan's and the extras'.
func allMistakes() []mistakeKind { return slices.Concat(mistakes, slips) }

// giveUp lets an actor panic more often than it is restarted, if that takes few panics.
func (s *Sim) giveUp(n *node, victim string) {
	limit := cmp.Or(s.group().Tuning.Daemons.Limit, daemonRestarts)
	if victim == "heartbeat.pulser" {
		limit = cmp.Or(s.cfg.host().Daemons.Limit, daemonRestarts)
	}
	for range limit + 2 {
		s.bombs = append(s.bombs, &bomb{node: n, victim: victim, left: 1, revive: 300 * time.Millisecond})
	}
	s.count("fault " + string(GiveUp))
}

// outsiders sends a node messages of groups that run nowhere, more of them than it keeps in mind. They are of no use there, which it may say.
func (s *Sim) outsiders(n *node, groups int) {
	l := n.life
	if l == nil || l.deliver == nil || n.starting {
		return
	}
	s.count("fault " + string(Foreign))
	for _, from := range s.ids {
		for i := range groups {
			if from != n.id {
				l.deliver(from, []remote.Envelope{{Group: 1_000 + raft.GroupID(i), Message: &raft.HeartbeatReply{Term: 1}}, {Group: groupID, Message: &strangeMessage{}}})
			}
		}
	}
}

// early has a program send a replica what it does not know before that runs, in some runs.
func (l *life) early() {
	if rand.New(rand.NewPCG(l.node.sim.cfg.Seed, 0xea51)).IntN(16) == 0 && l.node.sim.story == nil {
		l.system.Root.Send(l.group.PID(), &strangeMessage{})
		l.system.Root.Send(l.group.PID(), &atomic.Pointer[strangeMessage]{}) // of another module's
	}
}

// loggers gives the modules of a node loggers of their own, in some runs, and none to some modules.
func (s *Sim) loggers(l *life) func(module string) *slog.Logger {
	if rand.New(rand.NewPCG(s.cfg.Seed, 0x1095)).IntN(4) != 0 {
		return nil
	}
	return func(module string) *slog.Logger {
		if module == "election" {
			return nil
		}
		return l.log
	}
}
