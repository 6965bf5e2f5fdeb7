package actors

import (
	"github.com/troupe-raft/troupe/raft"
)

// doubtMoved tells of a server that is known to have gone back, or is trusted again.
func (r *replica) doubtMoved(d raft.DoubtChange) {
	log := r.log.With("member", uint64(d.Server), "term", uint64(r.node.Term()))
	switch {
	case !d.InDoubt:
		log.Info("member that had gone back is trusted again")
	case d.Server == r.host.cfg.Node:
		log.Warn("this node has gone back: its disk lacks what it acknowledged to the leader. It has no vote and does not count until it has " +
			"what is committed")
	default:
		log.Warn("member has gone back: its disk lacks what it acknowledged. It has no vote and does not count until it has what is committed " +
			"by the others")
	}
	r.host.announce(&DoubtChanged{Node: r.host.cfg.Node, Group: r.cfg.Group, Member: d.Server, InDoubt: d.InDoubt})
}
