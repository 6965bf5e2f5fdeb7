package main

import (
	"errors"
	"time"
)

// voters is the size of every cluster: the smallest that survives a failure.
const voters = 3

// startTimeout bounds the wait for the first leader of a fresh cluster.
const startTimeout = 15 * time.Second

var (
	// errNoLeader says that a cluster elected no leader within startTimeout.
	errNoLeader = errors.New("no leader elected")
	// errNotOffered refuses what the cluster was not started for, or its library does not have.
	errNotOffered = errors.New("not offered")
)

// settings are what a kind of work or a command asks of a cluster. All else is each peer's own choice; README.md says what.
type settings struct {
	lease    bool          // lease reads, which trust clocks, instead of linearizable ones that ask a quorum
	election time.Duration // shortest election timeout, twice as long at most, with signs of life every tenth; 0: the peer's own
	keep     bool          // machines keep every payload, and snapshots, taken when asked for, hold them all and leave no log behind
	replay   bool          // no snapshots: whoever restarts replays the whole log
}

// A peer is one library under test.
type peer interface {
	// name is how -peers and the table call it.
	name() string
	// offers says whether the library has this kind of work.
	offers(work) bool
	// start brings up a fresh cluster of three voters that keeps its files under dir, and returns once a leader can
	// take proposals.
	start(dir string, s settings) (cluster, error)
	// found is a fresh cluster none of whose voters is open yet.
	found(dir string, s settings) voterSet
}

// A cluster is three voters of one library, running.
type cluster interface {
	// propose replicates data and returns once the leader's state machine has applied it. Safe for concurrent use; it
	// does not keep data after it returned nil. Every call ends while the cluster runs with a quorum.
	propose(data []byte) error
	// read returns the count of the leader's state machine at a point not before any write acknowledged before the call. Safe for
	// concurrent use. Lease reads are for clusters that were started with settings.lease.
	read(lease bool) (count uint64, err error)
	// machines are the state machines of the voters that are open; the leader's comes first.
	machines() []*machine
	// stop ends the cluster and reports what failed meanwhile. No propose or read may be in flight.
	stop() error
}

// registry lists the peers in the order in which a default run takes them.
func registry() []peer {
	return []peer{troupePeer{}, hashicorpPeer{}, etcdPeer{}}
}
