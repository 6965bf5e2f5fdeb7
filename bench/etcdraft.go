package main

import (
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

func (etcdPeer) name() string     { return "etcdraft" }
func (etcdPeer) offers(work) bool { return true }

func (p etcdPeer) start(dir string, s settings) (cluster, error) { return launch(p.found(dir, s)) }

func (etcdPeer) found(dir string, s settings) voterSet {
	return &etcdCluster{dir: dir, listen: func(place int, dir, address string) (*etcdNode, error) {
		return openEtcd(uint64(place+1), dir, address, s)
	}}
}

type etcdCluster = votersOf[*etcdNode]

func (n *etcdNode) address() string { return n.listener.Addr().String() }
func (n *etcdNode) state() *machine { return &n.machine }
func (n *etcdNode) leads() bool     { return n.led.Load() }

// join starts the voter. The first of a fresh cluster campaigns at once, which spares the first election timeout.
func (n *etcdNode) join(addresses []string) error {
	byID := map[uint64]string{}
	for i, a := range addresses {
		byID[uint64(i+1)] = a
	}
	n.run(byID, n.fresh && n.id == 1, func() { n.led.Store(true) })
	return nil
}
