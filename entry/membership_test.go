package entry

import (
	"reflect"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

func TestMembershipRoundTrip(t *testing.T) {
	many := make([]raft.NodeID, 70000)
	for i := range many {
		many[i] = raft.NodeID(i+1) << 20
	}
	for _, m := range []raft.Membership{
		{},
		{Voters: []raft.NodeID{1}},
		{Voters: []raft.NodeID{1, 2, 3}, Outgoing: []raft.NodeID{2, 3, 4}, Learners: []raft.NodeID{9, ^raft.NodeID(0)}},
		{Learners: many[:20]},
		{Learners: many},
		{Voters: []raft.NodeID{1, 2}, Members: []raft.Member{
			{ID: 1, Addr: strings.Repeat("a", 31), Tag: strings.Repeat("b", 32)},
			{ID: 2, Addr: strings.Repeat("c", 256), Tag: strings.Repeat("d", 65536)},
		}},
		{Voters: []raft.NodeID{1, 2}, Members: []raft.Member{{ID: 1, Addr: "a", Tag: "b"}, {ID: 2, Addr: "c", Tag: "d", Store: 1 << 63}}},
	} {
		got, err := DecodeMembership(AppendMembership([]byte("before"), m)[6:])
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("got %+v, %v, want %+v", got, err, m)
		}
	}
}

func TestMembershipRefuses(t *testing.T) {
	good := AppendMembership(nil, raft.Membership{Voters: []raft.NodeID{1, 2}, Members: []raft.Member{{ID: 1, Addr: "x"}}})
	for name, raw := range map[string][]byte{
		"nothing":     nil,
		"cut":         good[:len(good)-1],
		"longer":      append(append([]byte{}, good...), 0),
		"version":     append([]byte{0x95, 3}, good[2:]...),
		"no stores":   append([]byte{0x95, 2}, good[2:]...),
		"not a list":  {0x95, 1, 0, 0x90, 0x90, 0x90},
		"voter 0":     {0x95, 1, 0x91, 0, 0x90, 0x90, 0x90},
		"descending":  {0x95, 1, 0x92, 2, 1, 0x90, 0x90, 0x90},
		"twice":       {0x95, 1, 0x92, 2, 2, 0x90, 0x90, 0x90},
		"member form": {0x95, 1, 0x90, 0x90, 0x90, 0x91, 0x92, 1, 0xa0, 0xa0},
		"member 0":    {0x95, 1, 0x90, 0x90, 0x90, 0x91, 0x93, 0, 0xa0, 0xa0},
	} {
		if _, err := DecodeMembership(raw); !isCorrupt(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
