package raft

import "hash/crc32"

// Servers that were told of different founders are not of one cluster: each counts votes and copies by its own membership, and two of them may
// lead side by side. Nothing tells them apart while the founding membership is in force, since no log names it. So requests carry a checksum
// of it as long as that is all that their sender knows.

// Sum returns a checksum of the servers that m names and of their capacities, which addresses and tags are no part of. It is 0 for nobody.
func (m Membership) Sum() uint32 {
	if m.IsZero() {
		return 0
	}
	var sum uint32
	for _, ids := range [...][]NodeID{m.Voters, m.Outgoing, m.Learners} {
		for _, id := range ids {
			sum = addID(sum, id)
		}
		sum = addID(sum, None) // ends a list
	}
	return max(sum, 1)
}

func addID(sum uint32, id NodeID) uint32 {
	var b [8]byte
	for i := range b {
		b[i] = byte(id >> (8 * i))
	}
	return crc32.Update(sum, crc32.IEEETable, b[:])
}

// Founders returns the checksum of the founding membership, which its requests carry, while this server knows no later one; otherwise, and when it
// waits to be added, 0.
func (n *Node) Founders() uint32 {
	if n.members.Index > 0 {
		return 0
	}
	return n.members.Membership.Sum()
}

// founders is what a request says of its sender's.
func founders(m Message) uint32 {
	switch m := m.(type) {
	case *RequestVote:
		return m.Founders
	case *AppendEntries:
		return m.Founders
	case *Heartbeat:
		return m.Founders
	}
	return 0
}

// strange reports whether a message comes from a server that was founded with others. Such a one is dropped, as a network may drop any.
func (n *Node) strange(m Message) bool {
	theirs := founders(m)
	if theirs == 0 {
		return false
	}
	ours := n.Founders()
	return ours != 0 && ours != theirs
}
