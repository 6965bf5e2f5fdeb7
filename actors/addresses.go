package actors

import "github.com/troupe-raft/troupe/raft"

// SetPeer says where a node listens. Memberships that carry addresses do the same when they come into force, and when a group begins: what was said
// last counts. A member is called at once, as nothing else may be on its way to it.
func (h *Host) SetPeer(node raft.NodeID, addr string) {
	h.given.Store(node, addr)
	h.transport.SetPeer(node, addr)
	if t, ok := h.transport.(greeter); ok && node != h.cfg.Node && h.members()[node] {
		t.Greet(node)
	}
}

// A greeter is a transport whose nodes greet each other with the start that they are, as TCP's do.
type greeter interface{ Greet(raft.NodeID) }

// learnAddresses has the transport look for the members where the membership in force says, from when it says so. One that is not in force, because it
// was only asked for, changes nothing. Where a membership was rolled back that gave the only address, the program's own word counts again.
func (h *Host) learnAddresses(before, now raft.Membership) {
	begins := before.IsZero()
	for _, m := range now.Members {
		was, _ := before.Member(m.ID)
		addr := m.Addr
		given, known := h.given.Load(m.ID)
		switch {
		case m.ID == h.cfg.Node || addr == was.Addr:
			continue
		case addr == "" && known:
			addr = given.(string)
		case begins && known && h.cfg.ForceAddresses:
			continue
		}
		if addr != "" {
			h.transport.SetPeer(m.ID, addr)
		}
	}
}
