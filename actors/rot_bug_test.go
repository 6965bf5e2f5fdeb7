package actors_test

import (
	"errors"
	"testing"

	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/replication"
)

// A syncer finds that the log has rotted. Its replica fails over it, although it leads no more.
func TestRottenLogEndsAFollowerToo(t *testing.T) {
	c := newCluster(t, 3)
	c.propose("a")
	lead := c.leader().id
	follower := c.nodes[lead%3+1]
	pid, root := follower.group.PID(), c.system.Root
	root.Send(pid, &replication.Halted{Err: errors.New("overwritten")}) // a newer leader's entries: no fault of the disk
	rot := &persister.CorruptError{Dir: "d", Group: 1, Index: 1, Reason: "block"}
	root.Send(pid, &replication.Halted{Err: rot})
	await(t, "the replica fails", func() bool { return follower.group.Status().Err != nil })
	if s := follower.group.Status(); !s.Stopped || !errors.Is(s.Err, rot) {
		t.Errorf("%+v", s)
	}
	delete(c.nodes, follower.id)
	c.propose("b")
	if err := follower.host.Stop(withDeadline(t)); !errors.Is(err, rot) {
		t.Errorf("Stop reports %v", err)
	}
}
