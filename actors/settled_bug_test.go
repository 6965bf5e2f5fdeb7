package actors_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// PEERS follows the log on the disk, and not what a node has heard. A crash may take away the end of a log whose sync is under way, also where others have
// committed it. The start after it follows the membership that is the last one then: whoever was dropped by the lost one is a member to it that nobody knows,
// and where the lost one let a folder in, that one is taken for a stranger's, and put in doubt.
func TestPeersFollowWhatIsOnTheDisk(t *testing.T) {
	var slow atomic.Uint64 // the node whose log waits
	release := make(chan struct{})
	c := newCluster(t, 3, func(c *testCluster) {
		c.host = func(id raft.NodeID, cfg *actors.HostConfig) {
			cfg.FS = errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
				sync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
				if sync && strings.HasSuffix(op.Path, ".log") && slow.Load() == uint64(id) {
					<-release
				}
				return nil
			}))
		}
	})
	joined := c.join("")
	c.change(actors.Change{AddLearners: []raft.Member{joined}})
	want := c.fill("a", 3)
	c.converge(want)
	away := c.follower().id
	for away == joined.ID || c.leader().id == away {
		for id := range c.nodes {
			away = id
		}
	}
	await(t, "it has met it", func() bool { return c.knowsFolder(away, joined.ID) })
	lead := c.leader() // whoever is taken out will know of none
	slow.Store(uint64(away))
	c.change(actors.Change{Remove: []raft.NodeID{joined.ID}})
	await(t, "it has heard of that", func() bool {
		s := c.nodes[away].group.Status()
		return settled(c.nodes[away].group) && s.MembersIndex == lead.group.Status().MembersIndex
	})
	if !c.remembers(away, joined.ID) {
		t.Error("it has forgotten whom its disk has as a member")
	}
	slow.Store(0)
	close(release)
	await(t, "it forgets it once that is on the disk", func() bool { return !c.remembers(away, joined.ID) })
}
