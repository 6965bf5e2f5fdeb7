package actors_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// dialled notes which addresses a transport was told, per node.
type dialled struct {
	remote.Transport
	mu    sync.Mutex
	addrs map[raft.NodeID][]string
}

func (d *dialled) SetPeer(node raft.NodeID, addr string) {
	d.mu.Lock()
	d.addrs[node] = append(d.addrs[node], addr)
	d.mu.Unlock()
	d.Transport.SetPeer(node, addr)
}

func (d *dialled) told(node raft.NodeID) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.addrs[node]...)
}

// newDialled starts one node, whose transport is watched, with a learner that never answers.
func newDialled(t *testing.T) (*testCluster, *dialled) {
	t.Helper()
	watched := &dialled{addrs: map[raft.NodeID][]string{}}
	c := newCluster(t, 1, func(c *testCluster) {
		c.host = func(id raft.NodeID, cfg *actors.HostConfig) {
			live := stage.NewLive()
			t.Cleanup(live.Close) // registered before the cluster's own end, hence run after it
			tcp, err := remote.NewTCP(remote.Config{System: c.system, Stage: live, Node: id, Cluster: cfg.Cluster, Listen: cfg.Listen, Log: cfg.Log})
			if err != nil {
				t.Fatal(err)
			}
			watched.Transport = tcp
			cfg.Transport, cfg.Stage = watched, live
		}
	})
	c.change(actors.Change{AddLearners: []raft.Member{{ID: 2, Addr: "127.0.0.1:2"}}})
	return c, watched
}

// What a refused change says of a member's address is not believed: the member would be cut off while Status shows the right one.
func TestRefusedChangeMovesNobody(t *testing.T) {
	c, watched := newDialled(t)
	lead := c.leader()
	moved := raft.Member{ID: 2, Addr: "127.0.0.1:1"}
	one := raft.Member{ID: 1}
	for name, change := range map[string]actors.Change{
		"server 0":         {Voters: []raft.Member{one, {}}, Learners: []raft.Member{moved}},
		"nobody's removal": {AddLearners: []raft.Member{moved}, Remove: []raft.NodeID{9}},
		"no voter left":    {AddLearners: []raft.Member{moved}, Remove: []raft.NodeID{1}},
		"too many":         {Voters: seatsFrom(1, raft.MaxVoters+1), Learners: nil, AddLearners: []raft.Member{moved}},
	} {
		_, err := lead.group.ChangeMembers(withDeadline(t), change)
		if invalid := (*raft.InvalidChangeError)(nil); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if told := watched.told(2); len(told) != 1 || told[0] != "127.0.0.1:2" {
		t.Errorf("node 2 is looked for at %v", told)
	}
}

// seatsFrom are members without addresses.
func seatsFrom(first, last raft.NodeID) (out []raft.Member) {
	for id := first; id <= last; id++ {
		out = append(out, raft.Member{ID: id})
	}
	return out
}
