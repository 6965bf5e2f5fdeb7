package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

const (
	defaultCluster   = "troupe"
	defaultHeartbeat = 50 * time.Millisecond
)

var defaultElection = election.Timeout{Min: 150 * time.Millisecond, Max: 300 * time.Millisecond}

// A Host is one node: its identity, store, transport and heartbeat, shared by the groups that run on it. Its
// methods are safe for concurrent use.
type Host struct {
	cfg       HostConfig
	system    *actor.ActorSystem
	stage     stage.Stage
	ownStage  bool
	fs        vfs.FS
	store     Store
	reader    persister.Reader
	transport remote.Transport
	locator   remote.Locator // transport, if it is one
	root      *actor.PID     // supervises what is shared
	publisher *actor.PID
	shared

	groups   sync.Map              // raft.GroupID → *Group: written by each replica for itself, read by anybody
	routes   sync.Map              // raft.GroupID → *route
	broken   atomic.Pointer[error] // why the host's own actors cannot go on; the store knows its failures itself
	failures failures
	logs     *loggers
	life     uint64        // begins raft.Config.Life of this start's replicas
	lives    atomic.Uint64 // of them, given by now
	guard    *guard        // nil when the store keeps no Lineage

	eventsDropped atomic.Uint64

	given sync.Map // raft.NodeID → string: where nodes listen, by the program's own word

	mismatches mismatches

	undead func() // ends the watch over dead letters

	stopping atomic.Bool
	stopped  chan struct{}
	stopErr  error
}

// A route is where a running replica's messages are delivered, a peer's and the host's. It is immutable.
type route struct{ group, syncer, snapshotter *actor.PID }

// StartHost opens the node's store, listens, and starts what its groups share. It refuses, with one line that names the
// file and the cause, a folder that is unreadable, damaged, in use, or of another node or cluster.
func StartHost(system *actor.ActorSystem, cfg HostConfig) (*Host, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Peers = maps.Clone(cfg.Peers) // the caller may go on to change its own
	h := &Host{cfg: cfg, system: system, stage: cfg.Stage, fs: cfg.FS, stopped: make(chan struct{})}
	h.mismatches.interval, h.mismatches.limit = cfg.Tuning.MismatchAfter, cfg.Tuning.Mismatches
	if h.stage == nil {
		h.stage, h.ownStage = stage.NewLive(), true
	}
	h.life = 1 + h.stage.Rand("life").Uint64()>>1
	h.logs = newLoggers(&h.cfg, h.stage)
	if err := h.open(); err != nil {
		h.logs.flush(context.Background())
		if h.ownStage {
			h.stage.Close()
		}
		return nil, err
	}
	return h, nil
}

func (h *Host) open() error {
	store, founders := h.cfg.Store, h.cfg.founders()
	if store == nil {
		disk, err := persister.Open(persister.Config{
			Dir: h.cfg.Dir, FS: h.fs, Cluster: h.cfg.Cluster, KeepCluster: h.cfg.KeepCluster, Node: h.cfg.Node, Founders: h.cfg.founders(), Log: h.logger("persister"),
			MaxOpenFiles: h.cfg.Tuning.OpenTables,
		})
		if err != nil {
			return err
		}
		store, founders, h.cfg.Cluster = disk, disk.Founders(), disk.Cluster()
	}
	h.store, h.reader = store, store
	if l, ok := store.(Lineage); ok {
		h.guard = h.newGuard(l)
	}
	for node, addr := range h.cfg.Peers {
		h.given.Store(node, addr)
	}
	h.transport = h.cfg.Transport
	if h.transport == nil {
		cfg := remote.Config{
			System: h.system, Stage: h.stage, Node: h.cfg.Node, Cluster: h.cfg.Cluster,
			Listen: h.cfg.Listen, Advertise: h.cfg.Advertise, Peers: h.cfg.Peers, TLS: h.cfg.TLS, TLSNow: h.cfg.TLSNow,
			TLSAllowUnverified: h.cfg.TLSAllowUnverified, TLSAnyName: h.cfg.TLSAnyName, Log: h.logger("remote"), Founders: founders, MaxConns: h.cfg.Tuning.Connections,
		}
		if h.guard != nil {
			cfg.Guard = h.guard
		}
		tcp, err := remote.NewTCP(cfg)
		if err != nil {
			return errors.Join(err, store.Close())
		}
		h.transport = tcp
	} else if t, ok := h.transport.(remote.Guarded); ok && h.guard != nil {
		t.SetGuard(h.guard)
	}
	h.locator, _ = h.transport.(remote.Locator)
	h.undead = stage.DropDeadLetters(h.system)
	if err := h.spawnShared(); err != nil {
		return errors.Join(err, store.Close())
	}
	if err := h.transport.Start(h.deliver); err != nil {
		h.stopShared()
		h.undead()
		return errors.Join(err, store.Close())
	}
	return nil
}

// Node is this host's id.
func (h *Host) Node() raft.NodeID { return h.cfg.Node }

// Cluster is the name of the cluster: HostConfig.Cluster, unless that says that the folder's counts.
func (h *Host) Cluster() string { return h.cfg.Cluster }

// Addr is the address that the transport listens on.
func (h *Host) Addr() string { return h.transport.Addr() }

// Group is the facade of a group that runs on this host.
func (h *Host) Group(id raft.GroupID) (*Group, bool) {
	g, ok := h.groups.Load(id)
	if !ok || g.(*Group).PID() == nil {
		return nil, false
	}
	return g.(*Group), true
}

// SetChaos disturbs this node's Raft traffic, for tests and demonstrations. The zero Chaos heals it.
func (h *Host) SetChaos(c remote.Chaos) { h.transport.SetChaos(c) }

// Stats counts the transport's traffic, and what was dropped because a subscriber or a log handler was slow.
func (h *Host) Stats() Stats {
	return Stats{Stats: h.transport.Stats(), EventsDropped: h.eventsDropped.Load(), LinesDropped: h.logs.dropped()}
}

// Stats are counts of one host since it started.
type Stats struct {
	remote.Stats
	EventsDropped uint64 // that subscribers of the event stream never got: HostTuning.EventQueue
	LinesDropped  uint64 // of the log, that their handler was too slow for or failed to write: HostTuning.LogQueue
}

// Stop stops the groups, the transport and the store, in this order. It returns, within the context's time, every
// failure recorded while the host ran. Stopping again waits for the first and returns the same. From within a state machine that it would wait
// for it is refused: ErrWithinApply.
func (h *Host) Stop(ctx context.Context) error {
	for _, g := range h.running() {
		if g.inside.Here() {
			return ErrWithinApply
		}
	}
	if h.stopping.CompareAndSwap(false, true) {
		h.stopErr = h.stop(ctx)
		close(h.stopped)
	}
	select {
	case <-h.stopped: // what is known counts, although the context may be over too
		return h.stopErr
	default:
	}
	select {
	case <-h.stopped:
		return h.stopErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *Host) stop(ctx context.Context) error {
	err := h.stopGroups(ctx)
	err = errors.Join(err, h.transport.Stop(ctx))
	h.flushEvents(ctx)
	h.stopShared()
	err = errors.Join(err, h.store.Close())
	h.logs.flush(ctx)
	h.undead()
	if h.ownStage {
		h.stage.Close()
	}
	return errors.Join(err, h.failures.all())
}

func (h *Host) stopGroups(ctx context.Context) (err error) {
	running := h.running()
	for _, g := range running {
		if pid := g.PID(); pid != nil {
			h.system.Root.Stop(pid)
		}
	}
	for _, g := range running {
		select {
		case <-g.ended:
		case <-ctx.Done():
			err = errors.Join(err, fmt.Errorf("group %d did not stop in time: %w", g.id, ctx.Err()))
		}
	}
	return err
}

// failures are what went wrong for good, told again when the host stops.
type failures struct {
	mu   sync.Mutex
	list []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, err)
}

func (f *failures) all() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.list...)
}

func (h *Host) failed(group raft.GroupID, reason error) {
	h.failures.add(fmt.Errorf("group %d: %w", group, reason))
}

func (h *Host) storeFailure() error {
	if e := h.broken.Load(); e != nil {
		return *e
	}
	return h.store.Failed()
}

func (h *Host) snapshotDir(g raft.GroupID) string { return h.store.SnapshotDir(g) }

func (h *Host) raftConfig(c *GroupConfig) raft.Config {
	return raft.Config{
		ID: h.cfg.Node, ElectionMin: c.ElectionTimeout.Min, ElectionMax: c.ElectionTimeout.Max, LeaseDrift: c.LeaseDrift,
		Life: h.life + h.lives.Add(1)<<32, // a replica that starts again after a crash is another one, whose doubts have names of their own
	}
}

func (c HostConfig) withDefaults() HostConfig {
	c.Cluster = cmp.Or(c.Cluster, defaultCluster)
	c.HeartbeatInterval = cmp.Or(c.HeartbeatInterval, defaultHeartbeat)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.ApplyTurns == nil {
		c.ApplyTurns = stage.NewTurns(stage.TurnsConfig{})
	}
	if c.FS == nil {
		c.FS = vfs.Default
	}
	c.Tuning = c.Tuning.withDefaults(c.HeartbeatInterval)
	return c
}

// founders is the checksum of the founding members, or 0.
func (c HostConfig) founders() uint32 {
	return raft.Membership{Voters: without(c.Founders, nil)}.Sum()
}

// Validate reports every fault at once, or nil.
func (c HostConfig) Validate() (err error) {
	fault := func(bad bool, format string, args ...any) {
		if bad {
			err = errors.Join(err, fmt.Errorf("HostConfig: "+format, args...))
		}
	}
	fault(c.Node == raft.None, "Node is not set")
	fault(c.Dir == "" && c.Store == nil, "Dir is not set")
	fault(c.Listen == "" && c.Transport == nil, "Listen is not set")
	fault(c.HeartbeatInterval < 0, "HeartbeatInterval is negative")
	c.Tuning.validate(fault)
	if c.Transport == nil {
		err = errors.Join(err, remote.Config{TLS: c.TLS, TLSNow: c.TLSNow, TLSAllowUnverified: c.TLSAllowUnverified}.ValidateTLS())
	}
	return err
}
