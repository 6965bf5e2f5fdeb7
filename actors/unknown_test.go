package actors_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// tell is a message of an actor and its answer.
func tell(c *testCluster, message any) any {
	c.t.Helper()
	answer, err := c.system.Root.RequestFuture(c.leader().group.PID(), message, limit).Result()
	if err != nil {
		c.t.Fatalf("%T: %v", message, err)
	}
	return answer
}

// Messages may be sent by value; what a group does not know is refused and named, whoever sends it.
func TestEveryMessageIsAnswered(t *testing.T) {
	c := newCluster(t, 1)
	if a, ok := tell(c, actors.Propose{Data: []byte("a")}).(*actors.Proposed); !ok {
		t.Errorf("Propose: %T", a)
	}
	if a, ok := tell(c, actors.Read{}).(*actors.ReadPoint); !ok {
		t.Errorf("Read: %T", a)
	}
	if a, ok := tell(c, actors.GetStatus{}).(actors.Status); !ok || a.Phase != actors.Running {
		t.Errorf("GetStatus: %+v", a)
	}
	if a, ok := tell(c, actors.TakeSnapshot{}).(*actors.SnapshotReady); !ok {
		t.Errorf("TakeSnapshot: %T", a)
	}
	if a, ok := tell(c, actors.TransferLeadership{To: 9}).(*actors.Refused); !ok {
		t.Errorf("TransferLeadership: %T", a)
	}
	if a, ok := tell(c, actors.ChangeMembers{Change: actors.Change{Remove: []raft.NodeID{9}}}).(*actors.Refused); !ok {
		t.Errorf("ChangeMembers: %T", a)
	}
	opened, ok := tell(c, actors.OpenSession{}).(*actors.SessionOpened)
	if !ok {
		t.Fatal("OpenSession")
	}
	if a, ok := tell(c, actors.CloseSession{Session: opened.Session}).(*actors.SessionClosed); !ok || a.Session != opened.Session {
		t.Errorf("CloseSession: %+v", a)
	}
	if a, ok := tell(c, &actors.Propose{Data: []byte("b"), Session: opened.Session, Seq: 1}).(*actors.Refused); !ok || !errors.Is(a.Err, actors.ErrSessionExpired) {
		t.Errorf("in a session that is closed: %+v", a)
	}
	for _, strange := range []any{"hello", 7, struct{}{}, &actors.Proposed{}, actors.Refused{}} {
		if a, ok := tell(c, strange).(*actors.Refused); !ok || !errors.Is(a.Err, actors.ErrUnknownMessage) {
			t.Errorf("%T: %+v", strange, a)
		}
	}
	tell(c, actors.StepDown{})
	c.propose("c")
}

// A replica that is down answers what it does not know, too.
func TestFailedReplicaAnswersStrangeMessages(t *testing.T) {
	c := newCluster(t, 1)
	h := c.nodes[1].host
	pid := c.system.Root.Spawn(actors.RaftGroup(h, actors.GroupConfig{Group: 8})) // without a state machine
	answer, err := c.system.Root.RequestFuture(pid, "hello", limit).Result()
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := answer.(*actors.Refused); !ok || !errors.Is(a.Err, actors.ErrUnknownMessage) || !strings.Contains(a.Err.Error(), "string") {
		t.Errorf("got %+v", answer)
	}
}

// With the answer to a proposal its data are the sender's again: what is replicated is a copy.
func TestDataIsFreeWithTheAnswer(t *testing.T) {
	c := newCluster(t, 1)
	data := []byte("first")
	tell(c, &actors.Propose{Data: data})
	copy(data, "WRONG")
	g := c.leader().group
	c.propose("second")
	s := g.Status()
	log, err := g.Log(withDeadline(t), s.First, s.Last)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range log.Entries {
		if strings.Contains(string(e.Data), "WRONG") {
			t.Errorf("entry %d holds %q", e.Index, e.Data)
		}
	}
	c.converge([]string{"first", "second"})
}
