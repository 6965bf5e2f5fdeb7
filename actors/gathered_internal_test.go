package actors

import (
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// A handClock goes on by hand.
type handClock struct {
	stage.Clock
	now time.Duration
}

func (c *handClock) Now() time.Duration { return c.now }

// A membership entry goes to the log before proposals that have gathered for a while already, and the log's time does not go back between.
func TestMembershipIsStampedNoLaterThanWhatGathers(t *testing.T) {
	node, err := raft.New(raft.Config{ID: 1, ElectionMin: time.Second, ElectionMax: 2 * time.Second},
		raft.State{Snapshot: raft.SnapshotMeta{Membership: raft.Membership{Voters: []raft.NodeID{1}}}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	clock := &handClock{now: time.Hour}
	handle := &Group{credit: newCredit(10, 1000)}
	r := &replica{clock: clock, node: node, handle: handle, cfg: GroupConfig{Group: 1}.withDefaults()}
	r.time.begin(clock.now, 0, 0, 0)
	r.time.lead(clock.now, true)
	change := raft.Appended{Run: raft.Run{First: 2, Last: 2, Term: 1}, Kind: raft.Reconfigure, Membership: &raft.Membership{Voters: []raft.NodeID{1}}}
	stamp := func() int64 { return r.joined([]raft.Appended{change}, nil)[0].Stamp() }

	clock.now += 5 * time.Millisecond
	if got := stamp(); got != 5 {
		t.Errorf("nothing gathers: the change is stamped %d, want 5", got)
	}
	for _, kind := range []requestKind{proposeRequest, openSessionRequest, closeSessionRequest} { // the first has no stamp
		r.propose(&request{kind: kind, handle: handle})
		clock.now += 2 * time.Millisecond
	}
	got := stamp() // at 11 ms; what gathers goes by 7 and 9
	for e := range r.builder.Seal(1, 3).All() {
		if e.Stamp > 0 && e.Stamp < got {
			t.Errorf("entry %d behind it is stamped %d, the change %d", e.Index, e.Stamp, got)
		}
	}
	if got != 7 {
		t.Errorf("the change is stamped %d, want 7", got)
	}
	r.batch = r.batch[:0] // sealed: what gathers next is later
	r.propose(&request{kind: openSessionRequest, handle: handle})
	clock.now += 2 * time.Millisecond
	if got := stamp(); got != 11 {
		t.Errorf("after that, the change is stamped %d, want 11", got)
	}
}
