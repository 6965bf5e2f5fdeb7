package replication

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// A countedStage is a seeded stage that knows how many timers run.
type countedStage struct {
	*stage.Seeded
	timers int
}

func (s *countedStage) Clock() stage.Clock { return countedClock{Clock: s.Seeded.Clock(), stage: s} }

// run delivers all that waits, without letting time pass.
func (s *countedStage) run() { s.Advance(0) }

func (s *countedStage) now() time.Duration { return s.Seeded.Clock().Now() }

type countedClock struct {
	stage.Clock
	stage *countedStage
}

func (c countedClock) AfterFunc(d time.Duration, f func()) stage.Timer {
	c.stage.timers++
	return countedTimer{stage: c.stage, Timer: c.Clock.AfterFunc(d, func() {
		c.stage.timers--
		f()
	})}
}

type countedTimer struct {
	stage.Timer
	stage *countedStage
}

// Stop implements stage.Timer.
func (t countedTimer) Stop() bool {
	stopped := t.Timer.Stop()
	if stopped {
		t.stage.timers--
	}
	return stopped
}

const group raft.GroupID = 9

// A bench is a syncer under a parent, with followers that get what it sends.
type bench struct {
	t         *testing.T
	stage     *countedStage
	system    *actor.ActorSystem
	parent    *actor.PID
	syncer    *actor.PID
	inside    *syncer // its present incarnation, to look at between runs
	reader    *disk
	followers map[raft.NodeID]*follower
	heard     []any // by the parent, but for what answer takes
	told      []*Feeding
	answer    func(any) bool
	term      raft.Term // of matched
	matched   map[raft.NodeID]raft.Index
	logged    strings.Builder
}

func newBench(t *testing.T, cfg Config, nodes ...raft.NodeID) *bench {
	t.Helper()
	return newSeededBench(t, 1, cfg, nodes...)
}

func newSeededBench(t *testing.T, seed uint64, cfg Config, nodes ...raft.NodeID) *bench {
	t.Helper()
	b := &bench{
		t: t, stage: &countedStage{Seeded: stage.NewSeeded(seed)}, reader: &disk{},
		followers: map[raft.NodeID]*follower{}, matched: map[raft.NodeID]raft.Index{},
	}
	log := slog.New(slog.NewTextHandler(&b.logged, nil))
	b.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return log }))
	for _, n := range nodes {
		b.follow(n)
	}
	cfg.Group, cfg.Stage, cfg.Reader, cfg.Log = group, b.stage, b.reader, log
	cfg.Sender = func(n raft.NodeID) *actor.PID {
		if f := b.followers[n]; f != nil {
			return f.pid
		}
		return nil
	}
	b.parent = b.spawn(func(c actor.Context) {
		switch m := c.Message().(type) {
		case *actor.Started:
			b.syncer = c.Spawn(Props(cfg).Configure(actor.WithProducer(func() actor.Actor {
				b.inside = newSyncer(cfg.withDefaults())
				return b.inside
			})))
		case *Matched:
			if m.Term != b.term {
				b.term = m.Term
				clear(b.matched)
			}
			for _, a := range m.Acks {
				if a.Term != m.Term || a.Index <= b.matched[a.From] {
					b.t.Errorf("acknowledged %+v in %+v, known %d", a, m, b.matched[a.From])
				}
				b.matched[a.From] = a.Index
			}
			b.heard = append(b.heard, m)
		case *Feeding:
			b.told = append(b.told, m)
		case *OnDuty, *Refusal, *NeedSnapshot, *Halted:
			if b.answer == nil || !b.answer(m) {
				b.heard = append(b.heard, m)
			}
		}
	})
	b.stage.run()
	if len(b.take()) != 1 {
		t.Fatal("not reported for duty once")
	}
	t.Cleanup(func() {
		b.system.Root.Stop(b.parent)
		b.stage.run()
		if b.stage.timers != 0 {
			t.Error("a timer outlives its actor")
		}
	})
	return b
}

func (b *bench) spawn(f actor.ReceiveFunc) *actor.PID {
	return b.system.Root.Spawn(stage.Props(b.stage, func() actor.Actor { return f }))
}

func (b *bench) send(ms ...any) {
	for _, m := range ms {
		b.system.Root.Send(b.syncer, m)
	}
}

// take returns what the parent heard since last time.
func (b *bench) take() []any {
	b.stage.run()
	out := b.heard
	b.heard = nil
	return out
}

// follow adds a node that records what it gets, and answers when told to.
func (b *bench) follow(n raft.NodeID) *follower {
	f := &follower{id: n, bench: b}
	f.pid = b.spawn(func(c actor.Context) {
		p, ok := c.Message().(*remote.Post)
		if !ok {
			return
		}
		m, ok := p.Envelope.Message.(*remote.AppendBlocks)
		if !ok || p.Envelope.Group != group {
			b.t.Errorf("node %d got %+v", n, p)
			return
		}
		f.got = append(f.got, m)
		f.at = append(f.at, b.stage.now())
		f.total++
		if f.auto {
			f.reply(m)
		}
	})
	b.followers[n] = f
	return f
}
