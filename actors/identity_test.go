package actors_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// identities remembers what nodes say of each other.
type identities struct {
	mu   sync.Mutex
	said map[string]map[raft.Standing]bool // "by/of"
}

func listen(c *testCluster) *identities {
	t := &identities{said: map[string]map[raft.Standing]bool{}}
	on(c, func(e *actors.PeerTrouble) {
		if who := (*actors.IdentityError)(nil); errors.As(e.Err, &who) {
			t.mu.Lock()
			defer t.mu.Unlock()
			key := fmt.Sprintf("%d/%d", e.Node, e.Peer)
			if t.said[key] == nil {
				t.said[key] = map[raft.Standing]bool{}
			}
			t.said[key][who.Standing] = true
		}
	})
	return t
}

// told waits until a node has said what another one, or it itself, is.
func (tr *identities) told(t *testing.T, by, of raft.NodeID, want raft.Standing) {
	t.Helper()
	await(t, fmt.Sprintf("node %d says of node %d that it is %d", by, of, want), func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return tr.said[fmt.Sprintf("%d/%d", by, of)][want]
	})
}

// toldOfCopy waits until all have said that a node is a copy: those that met it as one, of whom there is at least one, and whoever met it
// only as the folder of its own that it becomes when it is told.
func (tr *identities) toldOfCopy(t *testing.T, of raft.NodeID, want raft.Standing, by ...raft.NodeID) {
	t.Helper()
	await(t, fmt.Sprintf("nodes %d say of node %d that it is %d", by, of, want), func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		some, all := false, true
		for _, id := range by {
			said := tr.said[fmt.Sprintf("%d/%d", id, of)]
			some = some || said[want]
			all = all && (said[want] || said[raft.Wiped])
		}
		return some && all
	})
}

// toldOfClone waits until some node has said that a clone is one, and each other one has too, or refuses it: whoever meets it only as the
// folder of its own that it becomes has the original on the connection, and nothing against that.
func (tr *identities) toldOfClone(t *testing.T, clone *testNode, by ...raft.NodeID) {
	t.Helper()
	await(t, fmt.Sprintf("nodes %d say of node %d that it runs twice", by, clone.id), func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		some, all := false, true
		for _, id := range by {
			said := tr.said[fmt.Sprintf("%d/%d", id, clone.id)]
			some = some || said[raft.Cloned]
			all = all && (said[raft.Cloned] || said[raft.Wiped] ||
				strings.Contains(clone.host.Stats().Peers[id].LastError, "connected already"))
		}
		return some && all
	})
}

func (c *testCluster) folder(id raft.NodeID) string { return filepath.Join(c.dir, fmt.Sprint(id)) }

func (c *testCluster) wipe(id raft.NodeID) {
	c.t.Helper()
	if err := os.RemoveAll(c.folder(id)); err != nil {
		c.t.Fatal(err)
	}
}

// forget makes what was said unsaid.
func (tr *identities) forget() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	clear(tr.said)
}

// others are the members that are neither of two.
func (c *testCluster) third(a, b raft.NodeID) raft.NodeID { return raft.NodeID(6 - a - b) }

// knows reports whether a node has met another one in its present start.
func (c *testCluster) knows(id, other raft.NodeID) bool {
	return c.nodes[other].host.Stats().Peers[id].Connected[remote.Control]
}

// leaderless checks that nobody is elected for a while: several election timeouts.
func (c *testCluster) leaderless(ids ...raft.NodeID) {
	c.t.Helper()
	<-time.After(3 * testTimeout.Max) // nothing happens that could be waited for
	for _, id := range ids {
		if s := c.nodes[id].group.Status(); s.Role == raft.Leader {
			c.t.Errorf("node %d leads in term %d", id, s.Term)
		}
	}
}

// readmit lets a member back in and gives it its vote.
func (c *testCluster) readmit(id raft.NodeID) {
	c.t.Helper()
	if m := c.change(actors.Change{Readmit: []raft.NodeID{id}}); !m.IsLearner(id) || m.IsVoter(id) {
		c.t.Errorf("readmitted as %+v", m)
	}
	await(c.t, "it is trusted", func() bool { return !member(c.leader(), id).Doubt && !c.nodes[id].group.Status().Doubt })
	c.change(actors.Change{Promote: []raft.NodeID{id}})
}

// TestWipedMemberIsNotTheMember: who runs on an emptied folder has no vote and does not count, also for those who were not led when it came and
// although the leader that knew it is gone. All say so. Let back in, it is a learner, which catches up and is promoted.
func TestWipedMemberIsNotTheMember(t *testing.T) {
	c := newCluster(t, 3)
	told := listen(c)
	want := c.fill("a", 10)
	c.converge(want)
	lead, back := c.leader().id, c.follower().id
	third := c.third(lead, back)
	c.stop(back)
	c.wipe(back)
	c.restart(back)
	told.told(t, lead, back, raft.Wiped)
	told.told(t, third, back, raft.Wiped)
	told.told(t, back, back, raft.Wiped)
	await(t, "so does the status", func() bool { // which follows what is told
		s := c.nodes[back].group.Status()
		return s.Trouble != nil && s.Doubt && member(c.nodes[lead], back).Trouble != nil && strings.Contains(s.Trouble.Error(), fmt.Sprintf("readmit %d", back))
	})
	c.stop(lead)
	c.leaderless(third, back)
	c.stop(third) // what it knows it knows for good
	c.restart(third)
	told.told(t, third, back, raft.Wiped)
	c.leaderless(third, back)
	c.restart(lead)
	want = append(want, c.fill("b", 5)...)

	c.readmit(back)
	c.converge(want)
	await(t, "nobody has anything against it", func() bool {
		for _, n := range c.nodes {
			if s := n.group.Status(); member(n, back).Trouble != nil || s.Trouble != nil || s.Doubt {
				return false
			}
		}
		return true
	})
	c.stop(third) // it counts again
	want = append(want, c.fill("c", 5)...)
	c.stop(back) // and is the member, on this folder
	c.restart(third)
	c.restart(back)
	c.stop(lead)
	c.converge(append(want, c.fill("d", 5)...))
	for id := range c.nodes {
		if m := member(c.nodes[id], back); id != lead && m.Trouble != nil {
			t.Errorf("node %d: %v", id, m.Trouble)
		}
	}
}

// TestMemberWipedTwiceIsNamedTwice: that a member was let back in once does not make others silent when it loses its folder again.
func TestMemberWipedTwiceIsNamedTwice(t *testing.T) {
	c := newCluster(t, 3)
	told := listen(c)
	c.converge(c.fill("a", 10))
	lead, back := c.leader().id, c.follower().id
	third := c.third(lead, back)
	for range 2 {
		told.forget()
		c.stop(back)
		c.wipe(back)
		c.restart(back)
		told.told(t, lead, back, raft.Wiped)
		told.told(t, third, back, raft.Wiped)
		await(t, "its status says so", func() bool {
			return member(c.nodes[lead], back).Trouble != nil && member(c.nodes[third], back).Trouble != nil
		})
		c.readmit(back)
	}
}

// TestMemberWipedAgainIsNamedAgain: a member that loses the next folder before anybody has let it back in is named for that one too, by whoever
// knows of no readmission, be it that there was none or that it comes later.
func TestMemberWipedAgainIsNamedAgain(t *testing.T) {
	c := newCluster(t, 3)
	told := listen(c)
	c.converge(c.fill("a", 10))
	lead, back := c.leader().id, c.follower().id
	third := c.third(lead, back)
	for range 3 {
		told.forget()
		c.stop(back)
		c.wipe(back)
		c.restart(back)
		told.told(t, lead, back, raft.Wiped)
		told.told(t, third, back, raft.Wiped)
	}
	c.readmit(back)
}

// TestOlderCopyIsNotTheMember: a folder that is put back to a copy from before its last start does not count, however often it is started.
func TestOlderCopyIsNotTheMember(t *testing.T) {
	c := newCluster(t, 3)
	told := listen(c)
	want := c.fill("a", 10)
	lead, back := c.leader().id, c.follower().id
	third := c.third(lead, back)
	c.stop(back)
	copied := filepath.Join(t.TempDir(), "copy")
	copyFolder(t, c.folder(back), copied)
	for range 2 {
		c.restart(back)
		want = append(want, c.fill("b", 3)...)
		c.converge(want)
		await(t, "all have met it", func() bool { return c.knows(lead, back) && c.knows(third, back) })
		c.stop(back)
	}
	copyFolder(t, copied, c.folder(back))
	c.restart(back)
	told.toldOfCopy(t, back, raft.Older, lead, third)
	told.told(t, back, back, raft.Older)
	for range 3 {
		c.stop(back)
		c.restart(back)
		told.told(t, back, back, raft.Wiped)
	}
	c.stop(lead)
	c.leaderless(third, back)
	c.restart(lead)
	c.readmit(back)
	c.stop(third)
	want = append(want, c.fill("c", 5)...)
	c.restart(third)
	c.converge(want)
}

// clone starts a node on another folder and address, beside the one that runs under its id.
func (c *testCluster) clone(id raft.NodeID, folder string) *testNode {
	c.t.Helper()
	original, addr, dir := c.nodes[id], c.addrs[id], c.dir
	if err := os.Rename(folder, filepath.Join(filepath.Dir(folder), fmt.Sprint(id))); err != nil {
		c.t.Fatal(err)
	}
	c.dir, c.addrs[id] = filepath.Dir(folder), ""
	clone := c.restart(id)
	c.nodes[id], c.addrs[id], c.dir = original, addr, dir
	c.t.Cleanup(func() {
		if err := clone.host.Stop(withDeadline(c.t)); err != nil {
			c.t.Logf("clone: Stop: %v", err)
		}
	})
	return clone
}

// TestCloneIsNotTheMember: of two copies of one folder that run at once the one that came later does not count, although its start counts above
// the other's, and although it asks those first whom the other has nothing to say to. It is told, and becomes a folder of its own.
func TestCloneIsNotTheMember(t *testing.T) {
	c := newCluster(t, 3)
	told := listen(c)
	want := c.fill("a", 10)
	c.converge(want)
	lead, back := c.leader().id, c.follower().id
	third := c.third(lead, back)
	copied := filepath.Join(t.TempDir(), "copy")
	c.stop(back) // a copy of what Pebble writes meanwhile could be damaged
	copyFolder(t, c.folder(back), copied)
	c.restart(back)
	c.converge(want)
	await(t, "all have met it", func() bool { return c.knows(lead, back) && c.knows(third, back) })
	startedAs(t, copied, c.folder(back))
	clone := c.clone(back, copied)
	told.toldOfClone(t, clone, lead, third)
	await(t, "the clone knows", func() bool { return clone.group.Status().Trouble != nil && clone.group.Status().Doubt })
	want = append(want, c.fill("b", 5)...)
	c.stop(lead) // the original counts as before
	want = append(want, c.fill("c", 5)...)
	if s := clone.group.Status(); s.Role == raft.Leader || s.Role == raft.Follower {
		t.Errorf("the clone is a %s in term %d", s.RoleName(), s.Term)
	}
	c.restart(lead)
	c.converge(want)
}
