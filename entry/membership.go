package entry

import (
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// The first element of an encoded Membership. Members have a fourth field in the second version, which is written only when one is set:
// nodes of the release before know none.
const (
	membershipVersion       = 1
	membershipVersionStores = 2
)

// AppendMembership appends m's encoding to b, the msgpack value
// [version, voters, outgoing, learners, [[id, addr, tag, store], ...]], and returns the extended slice. Version 1 has no stores.
func AppendMembership(b []byte, m raft.Membership) []byte {
	version := byte(membershipVersion)
	if slices.ContainsFunc(m.Members, func(e raft.Member) bool { return e.Store != 0 }) {
		version = membershipVersionStores
	}
	b = append(b, fixArray|5, version)
	for _, ids := range [...][]raft.NodeID{m.Voters, m.Outgoing, m.Learners} {
		b = appendArray(b, len(ids))
		for _, id := range ids {
			b = appendUint(b, uint64(id))
		}
	}
	b = appendArray(b, len(m.Members))
	for _, e := range m.Members {
		fields := byte(3)
		if version == membershipVersionStores {
			fields = 4
		}
		b = appendUint(append(b, fixArray|fields), uint64(e.ID))
		b = appendStr(b, e.Addr)
		b = appendStr(b, e.Tag)
		if version == membershipVersionStores {
			b = appendUint(b, e.Store)
		}
	}
	return b
}

// DecodeMembership decodes what AppendMembership made of a Membership whose lists are in ascending order
// without duplicates. It keeps nothing of b. The error is a *CorruptError.
func DecodeMembership(b []byte) (raft.Membership, error) {
	c := cursor{b: b}
	if c.byte() != fixArray|5 || c.bad {
		return raft.Membership{}, corrupt("not a membership")
	}
	v := c.byte()
	if c.bad || v != membershipVersion && v != membershipVersionStores {
		return raft.Membership{}, corrupt("membership of version %d, known are %d and %d", v, membershipVersion, membershipVersionStores)
	}
	m := raft.Membership{Voters: c.ids(), Outgoing: c.ids(), Learners: c.ids(), Members: c.members(v == membershipVersionStores)}
	switch {
	case c.bad:
		return raft.Membership{}, corrupt("malformed membership")
	case len(c.b) > 0:
		return raft.Membership{}, corrupt("%d bytes after a membership", len(c.b))
	}
	return m, nil
}

func (c *cursor) ids() []raft.NodeID {
	n := c.array(1)
	if n == 0 {
		return nil
	}
	ids := make([]raft.NodeID, n)
	for i := range ids {
		ids[i] = raft.NodeID(c.uint())
		if ids[i] == raft.None || i > 0 && ids[i] <= ids[i-1] {
			c.bad = true
		}
	}
	return ids
}

func (c *cursor) members(stores bool) []raft.Member {
	n := c.array(4)
	if n == 0 {
		return nil
	}
	fields := byte(fixArray | 3)
	if stores {
		fields = fixArray | 4
	}
	members := make([]raft.Member, n)
	for i := range members {
		if c.byte() != fields {
			c.bad = true
		}
		e := raft.Member{ID: raft.NodeID(c.uint()), Addr: c.str(), Tag: c.str()}
		if stores {
			e.Store = c.uint()
		}
		if e.ID == raft.None || i > 0 && e.ID <= members[i-1].ID {
			c.bad = true
		}
		members[i] = e
	}
	return members
}
