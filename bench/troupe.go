package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// stopTimeout bounds a voter's stop.
const stopTimeout = 15 * time.Second

// troupePeer is Troupe with its defaults: Pebble, TCP, the Group facade.
type troupePeer struct{}

func (troupePeer) name() string { return "troupe" }

func (troupePeer) start(dir string) (cluster, error) {
	quiet := slog.New(slog.DiscardHandler)
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	c := &troupeCluster{system: system}
	var members []raft.NodeID
	addrs := map[raft.NodeID]string{}
	for i := range voters {
		id := raft.NodeID(i + 1)
		h, err := actors.StartHost(system, actors.HostConfig{
			Node: id, Cluster: "bench", Listen: "127.0.0.1:0", Dir: filepath.Join(dir, strconv.Itoa(i+1)), Log: quiet,
		})
		if err != nil {
			return nil, errors.Join(err, c.stop())
		}
		c.nodes = append(c.nodes, &troupeNode{host: h})
		members, addrs[id] = append(members, id), h.Addr()
	}
	for _, n := range c.nodes {
		for id, addr := range addrs {
			n.host.SetPeer(id, addr)
		}
	}
	for _, n := range c.nodes {
		g, err := actors.StartGroup(n.host, actors.GroupConfig{
			Group: 1, Members: members, Addrs: addrs, ElectionTimeout: election.Timeout{Min: time.Second, Max: 2 * time.Second},
			StateMachine: func() actors.StateMachine { return &troupeMachine{machine: &n.machine} },
		})
		if err != nil {
			return nil, errors.Join(err, c.stop())
		}
		n.group = g
	}
	return c, c.elect()
}

// troupeCluster proposes to the voter that led first: a round in which another takes over is a failed one.
type troupeCluster struct {
	system *actor.ActorSystem
	nodes  []*troupeNode
	leader int
}

type troupeNode struct {
	host    *actors.Host
	group   *actors.Group
	machine machine
}

// elect waits until a leader has committed in its own term, which a read needs.
func (c *troupeCluster) elect() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		for i, n := range c.nodes {
			if n.group.Status().Role != raft.Leader {
				continue
			}
			if _, err := n.group.Read(ctx); err == nil {
				c.leader = i
				return nil
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return errors.Join(errNoLeader, c.stop())
		}
	}
}

func (c *troupeCluster) propose(data []byte) error {
	_, err := c.nodes[c.leader].group.Propose(context.Background(), data)
	return err
}

func (c *troupeCluster) machines() []*machine {
	out := []*machine{&c.nodes[c.leader].machine}
	for i, n := range c.nodes {
		if i != c.leader {
			out = append(out, &n.machine)
		}
	}
	return out
}

func (c *troupeCluster) stop() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for _, n := range c.nodes {
		err = errors.Join(err, n.host.Stop(ctx))
	}
	return err
}

// troupeMachine is the machine behind Troupe's callbacks.
type troupeMachine struct{ machine *machine }

func (m *troupeMachine) Apply(c actors.Command) []byte {
	m.machine.apply(c.Data)
	return nil
}

func (m *troupeMachine) Snapshot() (func(io.Writer) error, error) {
	b := m.machine.save()
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}, nil
}

func (m *troupeMachine) Restore(r io.Reader) error {
	b := make([]byte, machineState)
	if r != nil {
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
	}
	return m.machine.load(b)
}
