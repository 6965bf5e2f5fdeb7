package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/raft"
)

// faults gathers all that is wrong.
type faults struct{ list []error }

func (f *faults) add(format string, args ...any) {
	f.list = append(f.list, fmt.Errorf(format, args...))
}

func (f *faults) err() error { return errors.Join(f.list...) }

// join adds each error of a joined one.
func (f *faults) join(prefix string, err error) {
	for _, e := range Faults(err) {
		f.add("%s: %w", prefix, e)
	}
}

// Faults splits what this package returned into its single faults.
func Faults(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

func prefixed(path string, err error) error {
	var f faults
	f.join(path, err)
	return f.err()
}

// Validate reports every fault at once, or nil.
func (c Config) Validate() error {
	var f faults
	c.check(&f)
	return f.err()
}

const (
	leastConnections, mostConnections = 16, 1 << 20
	leastAnswerBytes, mostAnswerBytes = 16 << 20, 1 << 40 // a value of 1 MiB is up to six times as long in JSON, and is copied while it grows
)

const maxCluster = 255 // bytes, as the transport's handshake has them

// Limits of times. Every interval costs each node a message to each other one; a cluster without a leader waits out a timeout at least.
const (
	leastHeartbeat = time.Millisecond
	mostHeartbeat  = 20 * time.Minute
	mostTimeout    = time.Hour
)

func (c Config) check(f *faults) {
	if c.Data == "" {
		f.add("data is empty: name a folder")
	} else if strings.Contains(c.Data, "\x00") {
		f.add("data: a folder's name has no zero byte")
	}
	if len(c.Cluster) > maxCluster {
		f.add("cluster has %d bytes, more than %d", len(c.Cluster), maxCluster)
	}
	c.checkTimes(f)
	if err := api.CheckToken(c.Token); err != nil {
		f.add("token: %w", err)
	}
	if n := c.MaxConnections; n != 0 && (n < leastConnections || n > mostConnections) {
		f.add("max_connections %d is neither 0 nor from %d to %d", n, leastConnections, mostConnections)
	}
	if n := c.MaxAnswerBytes; n < leastAnswerBytes || n > mostAnswerBytes {
		f.add("max_answer_bytes %d is not from %d to %d", n, leastAnswerBytes, int64(mostAnswerBytes))
	}
	c.TLS.check(f)
	c.checkNodes(f)
}

func (c Config) checkTimes(f *faults) {
	if c.ElectionTimeout.Max <= c.ElectionTimeout.Min {
		f.add("election_timeout: %v is not above %v: write the shorter one first", c.ElectionTimeout.Max, c.ElectionTimeout.Min)
	}
	if c.ElectionTimeout.Max > mostTimeout {
		f.add("election_timeout: %v is more than %v, for which there would be no leader after a failure", c.ElectionTimeout.Max, mostTimeout)
	}
	if c.Heartbeat < leastHeartbeat || c.Heartbeat > mostHeartbeat {
		f.add("heartbeat_interval: %v is not from %v to %v: 50ms suits most networks", c.Heartbeat, leastHeartbeat, mostHeartbeat)
		return
	}
	// A follower must outlast two lost heartbeats (§5.6).
	if 3*c.Heartbeat > c.ElectionTimeout.Min {
		f.add("heartbeat_interval %v is more than a third of the shortest election timeout %v: lower it, or raise election_timeout", c.Heartbeat, c.ElectionTimeout.Min)
	}
}

func (c Config) checkNodes(f *faults) {
	if len(c.Nodes) > 0 && len(c.Founders()) == 0 {
		f.add("every node has join = true: nobody founds the cluster")
	}
	if n := len(c.Founders()); n > raft.MaxVoters {
		f.add("%d founding nodes, at most %d can vote", n, raft.MaxVoters)
	}
	ids, addresses := map[raft.NodeID]bool{}, map[string]string{}
	for i, n := range c.Nodes {
		name := fmt.Sprintf("node %d", n.ID)
		if n.called != "" {
			name = n.called
		} else if n.ID == raft.None {
			name = fmt.Sprintf("node %d of the file", i+1)
			f.add("%s has no id", name)
		} else if ids[n.ID] {
			f.add("%s is listed twice", name)
		}
		ids[n.ID] = n.ID != raft.None
		for _, a := range []struct {
			kind, addr string
			optional   bool
		}{{"raft", n.Raft, false}, {"http", n.HTTP, false}, {"resp", n.RESP, true}} {
			if a.addr == "" && a.optional {
				continue
			}
			_, port, err := api.ReadAddress(a.addr)
			if err == nil && port == 0 {
				if c.AnyPort {
					continue
				}
				err = api.NoPort(a.addr)
			}
			if err != nil {
				f.add("%s: %s: %w", name, a.kind, err)
				continue
			}
			use := name + " " + a.kind
			if other, taken := addresses[a.addr]; taken {
				f.add("%s: address %s is also that of %s", use, a.addr, other)
			}
			addresses[a.addr] = use
		}
	}
}
