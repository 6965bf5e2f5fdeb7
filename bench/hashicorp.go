package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
)

// Settings of hashicorp/raft that differ from its defaults; README.md says why.
const (
	hashicorpMaxAppend   = 1024 // the most that it allows
	hashicorpRPCsInRow   = 128
	hashicorpCachedLogs  = 16384
	hashicorpConnections = 3
)

// hashicorpPeer is hashicorp/raft with raft-wal over its own TCP transport.
type hashicorpPeer struct{}

func (hashicorpPeer) name() string       { return "hashicorp" }
func (hashicorpPeer) offers(w work) bool { return w != lease }

func (p hashicorpPeer) start(dir string, s settings) (cluster, error) { return launch(p.found(dir, s)) }

func (hashicorpPeer) found(dir string, s settings) voterSet {
	return &votersOf[*hashicorpNode]{dir: dir, listen: func(place int, dir, address string) (*hashicorpNode, error) {
		return openHashicorp(dir, place, address, s)
	}}
}

// hashicorpNode is one voter.
type hashicorpNode struct {
	config    *raft.Config
	log       *wal.WAL
	meta      *metadb.BoltMetaDB // of log, which does not close it
	snapshots raft.SnapshotStore
	transport *raft.NetworkTransport
	machine   *hashicorpMachine
	raft      *raft.Raft
	ending    raft.Future // of a halted voter that has joined
}

// openHashicorp prepares a voter: its log and its listening socket.
func openHashicorp(dir string, place int, address string, s settings) (*hashicorpNode, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	quiet := hclog.NewNullLogger()
	n := &hashicorpNode{config: raft.DefaultConfig(), machine: &hashicorpMachine{}, meta: &metadb.BoltMetaDB{}, snapshots: raft.NewDiscardSnapshotStore()}
	n.machine.keep = s.keep
	n.config.LocalID = raft.ServerID(strconv.Itoa(place + 1))
	n.config.Logger = quiet
	n.config.BatchApplyCh = true
	n.config.MaxAppendEntries = hashicorpMaxAppend
	n.config.NoLegacyTelemetry = true
	if s.election > 0 {
		n.config.HeartbeatTimeout, n.config.ElectionTimeout = s.election, s.election
	}
	n.config.LeaderLeaseTimeout = n.config.HeartbeatTimeout // a stalled disk is no reason to step down in 500ms
	n.config.SnapshotInterval = time.Hour
	n.config.SnapshotThreshold = math.MaxUint64
	var err error
	if s.keep {
		n.config.TrailingLogs = 0
		if n.snapshots, err = raft.NewFileSnapshotStoreWithLogger(dir, 1, quiet); err != nil {
			return nil, err
		}
	}
	if n.log, err = wal.Open(dir, wal.WithLogger(quiet), wal.WithMetaStore(n.meta)); err != nil {
		return nil, errors.Join(fmt.Errorf("raft-wal: %w", err), n.meta.Close())
	}
	n.transport, err = raft.NewTCPTransportWithConfig(address, nil, &raft.NetworkTransportConfig{
		Logger:          quiet,
		MaxPool:         hashicorpConnections,
		MaxRPCsInFlight: hashicorpRPCsInRow,
		Timeout:         10 * time.Second,
	})
	if err != nil {
		return nil, errors.Join(err, n.log.Close(), n.meta.Close())
	}
	return n, nil
}

func (n *hashicorpNode) address() string { return string(n.transport.LocalAddr()) }
func (n *hashicorpNode) state() *machine { return &n.machine.machine }

// join founds the cluster on this voter, unless its folder has one, and starts it.
func (n *hashicorpNode) join(addresses []string) error {
	cached, err := raft.NewLogCache(hashicorpCachedLogs, n.log)
	if err != nil {
		return err
	}
	existing, err := raft.HasExistingState(cached, n.log, n.snapshots)
	if err != nil {
		return err
	}
	if !existing {
		var members raft.Configuration
		for i, a := range addresses {
			members.Servers = append(members.Servers, raft.Server{ID: raft.ServerID(strconv.Itoa(i + 1)), Address: raft.ServerAddress(a)})
		}
		if err := raft.BootstrapCluster(n.config, cached, n.log, n.snapshots, n.transport, members); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
	}
	n.raft, err = raft.NewRaft(n.config, n.machine, cached, n.log, n.snapshots, n.transport)
	return err
}

// leads waits until the first entry of the leader's term is applied. From there on all entries are commands: what was
// committed until then, the machine has without being told of every index.
func (n *hashicorpNode) leads() bool {
	if n.raft.State() != raft.Leader || n.raft.Barrier(startTimeout).Error() != nil {
		return false
	}
	n.machine.applied.advance(n.raft.AppliedIndex())
	return true
}

func (n *hashicorpNode) propose(data []byte) error { return n.raft.Apply(data, 0).Error() }

// read takes the commit index, has a quorum confirm the leader by heartbeats sent after that, and waits until the machine has
// applied up to the index.
func (n *hashicorpNode) read(lease bool) (count uint64, err error) {
	if lease {
		return 0, errNotOffered
	}
	point := n.raft.CommitIndex()
	if err := n.raft.VerifyLeader().Error(); err != nil {
		return 0, err
	}
	if err := n.machine.applied.await(point, drainTimeout); err != nil {
		return 0, err
	}
	return n.machine.count.Load(), nil
}

func (n *hashicorpNode) snapshot() error { return n.raft.Snapshot().Error() }

func (n *hashicorpNode) halt() {
	if n.raft != nil {
		n.ending = n.raft.Shutdown()
	}
	_ = n.transport.Close() // which fails never, and close does it again
	n.transport.CloseStreams()
}

// close frees what a voter that has ended held.
func (n *hashicorpNode) close() (err error) {
	if n.ending != nil {
		err = n.ending.Error()
	}
	err = errors.Join(err, n.transport.Close(), n.log.Close(), n.meta.Close())
	n.transport.CloseStreams() // Close leaves the pooled connections open, and with them the goroutines at their other ends
	return err
}
