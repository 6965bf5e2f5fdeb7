package actors_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// line is the content of one of a stopped or running node's small files, without its checksum.
func (c *testCluster) line(id raft.NodeID, name string, to any) bool {
	b, err := os.ReadFile(filepath.Join(c.folder(id), name))
	if err != nil {
		return false
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return json.Unmarshal([]byte(line), to) == nil
}

// knowsFolder reports whether a node knows another one by the folder that it runs on.
func (c *testCluster) knowsFolder(id, other raft.NodeID) bool {
	var self struct{ Store uint64 }
	var met []struct {
		Node  raft.NodeID
		Store uint64
	}
	if !c.line(other, "IDENTITY", &self) || !c.line(id, "PEERS", &met) {
		return false
	}
	for _, m := range met {
		if m.Node == other {
			return m.Store == self.Store && self.Store != 0
		}
	}
	return false
}

// A member is taken out, wiped and put in again while another one is away, which learns of both changes at once: it forgets the folder before, as
// the others did. Otherwise it would call the member somebody else for good, and those who forgot it could not let it in.
func TestMemberPutBackAtOnceIsForgotten(t *testing.T) {
	c := newCluster(t, 3)
	joined := c.join("")
	c.change(actors.Change{AddLearners: []raft.Member{joined}})
	c.converge(c.fill("a", 3))
	away := c.follower().id
	for away == joined.ID || c.leader().id == away {
		for id := range c.nodes {
			away = id
		}
	}
	await(t, "it has met it", func() bool { return c.knowsFolder(away, joined.ID) })
	c.stop(away)
	c.stop(joined.ID)
	c.wipe(joined.ID)
	c.change(actors.Change{Remove: []raft.NodeID{joined.ID}})
	c.change(actors.Change{AddLearners: []raft.Member{joined}})
	c.restart(away)
	c.converge([]string{"a0", "a1", "a2"})
	await(t, "it has heard of both", func() bool {
		s := c.nodes[away].group.Status()
		return settled(c.nodes[away].group) && s.MembersIndex == c.leader().group.Status().MembersIndex
	})
	c.startHost(joined.ID)
	c.startGroup(joined.ID, nil)
	await(t, "it knows the folder that the member came back on", func() bool { return c.knowsFolder(away, joined.ID) })
	if trouble := member(c.nodes[away], joined.ID).Trouble; trouble != nil {
		t.Error(trouble)
	}
}
