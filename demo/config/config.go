// Package config is the demo's configuration: one TOML file for all nodes of a cluster. Every fault in it is reported at once.
package config

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// A Config describes a cluster and how each of its nodes behaves.
type Config struct {
	Cluster         string // name; nodes of different clusters refuse each other and each other's data
	Data            string // node N keeps its files under Data/N
	ElectionTimeout election.Timeout
	Heartbeat       time.Duration
	SnapshotEvery   uint64 // entries; 0: never
	Log             Levels
	Token           string // empty: no authentication
	MaxConnections  uint64 // of clients, to one node; 0: as many as the files that a process may open allow
	MaxAnswerBytes  uint64 // of answers, and of requests' bodies, in one node's memory at a time
	FollowAddresses bool   // memberships are made to say where members have moved to
	ForceAddresses  bool   // where nodes listen counts as Nodes says, not as the log does; never from a file
	Chaos           bool   // POST /v1/chaos is served
	TLS             TLS
	Nodes           []Node
	AnyPort         bool // port 0 in Nodes takes a free one; never from a file, whose nodes must find each other
}

// A Node is one member, founding or to be added later.
type Node struct {
	ID   raft.NodeID
	Raft string // host:port of Raft traffic
	HTTP string // host:port of the HTTP interface
	RESP string // host:port of the RESP interface; empty: none
	Join bool   // starts empty and waits to be added

	called string // in faults, where the file gives it an id that is none
}

// Default is what a file that sets nothing means. It has no nodes.
func Default() Config {
	return Config{
		Data:            "data",
		ElectionTimeout: election.Timeout{Min: 150 * time.Millisecond, Max: 300 * time.Millisecond},
		Heartbeat:       50 * time.Millisecond,
		SnapshotEvery:   100_000,
		MaxAnswerBytes:  256 << 20,
		FollowAddresses: true,
	}
}

// Node returns the node with an id.
func (c Config) Node(id raft.NodeID) (Node, bool) {
	for _, n := range c.Nodes {
		if n.ID == id {
			return n, true
		}
	}
	return Node{}, false
}

// Founders are the ids of the nodes that do not join later, ascending.
func (c Config) Founders() []raft.NodeID {
	var ids []raft.NodeID
	for _, n := range c.Nodes {
		if !n.Join {
			ids = append(ids, n.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// ClusterName is Cluster, or else a name made of the founders' ids and Raft addresses: the same on every node that was given the
// same file, and another one for another cluster.
func (c Config) ClusterName() string {
	if c.Cluster != "" {
		return c.Cluster
	}
	sum := sha256.New()
	for _, id := range c.Founders() {
		n, _ := c.Node(id)
		fmt.Fprintf(sum, "%d %s\n", id, n.Raft)
	}
	return fmt.Sprintf("demo-%x", sum.Sum(nil)[:8])
}
