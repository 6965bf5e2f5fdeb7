package actors

import (
	"errors"

	"github.com/troupe-raft/troupe/raft"
)

// A refusal is one reason for which messages of one node were dropped.
type refusal struct {
	from raft.NodeID
	why  raft.Impossibility
}

// refuse follows a message that the rules dropped because no correct node sends it, be its sender broken, hostile or of another cluster. Its
// connection ends; what else came on it may be as wrong. It is told once for each node and reason, and counted.
func (r *replica) refuse(from raft.NodeID, err error) {
	r.refused++
	r.changed = true
	r.host.transport.HangUp(from, err)
	key := refusal{from: from}
	if impossible := (*raft.ImpossibleMessageError)(nil); errors.As(err, &impossible) {
		key.why = impossible.Why
	}
	if r.refusals[key] || len(r.refusals) >= r.cfg.Tuning.Refusals {
		return
	}
	if r.refusals == nil {
		r.refusals = map[refusal]bool{}
	}
	r.refusals[key] = true
	r.log.Error("a message was refused that no correct node sends; the connection is ended. Further ones of this kind from there are counted only",
		"peer", uint64(from), "err", err)
	r.host.announce(&MessageRefused{Node: r.host.cfg.Node, Group: r.cfg.Group, Peer: from, Err: err})
}
