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
	Listen  string      // TCP address for Raft traffic; port 0 picks one. Required unless Transport is set
	// Advertise is where peers reach Listen, for those that do not know it from a membership; default the bound address.
	Advertise string
	Dir       string                 // folder that only this node uses. Required
	Peers     map[raft.NodeID]string // addresses known from the start; later ones come with memberships
	TLS       *tls.Config            // nil: plain TCP. Serves both directions; set ClientAuth for mutual TLS

	HeartbeatInterval time.Duration // default 50ms; a third or less of the shortest election timeout

	Stage     stage.Stage      // default stage.NewLive()
	FS        vfs.FS           // default the operating system's
	Transport remote.Transport // default TCP on Listen
	Store     Store            // default a Pebble database in Dir; given one, Host.Stop closes it
	// Watch, for simulators and checkers, is called on the replica's own turn after every step of its rules. It must neither change
	// nor keep the node, and not block.
	Watch func(raft.GroupID, *raft.Node)
	Log   *slog.Logger // default slog.Default()
	// Loggers may name a logger per module (raft, election, replication, heartbeat, applier, snapshotter,
	// persister, remote); default Log with attribute module.
	Loggers func(module string) *slog.Logger
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
// applier; a panic in one crash-restarts this replica alone (reset from the latest snapshot, log replayed).
type StateMachine = applier.Machine

// GroupConfig describes one replica of a group. Zero values are the defaults named. MaxEntryBytes, sessions' limits and
// timeouts should be equal on all nodes, but nothing forks when they are not.
type GroupConfig struct {
	Group   raft.GroupID           // required; the same on every node
	Members []raft.NodeID          // founding voters, the same on every founder; empty: starts empty and waits to be added
	Tags    map[raft.NodeID]string // Member.Tag of the founders, for the program's own use
	Addrs   map[raft.NodeID]string // Member.Addr of the founders; default HostConfig.Peers

	// The state machine: either StateMachine or the three callbacks.
	StateMachine func() StateMachine
	Apply        func(Command) []byte
	Snapshot     func() (func(io.Writer) error, error) // optional: without it the log is never compacted
	Restore      func(io.Reader) error                 // required with Snapshot; nil reader: empty state

	ElectionTimeout election.Timeout // default 150ms to 300ms
	TransferTimeout time.Duration    // default ElectionTimeout.Max: proposals are held no longer than this

	SnapshotEvery   uint64 // entries between snapshots; default 100,000; NoSnapshots: never by itself
	TrailingEntries uint64 // entries kept below a snapshot for slow followers; default 10,000
	SnapshotChunk   int    // bytes of a snapshot that one message carries; default 1 MiB

	MaxEntryBytes     int // default 8 MiB
	MaxBlockBytes     int // entries that wait together become blocks of about this size; default 2 MiB
	MaxInflightBlocks int // blocks not yet committed, beyond which proposals gather for a fuller one, 2ms at most; default 1
	// MaxInflightEntries bounds the proposals not yet answered, together with the entries that a leader found in its log, until they are known to
	// be committed, and likewise the entries that are not on the leader's own disk; past it ErrBusy. Default 16,384.
	MaxInflightEntries int
	MaxInflightBytes   int // their bytes; default 64 MiB

	SessionTTL  time.Duration // idle client sessions expire after this, on the log's own clock; default 1h
	MaxSessions int           // more evict the least recently used; default 10,000

	touched *atomic.Bool
}

// NoSnapshots as SnapshotEvery turns automatic snapshots off.
const NoSnapshots = ^uint64(0)
