package main

import (
	"errors"
	"path/filepath"
	"strconv"
	"time"
)

// Settings of etcd's raft; README.md says why.
const (
	etcdTick           = 100 * time.Millisecond
	etcdHeartbeatTicks = 1
	etcdElectionTicks  = 10
	etcdMaxSizePerMsg  = 4 << 20  // bytes of entries in one MsgApp
	etcdMaxCommitted   = 64 << 20 // bytes handed to the applying goroutine and not yet applied
	etcdMaxInflight    = 4096     // MsgApp on the way to one follower

	etcdMaxBatches = 2    // batches of proposals not yet applied: what comes meanwhile makes the next batch larger
	etcdMaxAppends = 1    // of them not yet on the leader's disk
	etcdKeepLog    = 8192 // entries that stay in memory for followers, when as many more have been applied
)

// etcdPeer is go.etcd.io/raft with asynchronous storage writes, etcd's write-ahead log and a transport of our own.
type etcdPeer struct{}

func (etcdPeer) name() string { return "etcdraft" }

func (etcdPeer) start(dir string) (cluster, error) {
	c := &etcdCluster{}
	addresses := map[uint64]string{}
	for id := uint64(1); id <= voters; id++ {
		n, err := openEtcd(id, filepath.Join(dir, strconv.FormatUint(id, 10)))
		if err != nil {
			return nil, errors.Join(err, c.stop())
		}
		c.nodes = append(c.nodes, n)
		addresses[id] = n.listener.Addr().String()
	}
	led := make(chan int, voters) // a voter's place in c.nodes, once it leads
	for i, n := range c.nodes {
		campaign := i == 0 // spares the first election timeout
		n.run(addresses, campaign, func() { led <- i })
	}
	deadline := time.NewTimer(startTimeout)
	defer deadline.Stop()
	select {
	case c.leader = <-led:
		return c, nil
	case <-deadline.C:
		return nil, errors.Join(errNoLeader, c.stop())
	}
}

// etcdCluster proposes to the voter that led first: a round in which another takes over is a failed one.
type etcdCluster struct {
	nodes  []*etcdNode
	leader int
}

func (c *etcdCluster) propose(data []byte) error { return c.nodes[c.leader].propose(data) }

func (c *etcdCluster) machines() []*machine {
	out := []*machine{&c.nodes[c.leader].machine}
	for i, n := range c.nodes {
		if i != c.leader {
			out = append(out, &n.machine)
		}
	}
	return out
}

func (c *etcdCluster) stop() (err error) {
	for _, n := range c.nodes {
		n.halt()
	}
	for _, n := range c.nodes {
		err = errors.Join(err, n.close())
	}
	return err
}
