package actors_test

import (
	"path/filepath"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// replace takes a member out, and puts it in again on an empty folder.
func (c *testCluster) replace(id raft.NodeID) {
	c.t.Helper()
	m := raft.Member{ID: id, Addr: c.addrs[id]}
	c.change(actors.Change{Remove: []raft.NodeID{id}})
	c.stop(id)
	c.wipe(id)
	c.startHost(id)
	c.startGroup(id, nil)
	c.change(actors.Change{AddLearners: []raft.Member{m}})
	c.change(actors.Change{Promote: []raft.NodeID{id}})
}

// An older copy remembers others as they were. Its word keeps nobody from voting who has met a later start of it: a member that was taken out, wiped and
// put in again after the copy was made is no stranger to anybody but the copy, and leads, or elects, with the others, restarts included.
func TestWordOfAnOlderCopyDecidesNothing(t *testing.T) {
	c := newCluster(t, 3)
	want := c.fill("a", 3)
	lead, back := c.leader().id, c.follower().id
	again := c.third(lead, back)
	c.stop(back)
	copied := filepath.Join(t.TempDir(), "copy")
	copyFolder(t, c.folder(back), copied)
	c.restart(back)
	c.converge(want)

	c.replace(again)
	want = append(want, c.fill("b", 3)...)
	c.converge(want)
	await(t, "it has met the other's new folder", func() bool { return c.knowsFolder(back, again) && c.knowsFolder(again, back) })

	c.stop(back)
	c.stop(lead) // which could tell the copy before it speaks
	copyFolder(t, copied, c.folder(back))
	c.restart(back)
	await(t, "the copy is told", func() bool { return c.nodes[back].group.Status().Trouble != nil })
	c.restart(lead)
	await(t, "the others elect", func() bool {
		return c.nodes[again].group.Status().Leader == lead || c.nodes[lead].group.Status().Leader == again
	})
	want = append(want, c.fill("c", 3)...)

	for range 2 { // nor what it has become
		c.stop(again)
		c.startHost(again)
		c.startGroup(again, nil)
		want = append(want, c.fill("d", 3)...)
	}
	c.readmit(back)
	c.converge(want)
}

// So does a clone, beside the original: it, too, remembers others as they were when it was made.
func TestWordOfACloneDecidesNothing(t *testing.T) {
	c := newCluster(t, 3)
	want := c.fill("a", 3)
	lead, back := c.leader().id, c.follower().id
	again := c.third(lead, back)
	copied := filepath.Join(t.TempDir(), "copy")
	c.stop(back)
	copyFolder(t, c.folder(back), copied)
	c.restart(back)
	c.converge(want)

	c.replace(again)
	want = append(want, c.fill("b", 3)...)
	c.converge(want)
	await(t, "it has met the other's new folder", func() bool { return c.knowsFolder(back, again) && c.knowsFolder(again, back) })
	await(t, "all are connected", func() bool { return c.knows(again, back) && c.knows(lead, back) })

	c.stop(lead)
	startedAs(t, copied, c.folder(back))
	clone := c.clone(back, copied)
	await(t, "the clone is told", func() bool { return clone.group.Status().Trouble != nil })
	want = append(want, c.fill("c", 3)...)
	if s := c.nodes[again].group.Status(); s.Trouble != nil || s.Doubt {
		t.Errorf("node %d is in doubt: %t, %v", again, s.Doubt, s.Trouble)
	}
	c.restart(lead)
	c.converge(want)
}
