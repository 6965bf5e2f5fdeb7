package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// stopTimeout bounds a voter's stop.
const stopTimeout = 15 * time.Second

// troupePeer is Troupe with its defaults: Pebble, TCP, the Group facade.
type troupePeer struct{}

func (troupePeer) name() string     { return "troupe" }
func (troupePeer) offers(work) bool { return true }

func (p troupePeer) start(dir string, s settings) (cluster, error) { return launch(p.found(dir, s)) }

func (troupePeer) found(dir string, s settings) voterSet {
	quiet := slog.New(slog.DiscardHandler)
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	return &troupeCluster{dir: dir, listen: func(place int, dir, address string) (*troupeNode, error) {
		n := &troupeNode{settings: s, system: system, ended: make(chan error, 1)}
		n.machine.keep = s.keep
		var err error
		n.host, err = actors.StartHost(system, actors.HostConfig{
			Node: raft.NodeID(place + 1), Cluster: "bench", Listen: address, Dir: dir, Log: quiet, HeartbeatInterval: s.election / 10,
		})
		return n, err
	}}
}

type troupeCluster = votersOf[*troupeNode]

type troupeNode struct {
	settings settings
	system   *actor.ActorSystem // all voters'
	host     *actors.Host
	group    *actors.Group
	machine  machine
	ended    chan error // what a halted host says in the end
}

func (n *troupeNode) address() string { return n.host.Addr() }
func (n *troupeNode) state() *machine { return &n.machine }

func (n *troupeNode) join(addresses []string) (err error) {
	cfg := actors.GroupConfig{
		Group: 1, Addrs: map[raft.NodeID]string{}, ElectionTimeout: election.Timeout{Min: time.Second, Max: 2 * time.Second},
		StateMachine: func() actors.StateMachine { return &troupeMachine{machine: &n.machine} },
	}
	if d := n.settings.election; d > 0 {
		cfg.ElectionTimeout = election.Timeout{Min: d, Max: 2 * d}
	}
	if n.settings.keep || n.settings.replay {
		cfg.SnapshotEvery, cfg.TrailingEntries = actors.NoSnapshots, 1
	}
	for i, address := range addresses {
		id := raft.NodeID(i + 1)
		cfg.Members, cfg.Addrs[id] = append(cfg.Members, id), address
		n.host.SetPeer(id, address)
	}
	n.group, err = actors.StartGroup(n.host, cfg)
	return err
}

// leads waits until a leader has committed in its own term, which a read needs.
func (n *troupeNode) leads() bool {
	if n.group.Status().Role != raft.Leader {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	_, err := n.group.Read(ctx)
	return err == nil
}

func (n *troupeNode) propose(data []byte) error {
	_, err := n.group.Propose(context.Background(), data)
	return err
}

func (n *troupeNode) read(lease bool) (count uint64, err error) {
	if lease {
		_, err = n.group.LeaseRead(context.Background())
	} else {
		_, err = n.group.Read(context.Background())
	}
	return n.machine.count.Load(), err
}

func (n *troupeNode) snapshot() error {
	_, err := n.group.Snapshot(context.Background())
	return err
}

// halt loses whatever would still be sent, as if the sockets were closed before anything else ends.
func (n *troupeNode) halt() {
	n.host.SetChaos(remote.Chaos{Drop: 1})
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		n.ended <- n.host.Stop(ctx)
	}()
}

func (n *troupeNode) close() error { return <-n.ended }

// troupeMachine is the machine behind Troupe's callbacks.
type troupeMachine struct{ machine *machine }

func (m *troupeMachine) Apply(c actors.Command) []byte {
	m.machine.apply(c.Data)
	return nil
}

func (m *troupeMachine) Snapshot() (func(io.Writer) error, error) { return m.machine.capture(), nil }

func (m *troupeMachine) Restore(r io.Reader) error {
	if r == nil {
		m.machine.reset()
		return nil
	}
	return m.machine.restore(r)
}
