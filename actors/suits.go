package actors

import (
	"errors"
	"fmt"
)

// suits reports every fault of a group's configuration, also those that only this host's shows, or nil.
func (h *Host) suits(c *GroupConfig) error {
	err := c.Validate()
	if beat, shortest := h.cfg.HeartbeatInterval, c.ElectionTimeout.Min; beat >= shortest && shortest > 0 {
		err = errors.Join(err, fmt.Errorf("GroupConfig: ElectionTimeout.Min %v is not above HostConfig.HeartbeatInterval %v: followers would campaign "+
			"between two heartbeats of a leader that is well; make it at least three times as long", shortest, beat))
	}
	if h.locator != nil {
		for id, addr := range c.Addrs {
			if wrong := h.locator.CheckAddr(addr); addr != "" && wrong != nil {
				err = errors.Join(err, fmt.Errorf("GroupConfig: Addrs: node %d: %w", id, wrong))
			}
		}
	}
	return err
}

// warn tells of what works badly, once for each start of the group.
func (r *replica) warn() {
	if beat, shortest := r.host.cfg.HeartbeatInterval, r.cfg.ElectionTimeout.Min; 3*beat > shortest {
		r.log.Warn("the election timeout is short for the heartbeat: one heartbeat lost, or late, may cost the leader its office; make it at least three times as long",
			"heartbeat", beat, "timeout", shortest)
	}
}

// warnOutsider tells of founding members that do not name their own node: it can neither vote nor be fed before they add it.
func (r *replica) warnOutsider() {
	m, self := r.effective.Membership, r.host.cfg.Node
	if r.outsider || m.IsZero() || r.node.MembershipIndex() > 0 || m.Has(self) {
		return
	}
	r.outsider = true
	r.log.Warn("this node is not among the founding members: it takes no part until they add it; if it is to be one of them, name it in GroupConfig.Members", "members", m.Voters)
}
