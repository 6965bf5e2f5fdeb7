package sim

import (
	"cmp"
	"math"
	"math/rand/v2"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/heartbeat"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/replication"
	"github.com/troupe-raft/troupe/stage"
)

// group is the configuration of every replica. Limits are drawn small, so that they are met; docs/simulator.md has a table of all.
func (c Config) group() actors.GroupConfig {
	r := rand.New(rand.NewPCG(c.Seed, 0x960f))
	g := actors.GroupConfig{
		Group: groupID, ElectionTimeout: election.Timeout{Min: electionMin, Max: electionMax},
		SnapshotEvery:   []uint64{5, 10, 10, 20, 40, 40, 200, actors.NoSnapshots}[r.IntN(8)],
		TrailingEntries: []uint64{1, 10, 100}[r.IntN(3)],
		MaxBlockBytes:   []int{256, 4 << 10, 1 << 20}[r.IntN(3)], MaxInflightBlocks: 1 + r.IntN(4),
	}
	if r.IntN(8) == 0 {
		g.MaxSessions = 2
	}
	if r.IntN(8) == 0 {
		g.MaxEntryBytes = 200 + r.IntN(2_000)
	}
	g.MaxInflightEntries = []int{1, 4, 16, 64, 256, 256}[r.IntN(6)]
	g.MaxInflightBytes = []int{200, 2 << 10, 16 << 10, 64 << 10, 64 << 10}[r.IntN(5)]
	g.SnapshotChunk = []int{100, 4 << 10, 1 << 20}[r.IntN(3)]
	g.BusyWait = []time.Duration{-1, 20 * time.Millisecond, time.Second}[r.IntN(3)]
	g.MaxWaiting = []int{2, 64, 0}[r.IntN(3)]
	g.ApplyStall = drawer{rand.New(rand.NewPCG(c.Seed, 0x57a1))}.span(100*time.Millisecond, usualApplyStall)
	g.ApplyWaits = c.Seed%16 == 9
	g.Tuning = c.tuning()
	odd := rand.New(rand.NewPCG(c.Seed, 0x0dd5))
	if odd.IntN(8) == 0 { // crashes that are further apart than this are forgotten
		g.Tuning.Crashes.Window = 20*time.Millisecond + time.Duration(odd.Int64N(int64(200*time.Millisecond)))
	}
	g.NoRestart = odd.IntN(16) == 0
	c.sessions(&g)
	return g
}

// turns draws how many Applies run at a time, and whether all nodes share that, as hosts of one process do: only then do they ever wait, as each
// has one group.
func (c Config) turns() (cfg stage.TurnsConfig, shared bool) {
	d := drawer{rand.New(rand.NewPCG(c.Seed, 0x7a25))}
	shared = d.IntN(2) == 0
	cfg.Most = 1 + d.IntN(3)
	cfg.Stall, cfg.Lead = d.span(time.Millisecond, 500*time.Millisecond), d.span(time.Microsecond, time.Millisecond)
	cfg.Brief = d.span(time.Nanosecond, 250*time.Microsecond)
	return cfg, shared
}

// applyTurns are those of a life.
func (s *Sim) applyTurns() *stage.Turns {
	cfg, shared := s.cfg.turns()
	cfg.Clock = s.clock
	if !shared {
		return stage.NewTurns(cfg)
	}
	if s.turns == nil {
		s.turns = stage.NewTurns(cfg)
	}
	return s.turns
}

// turnStall is how long anybody waits for a turn whose holder hangs, has crashed or is suspended.
func (s *Sim) turnStall() time.Duration {
	cfg, _ := s.cfg.turns()
	return cmp.Or(cfg.Stall, 500*time.Millisecond)
}

// sessions draws what sessions remember, and now and then so little for all of them that they evict one another.
func (c Config) sessions(g *actors.GroupConfig) {
	d := drawer{rand.New(rand.NewPCG(c.Seed, 0x5e55))}
	g.SessionWindow, g.SessionWindowBytes = d.below(1, 64), d.below(1, 1<<20)
	if d.IntN(2) == 0 {
		g.SessionTTL = time.Duration(float64(200*time.Millisecond) * math.Exp(d.Float64()*math.Log(100)))
	}
	g.SessionAnswers = 1 + d.IntN(min(3, cmp.Or(g.SessionWindow, 3)))
	if d.IntN(6) == 0 {
		g.MaxSessionBytes = d.below(1, 16<<10)
	}
}

// A drawer draws limits: most are left as they are by default, so that those that are small meet one another in every combination.
type drawer struct{ *rand.Rand }

// below is the default, or a limit between the least and the default, the magnitudes alike.
func (d drawer) below(least, usual int) int {
	if d.IntN(2) == 0 {
		return 0
	}
	return int(math.Exp(math.Log(float64(least)) + d.Float64()*math.Log(float64(usual)/float64(least))))
}

func (d drawer) span(least, usual time.Duration) time.Duration {
	return time.Duration(d.below(int(least), int(usual)))
}

func (d drawer) restarts(most int, longest time.Duration) (r actors.Restarts) {
	if d.IntN(2) == 0 {
		r.Limit = 1 + d.IntN(most)
		r.First = d.span(time.Millisecond, longest)
		r.Max = max(r.First, d.span(time.Millisecond, longest))
		r.Window = d.span(time.Second, time.Minute)
	}
	return r
}

func (c Config) tuning() actors.Tuning {
	d := drawer{rand.New(rand.NewPCG(c.Seed, 0x7e47))}
	return actors.Tuning{
		ApplyTurnBytes: d.below(1, applier.DefaultTurnBytes), ApplyTurnTime: d.span(time.Microsecond, applier.DefaultTurnTime),
		ApplyStride: d.below(1, applier.DefaultStride), ApplyReadBytes: d.below(1, applier.DefaultReadBytes), ApplyQueue: d.below(1, 4),
		BehindSnapshot: d.span(100*time.Millisecond, applier.DefaultStallTime),
		FlushAfter:     d.below(1, 4096),
		GatherTime:     d.span(time.Microsecond, 20*time.Millisecond),
		FollowerBytes:  d.below(1, replication.DefaultInflightBytes), FollowerMessages: d.below(1, replication.DefaultInflight),
		MessageBytes: d.below(1, replication.DefaultMaxMessageBytes), CacheBytes: d.below(1, replication.DefaultCacheBytes),
		SettleAfter: d.below(1, replication.DefaultSettleAfter), ProgressEvery: d.span(time.Microsecond, replication.DefaultTellEvery),
		SnapshotPieceBytes: d.below(64, 64<<10), SnapshotBufferBytes: d.below(16, 256<<10),
		SnapshotRetry: d.span(20*time.Millisecond, 500*time.Millisecond), SnapshotRetries: d.below(1, 20),
		SnapshotStall: d.span(200*time.Millisecond, 10*time.Minute), SnapshotPause: d.span(10*time.Millisecond, time.Second),
		SnapshotPauseMax: d.span(time.Second, 5*time.Minute), Strangers: d.below(1, 16), CaughtUpWithin: drawer{rand.New(rand.NewPCG(c.Seed, 0xca06))}.span(50*time.Millisecond, usualCaughtUp),
		Daemons: d.restarts(daemonRestarts, 10*time.Millisecond), Crashes: d.restarts(replicaRestarts, 100*time.Millisecond),
		FollowerMinBytes: d.below(1, raft.DefaultMinBytes), FollowerDelay: d.span(time.Microsecond, raft.DefaultQueueDelay),
		FollowerMeasure: d.span(time.Millisecond, raft.DefaultMeasureEvery), FollowerAnswer: d.span(time.Millisecond, 10*time.Second),
		Refusals: d.below(1, 64), KeptEntries: 1 << 20, // here transfers take as long as thousands of entries
	}
}

func (c Config) host() actors.HostTuning {
	d, answers := drawer{rand.New(rand.NewPCG(c.Seed, 0x4057))}, drawer{rand.New(rand.NewPCG(c.Seed, 0xa475))}
	return actors.HostTuning{
		Beats: d.below(1, heartbeat.DefaultMaxBeats), WriteBytes: d.below(1, 4<<20), WritesInFlight: d.below(1, 4),
		WaitingAnswers: answers.below(1, persister.DefaultAnswers),
		EventQueue:     []int{0, 1, 2}[d.IntN(3)],
		MismatchAfter:  d.span(time.Millisecond, 2*time.Second), Mismatches: d.below(1, 1024),
		Acquaintances: drawer{rand.New(rand.NewPCG(c.Seed, 0xacc7))}.below(1, 256),
		LeaderStall:   d.span(2*heartbeats, 500*time.Millisecond),
		Daemons:       d.restarts(daemonRestarts, 10*time.Millisecond),
	}
}

// How many panics the actors endure by default: a replica is restarted so often within a minute, a daemon so often. A persister that panicked
// leaves a disk behind that nobody knows.
const (
	replicaRestarts = 5
	daemonRestarts  = 10
)

// What the actors may do by default.
const (
	usualEntries    = 16_384 // GroupConfig.MaxInflightEntries
	usualBytes      = 64 << 20
	usualMessages   = replication.DefaultInflight // appends that a follower may have unconfirmed
	usualOrders     = 4                           // Committed messages that an applier has not done
	usualRead       = applier.DefaultReadBytes    // the others read less
	usualApplyStall = 5 * time.Second             // GroupConfig.ApplyStall
	usualCaughtUp   = 2 * time.Second             // Tuning.CaughtUpWithin
	usualFlights    = 4                           // batches of writes on their way to the disk
	usualWrite      = 4 << 20                     // bytes at which such a batch is full
)

// A pacing is a node's times, until it restarts.
type pacing struct {
	timeout          election.Timeout
	heartbeat, drift time.Duration
}

// Where nodes differ, the shortest election timeout of one is between these. Clocks may run so differently that leases must be shorter by this part.
const (
	leastMin       = 100 * time.Millisecond
	mostMin        = 300 * time.Millisecond
	longestTimeout = mostMin + electionMax // of any node
	leastDrift     = 1 - slowest/fastest + 0.002
)

// pacing draws a node's times for its next life. In half of the runs all nodes have the same ones; else each has its own, in half of these after a
// restart others, as when a configuration is rolled out.
func (c Config) pacing(id raft.NodeID, life int) pacing {
	p := pacing{timeout: election.Timeout{Min: electionMin, Max: electionMax}, heartbeat: heartbeats}
	run := rand.New(rand.NewPCG(c.Seed, 0x7ace))
	switch run.IntN(4) {
	case 0, 1:
		return p
	case 2:
		life = 0
	}
	r := rand.New(rand.NewPCG(c.Seed, mix(0x7ace, uint64(id)<<32+uint64(life))))
	p.timeout.Min = leastMin + time.Duration(r.Int64N(int64(mostMin-leastMin)))
	p.timeout.Max = p.timeout.Min + 1 + time.Duration(r.Int64N(int64(electionMax)))
	if c.watchesLeases() && run.IntN(2) == 0 { // some as slow as can be, and the others as quick
		p.timeout = election.Timeout{Min: leastMin, Max: leastMin + leastMin/4}
		if r.IntN(3) == 0 {
			p.timeout = election.Timeout{Min: mostMin, Max: mostMin + leastMin}
		}
	}
	p.heartbeat = leastMin/6 + time.Duration(r.Int64N(int64(leastMin/6)))
	if r.IntN(2) == 0 {
		p.drift = time.Duration((leastDrift + r.Float64()*(1-leastDrift)) * float64(p.timeout.Min))
	}
	return p
}

// A limits is what every replica of the run keeps to, by its configuration or by default.
type limits struct {
	entry, entries, bytes, messages, orders, read, flights, write int

	caughtUp time.Duration
}

func limitsOf(g actors.GroupConfig, h actors.HostTuning) limits {
	return limits{
		entry:   cmp.Or(g.MaxEntryBytes, entry.MaxEntry),
		entries: cmp.Or(g.MaxInflightEntries, usualEntries), bytes: cmp.Or(g.MaxInflightBytes, usualBytes),
		messages: cmp.Or(g.Tuning.FollowerMessages, usualMessages), orders: cmp.Or(g.Tuning.ApplyQueue, usualOrders),
		read:     max(cmp.Or(g.Tuning.ApplyReadBytes, usualRead), cmp.Or(g.Tuning.MessageBytes, replication.DefaultMaxMessageBytes)),
		caughtUp: cmp.Or(g.Tuning.CaughtUpWithin, usualCaughtUp),
		flights:  cmp.Or(h.WritesInFlight, usualFlights), write: cmp.Or(h.WriteBytes, usualWrite),
	}
}
