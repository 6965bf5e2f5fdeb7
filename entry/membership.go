package entry

import "github.com/troupe-raft/troupe/raft"

// membershipVersion is the first element of an encoded Membership.
const membershipVersion = 1

// AppendMembership appends m's encoding to b, the msgpack value
// [version, voters, outgoing, learners, [[id, addr, tag], ...]], and returns the extended slice.
func AppendMembership(b []byte, m raft.Membership) []byte {
	b = append(b, fixArray|5, membershipVersion)
	for _, ids := range [...][]raft.NodeID{m.Voters, m.Outgoing, m.Learners} {
		b = appendArray(b, len(ids))
		for _, id := range ids {
			b = appendUint(b, uint64(id))
		}
	}
	b = appendArray(b, len(m.Members))
	for _, e := range m.Members {
		b = appendUint(append(b, fixArray|3), uint64(e.ID))
		b = appendStr(b, e.Addr)
		b = appendStr(b, e.Tag)
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
	if v := c.byte(); c.bad || v != membershipVersion {
		return raft.Membership{}, corrupt("membership of version %d, known is %d", v, membershipVersion)
	}
	m := raft.Membership{Voters: c.ids(), Outgoing: c.ids(), Learners: c.ids(), Members: c.members()}
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

func (c *cursor) members() []raft.Member {
	n := c.array(4)
	if n == 0 {
		return nil
	}
	members := make([]raft.Member, n)
	for i := range members {
		if c.byte() != fixArray|3 {
			c.bad = true
		}
		e := raft.Member{ID: raft.NodeID(c.uint()), Addr: c.str(), Tag: c.str()}
		if e.ID == raft.None || i > 0 && e.ID <= members[i-1].ID {
			c.bad = true
		}
		members[i] = e
	}
	return members
}
