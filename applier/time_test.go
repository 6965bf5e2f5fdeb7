package applier

import (
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// The sessions' clock is moved by every entry that carries the log's time, and by no calendar's stamp in a log of the first release.
func TestTimedEntriesMoveTheClock(t *testing.T) {
	r := newRig(t, &recorder{})
	r.begin()
	var b entry.Builder
	b.Append(raft.NoOp, 0, 0, 1_900_000_000_000, nil)
	b.Append(raft.OpenSession, 0, 0, 1000, EncodeOpen(limits(time.Second, 10)))
	b.Append(raft.NoOp, 0, entry.Timed, 1900, nil)
	b.Append(raft.Command, 2, 1, 1950, []byte("x"))
	b.Append(raft.Reconfigure, 0, entry.Timed, 2950, entry.AppendMembership(nil, raft.Membership{Voters: []raft.NodeID{1}}))
	b.Append(raft.Command, 2, 2, 2950, []byte("y"))
	b.Append(raft.NoOp, 0, entry.Timed, 3951, nil)
	b.Append(raft.Command, 2, 3, 2000, []byte("z"))
	block := b.Seal(1, 1)
	used, late := newOutcome(), newOutcome()
	r.send(&Committed{Through: raft.EntryID{Index: 8, Term: 1}, Blocks: []*entry.Block{block}, Waiters: []Waiting{{6, used}, {8, late}}})
	if a := expect[*Applied](r); a.Stamp != 3951 {
		t.Errorf("the clock stands at %d", a.Stamp)
	}
	if used.wait(t); used.err != nil {
		t.Errorf("used within its TTL: %v", used.err)
	}
	if late.wait(t); late.err != ErrSessionExpired {
		t.Errorf("a no-op said that its TTL is over: %v", late.err)
	}
}
