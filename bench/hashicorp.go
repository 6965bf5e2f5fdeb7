package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
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

func (hashicorpPeer) name() string { return "hashicorp" }

func (hashicorpPeer) start(dir string) (cluster, error) {
	c := &hashicorpCluster{}
	leads := make(chan int, 64) // a voter's place in c.nodes, when it becomes leader
	var members raft.Configuration
	for i := range voters {
		n, err := openHashicorp(filepath.Join(dir, strconv.Itoa(i+1)), i)
		if err != nil {
			return nil, errors.Join(err, c.stop())
		}
		c.nodes = append(c.nodes, n)
		members.Servers = append(members.Servers, raft.Server{ID: n.config.LocalID, Address: n.transport.LocalAddr()})
	}
	for i, n := range c.nodes {
		if err := n.run(members, func() { leads <- i }); err != nil {
			return nil, errors.Join(err, c.stop())
		}
	}
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	for {
		select {
		case c.leader = <-leads:
			// The first entry of the leader's term must be applied before clients are measured.
			if c.nodes[c.leader].raft.Barrier(startTimeout).Error() == nil {
				return c, nil
			}
		case <-deadline.C:
			return nil, errors.Join(errNoLeader, c.stop())
		}
	}
}

// hashicorpCluster proposes to the voter that led first: a round in which another takes over is a failed one.
type hashicorpCluster struct {
	nodes  []*hashicorpNode
	leader int
}

func (c *hashicorpCluster) propose(data []byte) error {
	return c.nodes[c.leader].raft.Apply(data, 0).Error()
}

func (c *hashicorpCluster) machines() []*machine {
	out := []*machine{&c.nodes[c.leader].machine.machine}
	for i, n := range c.nodes {
		if i != c.leader {
			out = append(out, &n.machine.machine)
		}
	}
	return out
}

func (c *hashicorpCluster) stop() (err error) {
	endings := make([]raft.Future, len(c.nodes))
	for i, n := range c.nodes {
		if n.raft != nil {
			endings[i] = n.raft.Shutdown() // all at once, so that none is elected meanwhile
		}
	}
	for i, n := range c.nodes {
		if endings[i] != nil {
			err = errors.Join(err, endings[i].Error())
		}
		err = errors.Join(err, n.close())
	}
	return err
}

// hashicorpNode is one voter.
type hashicorpNode struct {
	config    *raft.Config
	log       *wal.WAL
	transport *raft.NetworkTransport
	machine   *hashicorpMachine
	raft      *raft.Raft
	roles     chan bool
	ended     chan struct{} // when the watcher of roles has ended; nil before run
}

// openHashicorp prepares a voter: its log and its listening socket.
func openHashicorp(dir string, place int) (*hashicorpNode, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	quiet := hclog.NewNullLogger()
	n := &hashicorpNode{config: raft.DefaultConfig(), machine: &hashicorpMachine{}, roles: make(chan bool, 16)}
	n.config.LocalID = raft.ServerID(strconv.Itoa(place + 1))
	n.config.Logger = quiet
	n.config.NotifyCh = n.roles
	n.config.BatchApplyCh = true
	n.config.MaxAppendEntries = hashicorpMaxAppend
	n.config.NoLegacyTelemetry = true
	n.config.LeaderLeaseTimeout = n.config.HeartbeatTimeout // a stalled disk is no reason to step down in 500ms
	n.config.SnapshotInterval = time.Hour
	n.config.SnapshotThreshold = math.MaxUint64
	var err error
	if n.log, err = wal.Open(dir, wal.WithLogger(quiet)); err != nil {
		return nil, fmt.Errorf("raft-wal: %w", err)
	}
	n.transport, err = raft.NewTCPTransportWithConfig("127.0.0.1:0", nil, &raft.NetworkTransportConfig{
		Logger:          quiet,
		MaxPool:         hashicorpConnections,
		MaxRPCsInFlight: hashicorpRPCsInRow,
		Timeout:         10 * time.Second,
	})
	if err != nil {
		return nil, errors.Join(err, n.log.Close())
	}
	return n, nil
}

// run founds the cluster on this voter and starts it; lead is called whenever it becomes leader.
func (n *hashicorpNode) run(members raft.Configuration, lead func()) error {
	cached, err := raft.NewLogCache(hashicorpCachedLogs, n.log)
	if err != nil {
		return err
	}
	snapshots := raft.NewDiscardSnapshotStore()
	if err := raft.BootstrapCluster(n.config, cached, n.log, snapshots, n.transport, members); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	if n.raft, err = raft.NewRaft(n.config, n.machine, cached, n.log, snapshots, n.transport); err != nil {
		return err
	}
	n.ended = make(chan struct{})
	go func() {
		defer close(n.ended)
		for leads := range n.roles {
			if leads {
				lead()
			}
		}
	}()
	return nil
}

// close frees what a voter that has ended held.
func (n *hashicorpNode) close() error {
	if n.ended != nil {
		close(n.roles) // nobody sends any more
		<-n.ended
	}
	err := errors.Join(n.transport.Close(), n.log.Close())
	n.transport.CloseStreams() // Close leaves the pooled connections open, and with them the goroutines at their other ends
	return err
}

// hashicorpMachine is the state machine as hashicorp/raft wants it. It implements raft.BatchingFSM.
type hashicorpMachine struct {
	machine
	answers []any // all nil: what ApplyBatch returns is read before the next call
}

func (m *hashicorpMachine) ApplyBatch(logs []*raft.Log) []any {
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			m.apply(l.Data)
		}
	}
	if len(logs) > len(m.answers) {
		m.answers = make([]any, max(len(logs), hashicorpMaxAppend))
	}
	return m.answers[:len(logs)]
}

func (m *hashicorpMachine) Apply(l *raft.Log) any {
	m.apply(l.Data)
	return nil
}

// errNoSnapshots refuses what the settings rule out.
var errNoSnapshots = errors.New("snapshots are off in this benchmark")

func (m *hashicorpMachine) Snapshot() (raft.FSMSnapshot, error) { return nil, errNoSnapshots }

func (m *hashicorpMachine) Restore(io.ReadCloser) error { return errNoSnapshots }
