package actors

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// RaftGroup is the Props of one replica: an ordinary actor, to be spawned with system.Root.Spawn or as any actor's child.
// Each spawn is a replica of its own life; two of one group on one host at a time are refused. A faulty
// configuration makes a replica that refuses everything, with the fault in its Status; StartGroup returns it instead.
func RaftGroup(h *Host, cfg GroupConfig) *actor.Props {
	return raftGroup(h, cfg, func() *Group { return newHandle(h, cfg) })
}

// StartGroup spawns a RaftGroup at the root of the host's actor system and returns its facade. It returns an error, with every
// fault, for a bad configuration; what the disk holds is found out later and shown by Status.
func StartGroup(h *Host, cfg GroupConfig) (*Group, error) {
	whole := cfg.withDefaults()
	if err := h.suits(&whole); err != nil {
		return nil, err
	}
	handle := newHandle(h, cfg)
	if err := h.claim(handle); err != nil {
		handle.end()
		return nil, err
	}
	handle.pid.Store(h.system.Root.Spawn(raftGroup(h, cfg, func() *Group { return handle })))
	if h.stopping.Load() { // Stop may have looked for the group before it had a PID
		h.system.Root.Stop(handle.PID())
	}
	return handle, nil
}

func raftGroup(h *Host, cfg GroupConfig, handle func() *Group) *actor.Props {
	cfg = cfg.withDefaults()
	cfg.Members, cfg.Addrs, cfg.Tags = slices.Clone(cfg.Members), maps.Clone(cfg.Addrs), maps.Clone(cfg.Tags) // the caller may go on to change its own
	cfg.touched = new(atomic.Bool)
	produce := func() actor.Actor {
		return &replica{
			host: h, cfg: cfg, handle: handle(), clock: h.stage.Clock(), supervision: cfg.Tuning.Daemons.backoff(h.stage, h.logger("raft")),
			log:   h.logger("raft").With("group", uint64(cfg.Group), "node", uint64(h.cfg.Node)),
			votes: h.logger("election").With("group", uint64(cfg.Group)),
		}
	}
	return stage.Props(h.stage, produce, stage.WithDrained(cfg.Tuning.FlushAfter), stage.WithLogger(h.logger("raft")))
}

func newHandle(h *Host, cfg GroupConfig) *Group {
	cfg = cfg.withDefaults()
	g := &Group{host: h, id: cfg.Group, system: h.system, ended: make(chan struct{}), limit: cfg.MaxEntryBytes, logBytes: cfg.Tuning.LogBytes}
	g.credit = newCredit(cfg.MaxInflightEntries, cfg.MaxInflightBytes)
	g.line = line{credit: g.credit, wait: cfg.BusyWait, busy: func(q *request) { q.refuse(g.elsewhere(ErrBusy)) }}
	g.credit.tell = func() { g.system.Root.Send(g.pid.Load(), &wake{credit: true}) }
	g.status.Store(&Status{Node: h.cfg.Node, Group: cfg.Group, Stopped: true})
	return g
}

// founding is the membership that a group with nothing on disk begins with.
func (c *GroupConfig) founding(h HostConfig) raft.Membership {
	var m raft.Membership
	m.Voters = without(c.Members, nil)
	for _, id := range m.Voters {
		m.Members = append(m.Members, raft.Member{ID: id, Addr: cmp.Or(c.Addrs[id], h.Peers[id]), Tag: c.Tags[id]})
	}
	return m
}

// machine makes the state machine of one run.
func (c *GroupConfig) machine() func() StateMachine {
	if c.StateMachine != nil {
		return c.StateMachine
	}
	return func() StateMachine { return callbacks{c.Apply, c.Snapshot, c.Restore, c.touched} }
}

func (c *GroupConfig) snapshotless() bool { return c.StateMachine == nil && c.Snapshot == nil }

// callbacks makes a state machine of three functions.
type callbacks struct {
	apply    func(Command) []byte
	snapshot func() (func(io.Writer) error, error)
	restore  func(io.Reader) error
	touched  *atomic.Bool // Apply was called: the state is not empty any more
}

var (
	errNoSnapshot = errors.New("GroupConfig.Snapshot is not set")
	errNoReset    = errors.New("the state machine cannot be reset for a replay: GroupConfig.Restore is not set")
)

func (c callbacks) Apply(cmd applier.Command) []byte {
	c.touched.Store(true)
	return c.apply(cmd)
}

func (c callbacks) Snapshot() (func(io.Writer) error, error) {
	if c.snapshot == nil {
		return nil, errNoSnapshot
	}
	return c.snapshot()
}

func (c callbacks) Restore(rd io.Reader) error {
	if c.restore == nil {
		if rd != nil {
			return errNoSnapshot
		}
		if c.touched.Load() { // a replay onto the old state would apply everything twice
			return errNoReset
		}
		return nil
	}
	return c.restore(rd)
}

// Validate reports every fault at once, or nil.
func (c GroupConfig) Validate() (err error) {
	fault := func(bad bool, format string, args ...any) {
		if bad {
			err = errors.Join(err, fmt.Errorf("GroupConfig: "+format, args...))
		}
	}
	fault(c.Group == 0, "Group is not set")
	fault(slices.Contains(c.Members, raft.None), "Members holds node 0")
	fault(len(without(c.Members, nil)) != len(c.Members), "Members names a node twice")
	fault(c.MaxEntryBytes+c.MaxBlockBytes > entry.MaxBlock, "MaxEntryBytes and MaxBlockBytes together are above %d", entry.MaxBlock)
	fault(len(c.Members) > raft.MaxVoters, "%d Members, at most %d can vote", len(c.Members), raft.MaxVoters)
	fault((c.StateMachine == nil) == (c.Apply == nil), "set either StateMachine or Apply")
	fault(c.StateMachine != nil && (c.Snapshot != nil || c.Restore != nil), "Snapshot and Restore belong to Apply, not to StateMachine")
	fault(c.Snapshot != nil && c.Restore == nil, "Snapshot is set and Restore is not: nobody could start from a snapshot")
	fault(c.Apply != nil && c.Snapshot == nil && c.Restore == nil && !c.NoRestart, "Restore is not set, so that after a panic the log could not be "+
		"replayed: set Restore (its reader is nil for the empty state), or NoRestart to have the first panic end the replica")
	if e := c.ElectionTimeout.Validate(); e != nil {
		err = errors.Join(err, e)
	}
	for name, v := range map[string]int{
		"MaxEntryBytes": c.MaxEntryBytes, "MaxBlockBytes": c.MaxBlockBytes, "SnapshotChunk": c.SnapshotChunk,
		"MaxInflightBlocks": c.MaxInflightBlocks, "MaxInflightEntries": c.MaxInflightEntries, "MaxInflightBytes": c.MaxInflightBytes,
		"MaxWaiting": c.MaxWaiting,
	} {
		fault(v < 0, "%s %d is negative", name, v)
	}
	fault(c.LeaseDrift < 0, "LeaseDrift %v is negative", c.LeaseDrift)
	shortest := cmp.Or(c.ElectionTimeout.Min, defaultElection.Min)
	fault(c.LeaseDrift >= shortest && shortest > 0, "LeaseDrift %v is not below ElectionTimeout.Min %v: no lease would ever last", c.LeaseDrift, shortest)
	fault(c.TransferTimeout < 0, "TransferTimeout %v is negative", c.TransferTimeout)
	c.sessionFaults(fault)
	fault(c.MaxInflightEntries > maxCreditEntries, "MaxInflightEntries %d is above %d", c.MaxInflightEntries, maxCreditEntries)
	fault(c.MaxInflightBytes > maxCreditBytes, "MaxInflightBytes %d is above %d", c.MaxInflightBytes, maxCreditBytes)
	c.Tuning.validate(fault)
	return err
}

// withDefaults fills in what is zero.
func (c GroupConfig) withDefaults() GroupConfig {
	c.ElectionTimeout.Min = cmp.Or(c.ElectionTimeout.Min, defaultElection.Min)
	c.ElectionTimeout.Max = cmp.Or(c.ElectionTimeout.Max, 2*c.ElectionTimeout.Min)
	c.LeaseDrift = cmp.Or(c.LeaseDrift, c.ElectionTimeout.Min/10)
	c.TransferTimeout = cmp.Or(c.TransferTimeout, c.ElectionTimeout.Max)
	c.SnapshotEvery = cmp.Or(c.SnapshotEvery, 100_000)
	c.TrailingEntries = cmp.Or(c.TrailingEntries, 10_000)
	c.SnapshotChunk = cmp.Or(c.SnapshotChunk, 1<<20)
	c.MaxEntryBytes = cmp.Or(c.MaxEntryBytes, 8<<20)
	c.MaxBlockBytes = cmp.Or(c.MaxBlockBytes, 2<<20)
	c.MaxInflightBlocks = cmp.Or(c.MaxInflightBlocks, 1)
	c.MaxInflightEntries = cmp.Or(c.MaxInflightEntries, 16_384)
	c.MaxInflightBytes = cmp.Or(c.MaxInflightBytes, 64<<20)
	c.BusyWait = cmp.Or(c.BusyWait, time.Second)
	c.MaxWaiting = cmp.Or(c.MaxWaiting, 8*c.MaxInflightEntries)
	c.ApplyStall = cmp.Or(c.ApplyStall, 5*time.Second)
	c.sessionDefaults()
	c.Tuning = c.Tuning.withDefaults()
	c.Tuning.KeptEntries = cmp.Or(c.Tuning.KeptEntries, keptEntries(c.SnapshotEvery, c.TrailingEntries))
	return c
}

// keptEntries is Tuning.KeptEntries where it is not set.
func keptEntries(every, trailing uint64) int {
	const least, most = 100_000, 1 << 25 // an int of 32 bits holds that
	if every == NoSnapshots {
		every = 0
	}
	return int(min(most, max(least, 16*(min(every, most)+min(trailing, most)))))
}
