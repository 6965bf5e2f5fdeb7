package actors

import (
	"fmt"
	"slices"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// What keeps a replica and another node from working together, and what an operator can do about it. Each is told once, by a line in the log and
// a PeerTrouble, until it is over, and is in MemberStatus.Trouble meanwhile.
type (
	// A NoAddressError: nothing can be sent to a member, since nobody has said where it listens.
	NoAddressError struct{ Peer raft.NodeID }
	// A NoGroupError: a member's node says that it does not run the group.
	NoGroupError struct {
		Peer  raft.NodeID
		Group raft.GroupID
	}
	// A FoundersError: a node runs a group of this number that was founded with other members. Neither hears the other.
	FoundersError struct {
		Peer         raft.NodeID
		Ours, Theirs []raft.NodeID // Theirs is nil where they are not known
	}
)

func (e *NoAddressError) Error() string {
	return fmt.Sprintf("no address of node %d is known: give it in HostConfig.Peers, GroupConfig.Addrs, the change that adds it, or by Host.SetPeer", e.Peer)
}

func (e *NoGroupError) Error() string {
	return fmt.Sprintf("group %d does not run on node %d: start it there, or take the node out of the group's members", e.Group, e.Peer)
}

func (e *FoundersError) Error() string {
	there := "others"
	if e.Theirs != nil {
		there = fmt.Sprint(e.Theirs)
	}
	return fmt.Sprintf("the founding members here are %d, on node %d %s: give GroupConfig.Members the same on every founder, leave it empty on a node "+
		"that is to be added, and start those that were wrong from empty folders", e.Ours, e.Peer, there)
}

// troubled notes what is wrong with a node, and tells it unless that was told already.
func (r *replica) troubled(peer raft.NodeID, what error) {
	had, known := r.troubles[peer]
	if !known && !r.effective.Membership.Has(peer) && len(r.troubles) >= r.cfg.Tuning.Strangers+len(r.effective.Membership.Members) {
		return // anybody may claim to be any node
	}
	if r.troubles == nil {
		r.troubles = map[raft.NodeID]error{}
	}
	r.troubles[peer] = what
	r.changed = true // of its like or not: it may say more than the one before
	if sameTrouble(had, what) {
		return
	}
	words := "a node cannot take part"
	if _, misplaced := what.(*LocationError); misplaced {
		words = "a member is not where the membership says"
	}
	r.log.Warn(words, "peer", uint64(peer), "err", what)
	r.host.announce(&PeerTrouble{Node: r.host.cfg.Node, Group: r.cfg.Group, Peer: peer, Err: what})
}

// sameTrouble reports whether what is wrong with a node was wrong with it before. A folder that is lost again is something new.
func sameTrouble(had, what error) bool {
	if was, ok := had.(*IdentityError); ok {
		is, ok := what.(*IdentityError)
		return ok && was.Store == is.Store
	}
	return fmt.Sprintf("%T", had) == fmt.Sprintf("%T", what)
}

// untroubled ends what was wrong with a node: it was heard, and makes sense.
func (r *replica) untroubled(peer raft.NodeID) {
	what, known := r.troubles[peer]
	if !known {
		return
	}
	delete(r.troubles, peer)
	if peer == r.host.cfg.Node {
		r.toldBack = false // whoever objects from now on means something else
	}
	r.changed = true
	words := "a node takes part again"
	if _, misplaced := what.(*LocationError); misplaced {
		words = "a member is where the membership says again"
	}
	r.log.Info(words, "peer", uint64(peer))
}

// met follows a message of a peer's, which the rules dropped if they call it a stranger.
func (r *replica) met(peer, stranger raft.NodeID) {
	if stranger != raft.None {
		r.strangerMet(stranger)
		return
	}
	if len(r.troubles) == 0 {
		return
	}
	if _, lost := r.troubles[peer].(*NoAddressError); lost { // that it reaches us is no way back
		r.reachable(peer)
		return
	}
	if _, misplaced := r.troubles[peer].(*LocationError); misplaced { // that it is heard does not put it where it was said to be
		return
	}
	if r.misidentified(peer) { // what it says does not tell who it is
		return
	}
	r.untroubled(peer)
}

// strange reports whether a node was founded with others, as far as is known by now.
func (r *replica) strange(peer raft.NodeID) bool {
	_, strange := r.troubles[peer].(*FoundersError)
	return strange
}

// forgetTroubles drops what was wrong with those who are members no more.
func (r *replica) forgetTroubles(before, now raft.Membership) {
	for _, id := range before.IDs() {
		if !now.Has(id) {
			delete(r.troubles, id)
		}
	}
}

// reachable notes whether there is a way to a member.
func (r *replica) reachable(peer raft.NodeID) bool {
	_, lost := r.troubles[peer].(*NoAddressError)
	switch known := r.host.transport.Sender(peer) != nil; {
	case !known:
		r.troubled(peer, &NoAddressError{Peer: peer})
		return false
	case lost:
		r.untroubled(peer)
	}
	return true
}

// reachAll looks whether a leader knows the way to everybody that it is to feed.
func (r *replica) reachAll() {
	for _, peer := range r.peers() {
		r.reachable(peer)
	}
}

// strangerMet follows a message that the rules dropped because its sender was founded with others.
func (r *replica) strangerMet(peer raft.NodeID) {
	ours := r.node.Membership().Voters
	r.troubled(peer, &FoundersError{Peer: peer, Ours: ours})
	if r.host.mismatches.due(mismatchKey{peer, r.cfg.Group}, r.now()) {
		r.host.tell(peer, r.cfg.Group, &remote.Mismatch{Kind: remote.OtherFounders, Founders: slices.Clone(ours)})
	}
}

// mismatched follows what a peer says of messages from here.
func (r *replica) mismatched(peer raft.NodeID, m *remote.Mismatch) {
	if !r.effective.Membership.Has(peer) {
		return // it is nobody to this group any more, or never was
	}
	switch m.Kind {
	case remote.NoGroup:
		r.troubled(peer, &NoGroupError{Peer: peer, Group: r.cfg.Group})
	case remote.OtherFounders:
		if r.node.Founders() != 0 { // else it is overtaken
			r.troubled(peer, &FoundersError{Peer: peer, Ours: r.node.Membership().Voters, Theirs: m.Founders})
		}
	}
}
