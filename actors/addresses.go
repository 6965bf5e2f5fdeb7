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

// learnAddresses has the transport look for the members where the membership in force says. One that is not in force, because it was only
// asked for, changes nothing. Where a membership was rolled back that gave the only address, the program's own word counts again.
func (h *Host) learnAddresses(before, now raft.Membership) {
	for _, m := range now.Members {
		addr := m.Addr
		if was, ok := before.Member(m.ID); addr == "" && ok && was.Addr != "" {
			if given, ok := h.given.Load(m.ID); ok {
				addr = given.(string)
			}
		}
		if addr != "" && m.ID != h.cfg.Node {
			h.transport.SetPeer(m.ID, addr)
		}
	}
}
