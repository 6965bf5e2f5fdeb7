package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/snapshotter"
	"github.com/troupe-raft/troupe/stage"
)

// In some runs daemons, and the rules, also run by themselves, each on a stage of its own. There their parent tells them what no group of this version would, and they
// read what only a newer version, or a fault of the disk beneath all checksums, can have written: in the cluster it would be on every disk, and the end
// of the run. Whatever it is, they do not panic, say what the contract of the message demands, and answer everybody who waits.

// benched runs are those with such daemons.
func (c Config) benched() bool {
	return rand.New(rand.NewPCG(c.Seed, 0xbe9c)).IntN(6) == 0 && !c.Quiet && c.Only == nil
}

// byContract is the property.
const byContract = "a daemon by itself keeps to its contract"

// benches are all such plays.
var benches = []struct {
	name string
	play func(*bench)
}{
	{"an applier applies what a client of any version wrote", (*bench).anySessions},
	{"an applier restores tables that are damaged", (*bench).damagedTables},
	{"an applier cannot go on", (*bench).brokenAppliers},
	{"a snapshotter takes snapshots and any operation fails", (*bench).brittleTakes},
	{"a snapshotter receives snapshots and any operation fails", (*bench).brittleReceipts},
	{"a snapshotter has damaged files", (*bench).damagedFiles},
	{"a snapshotter gets stray chunks", (*bench).strayChunks},
	{"a snapshotter stops amid its work", (*bench).stopAmid},
	{"a syncer gets what its leader never says", (*bench).straySyncer},
	{"a syncer reads what is not its log", (*bench).otherLogs},
	{"a heartbeat gets what its host never says", (*bench).strayHeartbeat},
	{"the rules are asked anything", (*bench).bareRules},
	{"the rules refuse", (*bench).refusals},
	{"one of two voters is trusted again", (*bench).trustOfTwo},
	{"a snapshotter's transfers end", (*bench).straySends},
	{"anybody calls in a node's name", (*bench).anyFolders},
	{"a member runs in two places", (*bench).twoFolders},
	{"a member is dropped while it calls", (*bench).droppedMeanwhile},
	{"a member is dropped before it is connected", (*bench).forgottenMeanwhile},
	{"groups are missing", (*bench).missingGroups},
	{"others judge a start", (*bench).judgedByOthers},
	{"what gathers waits for the rules", (*bench).gathers},
	{"a leader is deposed with much under way", (*bench).deposed},
	{"another leads than leadership is handed to", (*bench).handedOver},
	{"two things panic at once", (*bench).twoPanics},
	{"a leader's log is damaged", (*bench).damagedLog},
	{"nodes were founded with others", (*bench).strangeFounders},
	{"members are elsewhere", (*bench).movedMembers},
	{"members are elsewhere, and memberships are kept", (*bench).keptAddresses},
	{"tags are kept as they are", (*bench).keptTags},
	{"a member is taken out", (*bench).removedMember},
	{"a member has no address", (*bench).noAddress},
	{"a log's stamps fall", (*bench).stampedLow},
	{"terms are far apart", (*bench).farTerms},
	{"a state is lost", (*bench).lostStates},
	{"whoever is answered panics", (*bench).panickingAsker},
	{"a heartbeat keeps panicking", (*bench).noHeartbeat},
	{"a state machine is Apply alone", (*bench).applyAlone},
	{"a snapshot is overtaken", (*bench).overtakenSnapshots},
}

// playedBenches are how many of them a run has.
const playedBenches = 14

// playBenches lets a few of them happen.
func (s *Sim) playBenches() {
	r := rand.New(rand.NewPCG(s.cfg.Seed, 0xbe9d))
	system := benchSystem()
	for _, i := range r.Perm(len(benches))[:playedBenches] {
		s.count("bench: " + benches[i].name)
		s.playBench(i, r, system)
	}
}

// benchSystem is their actor system: not the cluster's, where the names of actors would be others then.
func benchSystem() *actor.ActorSystem {
	quiet := slog.New(slog.DiscardHandler)
	return actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
}

func (s *Sim) playBench(i int, r *rand.Rand, system *actor.ActorSystem) {
	b := &bench{sim: s, name: benches[i].name, rand: r, system: system}
	benches[i].play(b)
	b.end()
}

// A bench is one daemon, with a parent that notes what it says.
type bench struct {
	sim    *Sim
	name   string
	rand   *rand.Rand
	stage  *stage.Seeded
	system *actor.ActorSystem
	log    *slog.Logger
	parent *actor.PID
	daemon *actor.PID
	said   []any           // by the daemon to its parent, since it was last asked for
	loud   map[string]bool // what it logged
	orders any             // after a panic; nil: none is expected

	replica *hosted                  // instead of a daemon; nil: there is none
	hosts   func(*actors.HostConfig) // what its host is to be like; nil: as usual
}

// put replaces the daemon by another one.
func (b *bench) put(props func(stage.Stage, *slog.Logger) *actor.Props) {
	b.end()
	b.loud, b.said, b.orders = map[string]bool{}, nil, nil
	b.log = slog.New(&listener{b})
	b.stage = stage.NewSeeded(b.rand.Uint64())
	b.parent = b.system.Root.Spawn(stage.Props(b.stage, func() actor.Actor {
		return actor.ReceiveFunc(func(c actor.Context) {
			switch m := c.Message().(type) {
			case *actor.Started:
				b.daemon = c.Spawn(props(b.stage, b.log))
			case actor.SystemMessage, actor.AutoReceiveMessage:
			default:
				if _, restarted := m.(*snapshotter.OnDuty); restarted && b.orders != nil {
					c.Send(b.daemon, b.orders)
					return
				}
				b.said = append(b.said, m)
			}
		})
	}, stage.WithLogger(b.log)))
	b.pass(0)
}

// tell sends the daemon messages, and lets all happen that follows from them at once.
func (b *bench) tell(messages ...any) {
	for _, m := range messages {
		b.system.Root.Send(b.daemon, m)
	}
	b.pass(0)
}

// pass lets time go by.
func (b *bench) pass(d time.Duration) { b.stage.Advance(d) }

// end stops the daemon, or the replica.
func (b *bench) end() {
	switch {
	case b.replica != nil:
		b.replica.leave()
		b.replica = nil
	case b.parent != nil:
		b.system.Root.Stop(b.parent)
		b.pass(0)
		b.parent = nil
	default:
		return
	}
	b.demand(!b.loud["actor panicked"], "it panicked")
}

// demand fails the run unless something holds.
func (b *bench) demand(holds bool, format string, args ...any) {
	if !holds {
		b.sim.check.fail(byContract, "%s: %s", b.name, fmt.Sprintf(format, args...))
	}
}

// heard takes what the daemon has said since it was last asked for, and demands that it is of these types, in this order: "applier.Begun".
func (b *bench) heard(types ...string) []any {
	said := b.said
	b.said = nil
	var of []string
	for _, m := range said {
		of = append(of, strings.TrimPrefix(fmt.Sprintf("%T", m), "*"))
	}
	b.demand(fmt.Sprint(of) == fmt.Sprint(types), "it says %v, not %v", of, types)
	return said
}

// A listener notes what a daemon logs. It implements slog.Handler.
type listener struct{ *bench }

func (l *listener) Enabled(context.Context, slog.Level) bool { return true }

func (l *listener) Handle(_ context.Context, r slog.Record) error {
	l.loud[r.Message] = true
	return nil
}

func (l *listener) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *listener) WithGroup(string) slog.Handler      { return l }

// A promise is whoever waits for an outcome.
type promise struct {
	index  raft.Index
	result string
	err    error
	told   int
}

// Resolve implements the daemons' Waiter.
func (p *promise) Resolve(i raft.Index, result []byte, err error) {
	if p.told++; p.told == 1 {
		p.index, p.result, p.err = i, string(result), err
	}
}
