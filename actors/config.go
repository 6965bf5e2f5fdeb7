package actors

import (
	"crypto/tls"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// HostConfig describes one node: its identity, its disk and its socket. Zero values are the defaults named.
type HostConfig struct {
	Node    raft.NodeID // required
	Cluster string      // name of the cluster; nodes of another one are refused. Default "troupe"
	// KeepCluster has Cluster name the cluster of a new folder alone; an old one's own name counts: Host.Cluster. For names that are made of something
	// that may change.
	KeepCluster bool
	// Founders are the nodes that the cluster was founded with, for hosts that are meant for one group or for groups that were all founded alike.
	// Nodes that were started with others are refused; a folder keeps those that it was made with. Empty: it is not compared.
	Founders []raft.NodeID
	Listen   string // TCP address for Raft traffic; port 0 picks one. Required unless Transport is set
	// Advertise is where peers reach Listen, for those that do not know it from a membership, or know a wrong one; default Listen, with the port
	// that was bound.
	Advertise string
	Dir       string                 // folder that only this node uses. Required
	Peers     map[raft.NodeID]string // addresses known from the start; later ones come with memberships
	// ForceAddresses has the addresses of Peers and SetPeer count instead of those of a membership that is found when a group begins, for clusters
	// all of whose nodes have moved at once. Those that memberships name later count as ever.
	ForceAddresses bool
	// KeepAddresses leaves memberships as they are. By default the leader has them say where a member listens that is not where they say, and is
	// known by its folder where it says itself, or where Peers had it; else each node names it in MemberStatus.Trouble (*LocationError), as
	// the leader and the node itself do where a tag is another.
	KeepAddresses bool
	// TLS, when not nil, serves both directions, and must require and verify the certificates of those who call. A certificate speaks for the
	// nodes N that its DNS names node-N name: see remote.Config, also for the two switches that allow less. They matter only with TLS.
	TLS                *tls.Config
	TLSNow             func() *tls.Config // when not nil, what TLS is by now, for each handshake: certificates can be renewed while the node runs
	TLSAllowUnverified bool
	TLSAnyName         bool

	// HeartbeatInterval should be a third or less of every group's shortest election timeout; StartGroup warns of more, and refuses one that is
	// not below it. Default 50ms.
	HeartbeatInterval time.Duration

	// ApplyTurns bound how many groups' Apply run at the same time, and deal the processors out among groups; see stage.Turns. By default a host makes
	// its own, one less than GOMAXPROCS, at least 1. Hosts of one process should be given the same.
	ApplyTurns *stage.Turns

	Stage     stage.Stage      // default stage.NewLive()
	FS        vfs.FS           // default the operating system's
	Transport remote.Transport // default TCP on Listen
	Store     Store            // default a Pebble database in Dir; given one, Host.Stop closes it
	// Watch, for simulators and checkers, is called on the replica's own turn after every step of its rules. It must neither change
	// nor keep the node, nor call the group. It must not block: while it does the replica does nothing. Programs use the event stream.
	Watch func(raft.GroupID, *raft.Node)
	// Log is where the host and its groups log; default slog.Default(). Its handler may be slow or block: Handle is called on a goroutine beside
	// the actors (package logs), except on a driven stage. The actor system's own logger is the program's: protoactor-go writes dead letters
	// and panics there on the turn of the actor concerned, so give it a handler of package logs, too.
	Log *slog.Logger
	// Loggers may name a logger per module (raft, election, replication, heartbeat, applier, snapshotter,
	// persister, remote); nil: Log with attribute module. It is called once for each, by StartHost.
	Loggers func(module string) *slog.Logger
	Tuning  HostTuning // limits that programs have no reason to change
}

// A Store keeps the logs of all groups of a host. *persister.Store is the one on disk.
type Store interface {
	persister.Storage
	// SnapshotDir is the folder, in HostConfig.FS, of the snapshot files of a group that is loaded.
	SnapshotDir(raft.GroupID) string
	// Failed is the failure that ended the store, or nil.
	Failed() error
	Close() error
}

// A Command is one entry for the state machine.
type Command = applier.Command

// A StateMachine is the replicated state. Calls come one at a time, in log order, from the replica's
// applier; a panic in one crash-restarts this replica alone: Restore resets the state to the latest snapshot, or to the empty state, and the
// log is replayed. How often, Tuning.Crashes says; with GroupConfig.NoRestart the first panic is final.
type StateMachine = applier.Machine

// GroupConfig describes one replica of a group. Zero values are the defaults named. MaxEntryBytes, sessions' limits and
// timeouts should be equal on all nodes, but nothing forks when they are not.
type GroupConfig struct {
	Group   raft.GroupID           // required; the same on every node
	Members []raft.NodeID          // founding voters, at most raft.MaxVoters, the same on every founder; empty: starts empty and waits to be added
	Tags    map[raft.NodeID]string // Member.Tag of the founders, for the program's own use
	Addrs   map[raft.NodeID]string // Member.Addr of the founders; default HostConfig.Peers
	// Tag, if not empty, is this node's Member.Tag from now on: the leader has the membership say so, unless HostConfig.KeepAddresses.
	Tag string

	// The state machine: either StateMachine or the three callbacks.
	StateMachine func() StateMachine
	Apply        func(Command) []byte
	Snapshot     func() (func(io.Writer) error, error) // optional: without it the log is never compacted
	// Restore replaces the state by what Snapshot's function wrote; nil stands for the empty state, which a log that was never compacted is
	// replayed onto. Required, unless NoRestart is set and Snapshot is not.
	Restore func(io.Reader) error
	// NoRestart has the first crash of the replica, be it a panic in the state machine or in our own code, end it: it stays down, with the reason
	// in Status. Then Apply may stand alone, for a state that cannot be reset.
	NoRestart bool

	// ApplyStall is how long the state machine may apply nothing of what is committed before the replica says so (ApplyStalled, Status.StalledSince,
	// the log) and, if it leads, hands over to a voter whose state machine has all that this one should have applied by then; to nobody where all
	// are as slow, and no more often than once in this time. Writes that wait for a state machine that hangs have no answer until it comes back: bound
	// them by their contexts, which makes their outcome unknown. Default 5s; negative: never.
	ApplyStall time.Duration

	// ApplyWaits says that Apply spends its time waiting, for a disk or another program, rather than on a processor: it takes none of HostConfig.ApplyTurns.
	ApplyWaits bool

	ElectionTimeout election.Timeout // default 150ms to 300ms
	// LeaseDrift is how much more than any follower's this node's clock may miss within ElectionTimeout.Min, be it for its rate or because the machine
	// was suspended: lease reads are answered for so much less than followers promise to elect nobody, and not at all, but by a round of
	// heartbeats, once clock and calendar have parted by more. Default ElectionTimeout.Min / 10; below ElectionTimeout.Min.
	LeaseDrift      time.Duration
	TransferTimeout time.Duration // default ElectionTimeout.Max: proposals are held no longer than this

	SnapshotEvery   uint64 // entries between snapshots; default 100,000; NoSnapshots: never by itself
	TrailingEntries uint64 // entries kept below a snapshot for slow followers; default 10,000. See also Tuning.KeptEntries
	SnapshotChunk   int    // bytes of a snapshot that one message carries; default 1 MiB

	MaxEntryBytes     int // default 8 MiB
	MaxBlockBytes     int // entries that wait together become blocks of about this size; default 2 MiB
	MaxInflightBlocks int // blocks not yet committed, beyond which proposals gather for a fuller one, Tuning.GatherTime at most; default 1
	// MaxInflightEntries bounds the proposals not yet answered, together with the entries that a leader found in its log, until they are known to
	// be committed, and likewise the entries that are not on the leader's own disk; past it requests wait for room. Default 16,384.
	MaxInflightEntries int
	MaxInflightBytes   int // their bytes; default 64 MiB
	// BusyWait is how long a proposal or read waits for room before it is refused with ErrBusy; default 1s, negative: not at all. Refused
	// at once, callers that repeat at once would keep the group from the processor.
	BusyWait   time.Duration
	MaxWaiting int // requests of actors that wait; further ones are refused at once; default 8 times MaxInflightEntries

	// Limits of client sessions (thesis §6.3). The leader's travel in the log with each opening, so that all replicas decide alike.
	SessionTTL      time.Duration // sessions unused for this long while somebody led expire; no calendar counts; default 1h
	MaxSessions     int           // more evict the least recently used; default 10,000
	MaxSessionBytes int           // what all together take in memory, by about: more evict the least recently used, but never the one in use; default 256 MiB

	SessionWindow      int // latest answers that a session remembers, at most; default 64
	SessionWindowBytes int // their bytes, above which the oldest is forgotten; default 1 MiB
	SessionAnswers     int // latest answers that are remembered whatever their size, as many as a client has writes under way; default 2, at most SessionWindow

	Tuning Tuning // limits that programs have no reason to change

	touched *atomic.Bool
}

// NoSnapshots as SnapshotEvery turns automatic snapshots off.
const NoSnapshots = ^uint64(0)
