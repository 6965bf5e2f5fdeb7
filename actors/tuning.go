package actors

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/troupe-raft/troupe/heartbeat"
	"github.com/troupe-raft/troupe/internal/backoff"
	"github.com/troupe-raft/troupe/logs"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/snapshotter"
	"github.com/troupe-raft/troupe/stage"
)

// Tuning holds the limits within one replica. The defaults suit programs; simulations draw them small, so that they are met. Nothing
// depends on their being equal on all nodes.
type Tuning struct {
	ApplyTurnBytes int           // data applied before the applier looks at other messages; default 4 MiB
	ApplyTurnTime  time.Duration // likewise; one Apply may take longer; default 5ms
	ApplyStride    int           // most entries between two looks at the clock: as many slow ones may go by unnoticed; default 4
	ApplyReadBytes int           // of committed entries read from the disk at a time; one block may always be; default 4 MiB
	ApplyQueue     int           // batches of committed entries that wait in the applier; what comes later stays on disk; default 4
	// BehindSnapshot is how long the applier, whose log a leader's snapshot has replaced, waits for that snapshot; default 10s.
	BehindSnapshot time.Duration

	FlushAfter int           // messages after which the group seals its block and sends its reads although more wait; default 4096
	GatherTime time.Duration // proposals gather no longer behind blocks in flight (MaxInflightBlocks); default 2ms
	LogBytes   int           // of entries that one call of Group.Log returns; default 16 MiB

	FollowerBytes    int // that one follower may have unacknowledged, but for a single message; default 16 MiB
	FollowerMinBytes int // likewise, on the slowest connection; default 32 KiB. What is in between follows what the connection carries
	FollowerMessages int // likewise; default 256
	// FollowerDelay is how long payload may wait on its way to a follower, beyond what an answer takes on an empty connection; default 100ms.
	FollowerDelay   time.Duration
	FollowerMeasure time.Duration // how long a measurement of that holds on a busy connection; default 10s
	FollowerAnswer  time.Duration // an answer is waited for no longer, however slow those before were; default 16 ElectionTimeout.Max
	MessageBytes    int           // of the blocks in one message to a follower, and in one read for it; one block may always go; default 1 MiB
	CacheBytes      int           // of the newest blocks kept in memory for followers that answer; default 8 MiB
	SettleAfter     int           // messages that may hold up sending to followers while more of them wait; default 64
	ProgressEvery   time.Duration // how old MemberStatus.Progress may be; default 100ms

	SnapshotPieceBytes  int           // that have a checksum of their own in a snapshot file, 1 MiB at most; default 64 KiB
	SnapshotBufferBytes int           // of snapshot files written and read at a time; default 256 KiB
	SnapshotRetry       time.Duration // a chunk without an answer is sent again; default 500ms
	SnapshotRetries     int           // without an answer this often in a row, a transfer ends; default 20
	SnapshotStall       time.Duration // without progress for so long, a transfer ends; default 10m
	SnapshotPause       time.Duration // between a snapshot that failed and the next; doubles; default 1s
	SnapshotPauseMax    time.Duration // default 5m
	// KeptEntries bounds what a leader keeps of its log for followers that are sent a snapshot, which they go on with, on top of
	// GroupConfig.TrailingEntries; default 16 times SnapshotEvery and TrailingEntries, at least 100,000.
	KeptEntries int

	// CaughtUpWithin is how long ago the leader may have committed what a follower has yet to apply, and was heard last, for Status.CaughtUp; default 2s, and
	// ElectionTimeout.Max at least.
	CaughtUpWithin time.Duration

	// Strangers bounds the nodes outside of the membership whose trouble is remembered, each of which is told of once; default 16.
	Strangers int
	// Refusals bounds the reasons, for each peer its own, for which messages were refused and that are told; default 64. What is beyond is counted.
	Refusals int

	Daemons Restarts // of the actors below the group's; default 10 within a minute, 10ms to 1s apart; one more crashes the replica
	Crashes Restarts // of the replica as a whole; default 5 within a minute, 100ms to 5s apart; the sixth and it stays down (see GroupConfig.NoRestart)
}

// Restarts says how often and how soon something is restarted. Zero values are the defaults named where it stands.
type Restarts struct {
	Limit  int           // this many within Window; the next failure within it is the last
	Window time.Duration // keep it well above Limit pauses
	First  time.Duration // pause before the first; doubles
	Max    time.Duration // longest pause
}

// HostTuning is Tuning for what the groups of a host share.
type HostTuning struct {
	Beats          int // in one message to a peer node, of the groups led here; default 4096
	WriteBytes     int // of all groups' writes that are synced together; default 4 MiB
	WritesInFlight int // batches of writes on their way to the disk; default 4
	// WaitingAnswers bounds the answers of one group that wait for one batch, as they do when they speak of a term or of entries that are not on the disk yet; of
	// more, as behind a disk that is stuck, the oldest are dropped, and asked for again. Default 64.
	WaitingAnswers int

	// LeaderStall is how long a replica that leads may take no turn, although asked for a sign of life, before its heartbeats are withheld so
	// that its followers elect another. Time in which the host's own heartbeat gets no turns, as on a machine that is suspended or
	// short of CPU, does not count. Default 500ms, or 4 heartbeat intervals if those are longer.
	LeaderStall time.Duration

	// EventQueue bounds the events that wait for a subscriber of the event stream which is slow or blocks; the oldest are dropped, counted
	// in Stats, and told of by *EventsDropped in their place. Default 1024.
	EventQueue int
	// LogQueue bounds the lines that wait for a log handler which is slow or blocks; the oldest are dropped, counted in Stats, and told of by
	// a line in their place. Default 4096.
	LogQueue int
	// FlushTime is the longest that Host.Stop waits for subscribers to take what they have not got yet, and as long again for the log to be
	// written. Default 1s.
	FlushTime time.Duration

	// Messages of a group that does not run here are told of once they have kept coming for MismatchAfter; their sender is answered as often. So is
	// one whose founding members differ, at once. Default 2s.
	MismatchAfter time.Duration
	// Mismatches bounds the senders and groups of which this is remembered. Default 1024.
	Mismatches int
	// Acquaintances bounds the nodes that are members of no group here and whose starts are remembered all the same, since they have called: without
	// TLS anybody may call in any node's name. Default 256.
	Acquaintances int

	Connections int // from other nodes, those that have not said yet who they are included; default 256
	OpenTables  int // files of the log's tables that the store keeps open; at least 64; default 512

	Daemons Restarts // of the heartbeat; default 10 within a minute, 10ms to 1s apart; one more ends every group of the host
}

const daemonJitter = 0.2 // restarts of daemons that failed together come apart

func (t Tuning) withDefaults() Tuning {
	t.ApplyQueue = cmp.Or(t.ApplyQueue, 4)
	t.FlushAfter = cmp.Or(t.FlushAfter, 4096)
	t.GatherTime = cmp.Or(t.GatherTime, 2*time.Millisecond)
	t.LogBytes = cmp.Or(t.LogBytes, 16<<20)
	t.CaughtUpWithin = cmp.Or(t.CaughtUpWithin, 2*time.Second)
	t.Strangers = cmp.Or(t.Strangers, 16)
	t.Refusals = cmp.Or(t.Refusals, 64)
	t.Daemons = t.Daemons.or(daemonRestarts)
	t.Crashes = t.Crashes.or(Restarts{Limit: 5, Window: time.Minute, First: 100 * time.Millisecond, Max: 5 * time.Second})
	return t
}

func (t HostTuning) withDefaults(interval time.Duration) HostTuning {
	t.LeaderStall = cmp.Or(t.LeaderStall, max(heartbeat.DefaultStall, 4*interval))
	t.WriteBytes = cmp.Or(t.WriteBytes, 4<<20)
	t.WritesInFlight = cmp.Or(t.WritesInFlight, 4)
	t.WaitingAnswers = cmp.Or(t.WaitingAnswers, persister.DefaultAnswers)
	t.EventQueue = cmp.Or(t.EventQueue, 1024)
	t.LogQueue = cmp.Or(t.LogQueue, logs.DefaultLimit)
	t.FlushTime = cmp.Or(t.FlushTime, time.Second)
	t.MismatchAfter = cmp.Or(t.MismatchAfter, 2*time.Second)
	t.Mismatches = cmp.Or(t.Mismatches, 1024)
	t.Acquaintances = cmp.Or(t.Acquaintances, 256)
	t.Daemons = t.Daemons.or(daemonRestarts)
	return t
}

// A daemon's restart loses only pacing, so it comes quickly and backs off when it does not help.
var daemonRestarts = Restarts{Limit: 10, Window: time.Minute, First: 10 * time.Millisecond, Max: time.Second}

func (r Restarts) or(usual Restarts) Restarts {
	r.Limit, r.Window = cmp.Or(r.Limit, usual.Limit), cmp.Or(r.Window, usual.Window)
	if r.Max > 0 {
		usual.First = min(usual.First, r.Max)
	}
	r.First = cmp.Or(r.First, usual.First)
	r.Max = cmp.Or(r.Max, max(usual.Max, r.First))
	return r
}

// backoff is the supervision of daemons.
func (r Restarts) backoff(s stage.Stage, log *slog.Logger) *stage.Backoff {
	return &stage.Backoff{Stage: s, First: r.First, Max: r.Max, Jitter: daemonJitter, Limit: r.Limit, Window: r.Window, Log: log}
}

// pause is how long to wait after so many failures in a row.
func (r Restarts) pause(failures int) time.Duration {
	return backoff.Doubling{First: r.First, Max: r.Max}.After(failures)
}

// validate reports every field that is negative, or above what is possible.
func (t Tuning) validate(fault func(bad bool, format string, args ...any)) {
	for _, f := range []limit{
		{"ApplyTurnBytes", t.ApplyTurnBytes}, {"ApplyStride", t.ApplyStride}, {"ApplyReadBytes", t.ApplyReadBytes}, {"ApplyQueue", t.ApplyQueue},
		{"FlushAfter", t.FlushAfter}, {"LogBytes", t.LogBytes}, {"FollowerBytes", t.FollowerBytes}, {"FollowerMinBytes", t.FollowerMinBytes},
		{"FollowerMessages", t.FollowerMessages}, {"MessageBytes", t.MessageBytes},
		{"CacheBytes", t.CacheBytes}, {"SettleAfter", t.SettleAfter}, {"SnapshotPieceBytes", t.SnapshotPieceBytes},
		{"SnapshotBufferBytes", t.SnapshotBufferBytes}, {"SnapshotRetries", t.SnapshotRetries}, {"Strangers", t.Strangers}, {"Refusals", t.Refusals}, {"KeptEntries", t.KeptEntries},
	} {
		fault(f.value < 0, "Tuning.%s %d is negative", f.name, f.value)
	}
	for _, f := range []span{
		{"ApplyTurnTime", t.ApplyTurnTime}, {"BehindSnapshot", t.BehindSnapshot}, {"GatherTime", t.GatherTime},
		{"ProgressEvery", t.ProgressEvery}, {"FollowerDelay", t.FollowerDelay}, {"FollowerMeasure", t.FollowerMeasure}, {"FollowerAnswer", t.FollowerAnswer}, {"SnapshotRetry", t.SnapshotRetry},
		{"SnapshotStall", t.SnapshotStall}, {"SnapshotPause", t.SnapshotPause}, {"SnapshotPauseMax", t.SnapshotPauseMax}, {"CaughtUpWithin", t.CaughtUpWithin},
	} {
		fault(f.value < 0, "Tuning.%s %v is negative", f.name, f.value)
	}
	fault(t.SnapshotPieceBytes > snapshotter.MaxPieceBytes, "Tuning.SnapshotPieceBytes %d is above %d", t.SnapshotPieceBytes, snapshotter.MaxPieceBytes)
	t.Daemons.validate("Tuning.Daemons", fault)
	t.Crashes.validate("Tuning.Crashes", fault)
}

func (t HostTuning) validate(fault func(bad bool, format string, args ...any)) {
	for _, f := range []limit{
		{"Beats", t.Beats}, {"WriteBytes", t.WriteBytes}, {"WritesInFlight", t.WritesInFlight},
		{"WaitingAnswers", t.WaitingAnswers}, {"EventQueue", t.EventQueue}, {"LogQueue", t.LogQueue}, {"Mismatches", t.Mismatches}, {"Acquaintances", t.Acquaintances},
		{"Connections", t.Connections}, {"OpenTables", t.OpenTables},
	} {
		fault(f.value < 0, "Tuning.%s %d is negative", f.name, f.value)
	}
	for _, f := range []span{{"LeaderStall", t.LeaderStall}, {"FlushTime", t.FlushTime}, {"MismatchAfter", t.MismatchAfter}} {
		fault(f.value < 0, "Tuning.%s %v is negative", f.name, f.value)
	}
	t.Daemons.validate("Tuning.Daemons", fault)
}

func (r Restarts) validate(name string, fault func(bad bool, format string, args ...any)) {
	fault(r.Limit < 0, "%s.Limit %d is negative", name, r.Limit)
	fault(r.Window < 0 || r.First < 0 || r.Max < 0, "%s: Window %v, First %v or Max %v is negative", name, r.Window, r.First, r.Max)
	fault(r.Max > 0 && r.Max < r.First, "%s: Max %v is below First %v", name, r.Max, r.First)
}

type limit struct {
	name  string
	value int
}

type span struct {
	name  string
	value time.Duration
}
