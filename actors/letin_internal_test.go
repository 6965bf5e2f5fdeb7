package actors

import (
	"testing"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// TestOtherGroupsKeepTheFolderLetInLast: two groups have let a node back in, and one of them once more since. That the other one goes on naming the folder
// before, at each start and with each change of other members, makes nobody forget how the last folder was met: an older copy of that would count.
func TestOtherGroupsKeepTheFolderLetInLast(t *testing.T) {
	for name, c := range map[string]struct {
		first Status // of the group that let it in last
		from  raft.Membership
	}{
		"another change":                     {running3(32), three(31)},
		"a restart":                          {running3(32), undropped(three(31), three(31))},
		"a restart from an earlier snapshot": {running3(32), naming(undropped(three(0), three(31)), three(31))},
		"while the group that let it in last is loading": {Status{Phase: Starting, Stopped: true}, three(31)},
	} {
		g, _ := guarded(t, c.first, running3(31))
		greets(t, g, 31)
		g.settled(1, three(0), three(31))
		g.settled(2, three(0), three(31))
		greets(t, g, 32)
		g.settled(1, three(31), three(32))
		copied := raft.Incarnation{Store: 32, Start: 4, Nonce: 4}
		last := raft.Incarnation{Store: 32, Start: 5, Nonce: 5}
		if s, err := g.Greeted(3, remote.Call{Incarnation: last}, alone{}); !s.Counts() || err != nil {
			t.Fatalf("%s: let in, it is judged %d, %v", name, s, err)
		}
		g.settled(2, c.from, three(31))
		if a := g.Known(3); a.Incarnation != last {
			t.Errorf("%s: it is known as %+v", name, a)
		}
		if s, err := g.Greeted(3, remote.Call{Incarnation: copied}, alone{}); err == nil {
			t.Errorf("%s: an older copy of the folder that was let in last is let in, and judged %d", name, s)
		}
		if s, err := g.Greeted(3, remote.Call{Incarnation: last}, alone{}); !s.Counts() || err != nil {
			t.Errorf("%s: the member itself is judged %d, %v", name, s, err)
		}
		g.settled(2, three(31), three(33)) // whatever is news is followed
		if a := g.Known(3); a.Store != 33 {
			t.Errorf("%s: after one more change it is known as %+v", name, a)
		}
	}
}

// TestFolderIsLetInByItsOwnGroup: where no other group may name it, the folder that is known gives way to the one that a membership names, news or not: a
// crash may have come between the two.
func TestFolderIsLetInByItsOwnGroup(t *testing.T) {
	g, _ := guarded(t, running3(32), running3(0))
	greets(t, g, 31)
	g.settled(1, three(0), three(31))
	g.settled(1, three(32), three(32))
	if a := g.Known(3); a.Store != 32 || !a.Readmitted {
		t.Errorf("it is known as %+v", a)
	}
}

// TestFolderIsLetInThoughAnotherGroupNamesTheOneBefore: a restart may come between the log's telling of a folder, or a snapshot's, and PEERS. Another group that
// goes on naming the folder before is no reason not to follow then: nobody would remember how the one is met that counts, and an older copy of it would count, too.
func TestFolderIsLetInThoughAnotherGroupNamesTheOneBefore(t *testing.T) {
	for name, from := range map[string]raft.Membership{
		"found in the log":      naming(undropped(three(31), three(32)), three(32)),
		"found in the snapshot": undropped(three(32), three(32)),
	} {
		g, _ := guarded(t, running3(32), running3(31))
		greets(t, g, 31)
		g.settled(1, three(0), three(31))
		g.settled(2, three(0), three(31))
		greets(t, g, 32)
		g.settled(1, from, three(32))
		last := raft.Incarnation{Store: 32, Start: 5, Nonce: 5}
		if s, err := g.Greeted(3, remote.Call{Incarnation: last}, alone{}); !s.Counts() || err != nil {
			t.Errorf("%s: let in, it is judged %d, %v", name, s, err)
		}
		copied := raft.Incarnation{Store: 32, Start: 4, Nonce: 4}
		if s, err := g.Greeted(3, remote.Call{Incarnation: copied}, alone{}); err == nil && decider(g.Known(3), copied, 32) {
			t.Errorf("%s: an older copy of the folder that was let in last is judged %d, and decides", name, s)
		}
		g.settled(2, undropped(three(31), three(31)), three(31))
		if a := g.Known(3); a.Incarnation != last {
			t.Errorf("%s: after a start of the other group it is known as %+v", name, a)
		}
	}
}
