package actors

import (
	"errors"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// A change that names a node twice is a slip: taken as it stands it would drop a voter of a healthy cluster.
func TestNodesAreNamedOnceInAChange(t *testing.T) {
	members := func(ids ...raft.NodeID) (out []raft.Member) {
		for _, id := range ids {
			out = append(out, raft.Member{ID: id})
		}
		return out
	}
	now := raft.Membership{Voters: []raft.NodeID{1, 2, 3}, Learners: []raft.NodeID{4}}
	newcomer := func(raft.NodeID) (uint64, error) { return 7, nil }
	for name, c := range map[string]Change{
		"a voter twice":           {Voters: members(1, 1, 2)},
		"voter and learner":       {Voters: members(1, 2), Learners: members(2)},
		"added as both":           {AddVoters: members(5), AddLearners: members(5)},
		"promoted and removed":    {Promote: []raft.NodeID{4}, Remove: []raft.NodeID{4}},
		"removed twice":           {Remove: []raft.NodeID{3, 3}},
		"readmitted and promoted": {Promote: []raft.NodeID{4}, Readmit: []raft.NodeID{4}},
		"added and promoted":      {AddVoters: members(4), Promote: []raft.NodeID{4}},
		"kept and removed":        {Voters: members(1, 2, 3), Remove: []raft.NodeID{3}},
	} {
		_, err := c.apply(now, newcomer)
		if bad := (*raft.InvalidChangeError)(nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), "named twice") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]Change{
		"a voter is added as a learner":       {AddLearners: []raft.Member{{ID: 3, Addr: "elsewhere"}}},
		"learners are listed without voters":  {Learners: members(3, 4)},
		"likewise, and somebody else removed": {Learners: members(4), Remove: []raft.NodeID{3}},
	} {
		if m, err := c.apply(now, newcomer); !errors.As(err, new(*raft.InvalidChangeError)) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	at := func(id raft.NodeID, addr string) []raft.Member { return []raft.Member{{ID: id, Addr: addr}} }
	for name, c := range map[string]Change{
		"two newcomers":         {AddLearners: append(at(5, "x"), at(6, "x")...)},
		"one of whom is moved":  {Addresses: at(4, "x"), AddVoters: at(5, "x")},
		"in a whole membership": {Voters: members(1, 2), Learners: append(at(3, "x"), at(4, "x")...)},
	} {
		if _, err := c.apply(now, newcomer); !errors.As(err, new(*raft.InvalidChangeError)) || !strings.Contains(err.Error(), "both to be reached at x") {
			t.Errorf("at one address, %s: %v", name, err)
		}
	}
	whole := Change{Voters: members(1, 2), Learners: members(3), AddVoters: members(5), AddLearners: members(6), Remove: []raft.NodeID{4}}
	if _, err := (Change{Promote: []raft.NodeID{4}, Remove: []raft.NodeID{3}, Readmit: []raft.NodeID{2}, AddLearners: members(6)}).apply(now, newcomer); err != nil {
		t.Errorf("what names each once: %v", err)
	}
	if _, err := whole.apply(now, newcomer); errors.As(err, new(*raft.InvalidChangeError)) && strings.Contains(err.Error(), "twice") {
		t.Errorf("what names each once: %v", err)
	}
}
