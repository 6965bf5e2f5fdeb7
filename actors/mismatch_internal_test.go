package actors

import (
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A group is missed once a message for it came some time after the first; it is logged once, and its sender is answered now and then.
func TestMissingGroupIsToldOfInTime(t *testing.T) {
	m := mismatches{interval: 10, limit: 2}
	at := func(now time.Duration, from raft.NodeID, answer, log bool) {
		t.Helper()
		if a, l := m.missed(mismatchKey{from, 7}, now); a != answer || l != log {
			t.Errorf("node %d at %d: answered %v, logged %v", from, now, a, l)
		}
	}
	at(0, 1, false, false)
	at(9, 1, false, false)
	at(10, 1, true, true)
	at(19, 1, false, false)
	at(20, 1, true, false)
	at(20, 2, false, false) // another sender
	at(20, 3, false, false) // one too many
	at(31, 3, false, false) // in the place of those that ceased
	at(41, 3, true, true)
	m.began(7)
	at(50, 3, false, false)
	at(60, 3, true, true)
	if !m.due(mismatchKey{4, 8}, 60) || m.due(mismatchKey{4, 8}, 69) || !m.due(mismatchKey{4, 8}, 70) {
		t.Error("a stranger is answered at once, and then now and then")
	}
}
