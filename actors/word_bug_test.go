package actors_test

import (
	"path/filepath"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

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

	m := raft.Member{ID: again, Addr: c.addrs[again]}
	c.change(actors.Change{Remove: []raft.NodeID{again}})
	c.stop(again)
	c.wipe(again)
	c.startHost(again)
	c.startGroup(again, nil)
	c.change(actors.Change{AddLearners: []raft.Member{m}})
	c.change(actors.Change{Promote: []raft.NodeID{again}})
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
