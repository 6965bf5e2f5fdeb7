package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// TestUnsafeChangesAreNoticed: a vote that a leader gives unasked for by force is found out, and what a refused change says of an address.
func TestUnsafeChangesAreNoticed(t *testing.T) {
	before := raft.Membership{Voters: []raft.NodeID{1, 2, 3}, Learners: []raft.NodeID{4}}
	voters := func(ids ...raft.NodeID) raft.Membership { return raft.Membership{Voters: ids} }
	for name, c := range map[string]struct {
		now   raft.Membership
		force bool
		want  string
	}{
		"nobody":         {voters(1, 2, stranger), false, "changes are safe unless forced"},
		"no learner":     {voters(1, 2, 3, 5), false, "changes are safe unless forced"},
		"lacks the log":  {voters(1, 2, 3, 4), false, "changes are safe unless forced"},
		"forced":         {voters(1, 2, stranger), true, ""},
		"fewer":          {voters(1, 2), false, ""},
		"looks for them": {raft.Membership{}, false, "what is refused has no effect"},
	} {
		s := New(Config{Seed: 7, Nodes: 3, Spares: 2, Quiet: true, Length: time.Second})
		s.clock.AfterFunc(900*time.Millisecond, func() {
			n := s.leader()
			if c.now.IsZero() {
				n.life.host.SetPeer(2, nowhere)
				return
			}
			s.handled = &actors.ChangeMembers{Change: actors.Change{Force: c.force}}
			s.check.admitted(n.life.view.node, before, c.now)
		})
		got := ""
		if r := s.Run(); r.Violation != nil {
			got = r.Violation.Property
		}
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: violated %q, want %q", name, got, c.want)
		}
	}
}

// TestEveryUnreadinessIsCounted: also one of which this package has never heard.
func TestEveryUnreadinessIsCounted(t *testing.T) {
	s := New(Config{Seed: 1})
	var servers []raft.Unready
	for why := raft.Silent; why <= raft.Taken+1; why++ {
		servers = append(servers, raft.Unready{ID: 1, Why: why})
	}
	s.unready(&raft.UnsafeChangeError{Servers: servers})
	for _, u := range servers {
		if n := s.counts["change refused: "+u.Why.String()]; n != 1 {
			t.Errorf("%v was counted %d times", u.Why, n)
		}
	}
}
