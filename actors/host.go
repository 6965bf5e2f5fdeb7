package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
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
	defaultCluster    = "troupe"
	defaultHeartbeat  = 50 * time.Millisecond
	defaultSessionTTL = time.Hour
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
	root      *actor.PID // supervises the next two
	persister *actor.PID
	heartbeat *actor.PID

	groups   sync.Map              // raft.GroupID → *Group: written by each replica for itself, read by anybody
	routes   sync.Map              // raft.GroupID → *route
	broken   atomic.Pointer[error] // why the host's own actors cannot go on; the store knows its failures itself
	failures failures

	undead func() // ends the watch over dead letters

	stopping atomic.Bool
	stopped  chan struct{}
	stopErr  error
}

// A route is where the transport delivers a running replica's messages. It is immutable.
type route struct{ group, syncer *actor.PID }

// StartHost opens the node's store, listens, and starts what its groups share. It refuses, with one line that names the
// file and the cause, a folder that is unreadable, damaged, in use, or of another node or cluster.
func StartHost(system *actor.ActorSystem, cfg HostConfig) (*Host, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	h := &Host{cfg: cfg, system: system, stage: cfg.Stage, fs: cfg.FS, stopped: make(chan struct{})}
	if h.stage == nil {
		h.stage, h.ownStage = stage.NewLive(), true
	}
	if err := h.open(); err != nil {
		if h.ownStage {
			h.stage.Close()
		}
		return nil, err
	}
	return h, nil
}

func (h *Host) open() error {
	store := h.cfg.Store
	if store == nil {
		disk, err := persister.Open(persister.Config{
			Dir: h.cfg.Dir, FS: h.fs, Cluster: h.cfg.Cluster, Node: h.cfg.Node, Log: h.logger("persister"),
		})
		if err != nil {
			return err
		}
		store = disk
	}
	h.store, h.reader = store, store
	h.transport = h.cfg.Transport
	if h.transport == nil {
		tcp, err := remote.NewTCP(remote.Config{
			System: h.system, Stage: h.stage, Node: h.cfg.Node, Cluster: h.cfg.Cluster,
			Listen: h.cfg.Listen, Advertise: h.cfg.Advertise, Peers: h.cfg.Peers, TLS: h.cfg.TLS, Log: h.logger("remote"),
		})
		if err != nil {
			return errors.Join(err, store.Close())
		}
		h.transport = tcp
	}
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

// SetPeer says where a node listens. Memberships that carry addresses do the same.
func (h *Host) SetPeer(node raft.NodeID, addr string) { h.transport.SetPeer(node, addr) }

// SetChaos disturbs this node's Raft traffic, for tests and demonstrations. The zero Chaos heals it.
func (h *Host) SetChaos(c remote.Chaos) { h.transport.SetChaos(c) }

// Stats counts the transport's traffic.
func (h *Host) Stats() remote.Stats { return h.transport.Stats() }

// Stop stops the groups, the transport and the store, in this order. It returns, within the context's time, every
// failure recorded while the host ran. Stopping again waits for the first and returns the same.
func (h *Host) Stop(ctx context.Context) error {
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
	h.stopShared()
	err = errors.Join(err, h.store.Close())
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

// announce publishes an event. A subscriber's panic is the subscriber's: it must not crash the replica that it heard of.
func (h *Host) announce(event any) {
	defer func() {
		if p := recover(); p != nil {
			h.logger("raft").Error("a subscriber of the event stream panicked", "event", fmt.Sprintf("%T", event), "panic", p, "stack", string(debug.Stack()))
		}
	}()
	h.system.EventStream.Publish(event)
}

func (h *Host) snapshotDir(g raft.GroupID) string { return h.store.SnapshotDir(g) }

func (h *Host) logger(module string) *slog.Logger {
	if h.cfg.Loggers != nil {
		return h.cfg.Loggers(module)
	}
	return h.cfg.Log.With("module", module)
}

func (h *Host) raftConfig(c *GroupConfig) raft.Config {
	return raft.Config{ID: h.cfg.Node, ElectionMin: c.ElectionTimeout.Min, LeaseDrift: c.ElectionTimeout.Min / 10}
}

func (c HostConfig) withDefaults() HostConfig {
	c.Cluster = cmp.Or(c.Cluster, defaultCluster)
	c.HeartbeatInterval = cmp.Or(c.HeartbeatInterval, defaultHeartbeat)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.FS == nil {
		c.FS = vfs.Default
	}
	return c
}

// Validate reports every fault at once, or nil.
func (c HostConfig) Validate() (err error) {
	fault := func(bad bool, words string) {
		if bad {
			err = errors.Join(err, errors.New("HostConfig: "+words))
		}
	}
	fault(c.Node == raft.None, "Node is not set")
	fault(c.Dir == "" && c.Store == nil, "Dir is not set")
	fault(c.Listen == "" && c.Transport == nil, "Listen is not set")
	fault(c.HeartbeatInterval < 0, "HeartbeatInterval is negative")
	return err
}
