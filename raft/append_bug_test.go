package raft

import "testing"

// A follower's acknowledgement leaves behind the sync of what it confirms, also when the AppendEntries is a repeated one that changes nothing, and
// a late confirmation of an overwritten write suggests that all is on disk (rabbitmq/ra pull requests 516, 637).
func TestRepeatedAppendWaitsForItsSync(t *testing.T) {
	s := newSubject(t, disk(voters(1, 2, 3), 3, 1))
	old := s.do(Received{2, &AppendEntries{Term: 3, Leader: 2, Prev: EntryID{1, 1}, Runs: []Run{{2, 6, 3}}}}).Ack
	term := s.do(Received{3, &Heartbeat{Term: 4, Leader: 3}}).Ack // written when entry 6 was still the last
	m := &AppendEntries{Term: 4, Leader: 3, Prev: EntryID{1, 1}, Runs: []Run{{2, 4, 4}}}
	first := s.do(Received{3, m})
	if _, o := sent[*AppendEntriesReply](t, first, 3); !o.AfterSync {
		t.Fatal("acknowledged before it is written")
	}
	s.do(*old)
	s.do(*term) // both name entry 6, which is gone by now
	e := s.do(Received{3, m})
	if len(e.Append) != 0 {
		t.Fatalf("written twice: %+v", e.Append)
	}
	if r, o := sent[*AppendEntriesReply](t, e, 3); !r.Success || r.Match != 4 || !o.AfterSync {
		t.Fatalf("%+v is acknowledged while entries 2 to 4 of term 4 are not on disk", r)
	}
}
