package main

import (
	"errors"
	"time"
)

// voters is the size of every cluster: the smallest that survives a failure.
const voters = 3

// startTimeout bounds the wait for the first leader of a fresh cluster.
const startTimeout = 15 * time.Second

// errNoLeader says that a fresh cluster elected no leader within startTimeout.
var errNoLeader = errors.New("no leader elected")

// A peer is one library under test.
type peer interface {
	// name is how -peers and the table call it.
	name() string
	// start brings up a fresh cluster of three voters that keeps its files under dir, and returns once a leader can
	// take proposals.
	start(dir string) (cluster, error)
}

// A cluster is three voters of one library, running.
type cluster interface {
	// propose replicates data and returns once the leader's state machine has applied it. Safe for concurrent use; it
	// does not keep data after it returned nil. Every call ends while the cluster runs with a quorum.
	propose(data []byte) error
	// machines are the voters' state machines; the leader's comes first.
	machines() []*machine
	// stop ends the cluster and reports what failed meanwhile. No propose may be in flight.
	stop() error
}

// registry lists the peers in the order in which a default run takes them.
func registry() []peer {
	return []peer{troupePeer{}, hashicorpPeer{}, etcdPeer{}}
}
