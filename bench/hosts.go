package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// A hostsSpec says what runs on the hosts of a cluster, beside the default configuration.
type hostsSpec struct {
	dir    string
	voters int
	first  int // groups of one kind, which come first
	others int
	linked bool // each host behind a slowLink
	rate   float64
	host   func(*actors.HostConfig)           // nil: as it is
	group  func(n int, c *actors.GroupConfig) // likewise
}

// A hostCluster is some hosts of this process, and groups that run on each of them.
type hostCluster struct {
	hosts     []*actors.Host
	links     []*slowLink
	groups    []*hostGroup
	elections [2]atomic.Int64 // of the others, of the first
}

// A hostGroup is one group's replicas, and who took the last write.
type hostGroup struct {
	replicas []*actors.Group
	leader   atomic.Int64
}

func startHosts(spec hostsSpec) (c *hostCluster, err error) {
	c = &hostCluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	quiet := slog.New(slog.DiscardHandler)
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	system.EventStream.Subscribe(func(e any) {
		if r, ok := e.(*actors.RoleChanged); ok && r.Role == raft.Leader {
			c.elections[min(1, spec.first/int(r.Group))].Add(1)
		}
	})
	addrs := map[raft.NodeID]string{}
	var members []raft.NodeID
	for i := range spec.voters {
		id := raft.NodeID(i + 1)
		cfg := actors.HostConfig{Node: id, Cluster: "bench", Listen: "127.0.0.1:0", Dir: filepath.Join(spec.dir, strconv.Itoa(i+1)), Log: quiet}
		if spec.host != nil {
			spec.host(&cfg)
		}
		h, err := actors.StartHost(system, cfg)
		if err != nil {
			return c, err
		}
		c.hosts, members, addrs[id] = append(c.hosts, h), append(members, id), h.Addr()
		if !spec.linked {
			continue
		}
		k, err := newSlowLink(h.Addr(), spec.rate)
		if err != nil {
			return c, err
		}
		c.links, addrs[id] = append(c.links, k), k.addr()
	}
	for n := range spec.first + spec.others {
		g := &hostGroup{}
		c.groups = append(c.groups, g)
		for i, h := range c.hosts {
			h.SetPeer(raft.NodeID(i+1), addrs[raft.NodeID(i+1)])
			cfg := actors.GroupConfig{
				Group: raft.GroupID(n + 1), Members: members, Addrs: addrs, Apply: func(actors.Command) []byte { return nil }, NoRestart: true,
			}
			if spec.group != nil {
				spec.group(n, &cfg)
			}
			r, err := actors.StartGroup(h, cfg)
			if err != nil {
				return c, err
			}
			g.replicas = append(g.replicas, r)
		}
	}
	return c, c.gather()
}

// gather has the first host lead every group: then all that is bulk passes the same two links.
func (c *hostCluster) gather() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for _, g := range c.groups {
		for !g.find() || g.leader.Load() != 0 {
			if g.find() && g.leader.Load() != 0 {
				_ = g.replicas[g.leader.Load()].Transfer(ctx, 1)
			}
			if err := pause(ctx, retryPause); err != nil {
				return errNoLeader
			}
		}
	}
	return nil
}

// find looks for the replica that leads.
func (g *hostGroup) find() bool {
	for i, r := range g.replicas {
		if r.Status().Role == raft.Leader {
			g.leader.Store(int64(i))
			return true
		}
	}
	return false
}

func (g *hostGroup) write(ctx context.Context, data []byte) error {
	timed, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := g.replicas[g.leader.Load()].Propose(timed, data)
	if err != nil && ctx.Err() == nil && !g.find() {
		_ = pause(ctx, retryPause)
	}
	return err
}

func (c *hostCluster) elected() [2]int64 {
	return [2]int64{c.elections[0].Load(), c.elections[1].Load()}
}

func (c *hostCluster) stop() (err error) {
	for _, k := range c.links {
		k.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	for _, h := range c.hosts {
		err = errors.Join(err, h.Stop(ctx))
	}
	return err
}
