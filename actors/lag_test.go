package actors_test

import (
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// TestCutOffReplicasHaveNotCaughtUp: who hears no leader any more does not go on saying that it has caught up, though nothing wakes a learner, which waits for
// no election.
func TestCutOffReplicasHaveNotCaughtUp(t *testing.T) {
	c := newCluster(t, 1)
	c.fill("a", 5)
	m := c.join("")
	c.change(actors.Change{AddLearners: []raft.Member{m}})
	learner := c.nodes[m.ID]
	await(t, "the learner has caught up", func() bool { return learner.group.Status().CaughtUp })
	c.stop(1)
	await(t, "it says so no more", func() bool { return !learner.group.Status().CaughtUp })
	c.restart(1)
	await(t, "it has caught up again", func() bool { return learner.group.Status().CaughtUp })
}
