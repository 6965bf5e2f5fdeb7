package sim

import (
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// spoken looks at a message that leaves a node: what it promises must be on the node's disk.
func (c *checker) spoken(from, to raft.NodeID, e remote.Envelope) {
	m := c.sim.nodes[from].disk.image(groupID)
	var term raft.Term
	switch w := e.Message.(type) {
	case *raft.RequestVote:
		c.asks(from, m, w)
		return
	case *raft.RequestVoteReply:
		c.votesFor(from, to, m, w)
		return
	case *remote.AppendBlocks:
		term = w.Term
		c.leads(from, w.Leader, w.Term)
		c.sends(from, w)
	case *remote.Pulse:
		for i := range w.Beats {
			b := &w.Beats[i]
			term = max(term, b.Term)
			c.leads(from, b.Leader, b.Term)
			c.committed(from, b.Commit)
		}
	case *raft.AppendEntriesReply:
		term = w.Term
		if w.Success {
			c.holds(from, m, w.Term, w.Match)
		}
	case *raft.InstallSnapshotReply:
		term = w.Term
		c.holds(from, m, w.Term, w.Match)
	case *raft.HeartbeatReply:
		term = w.Term
	case *raft.TimeoutNow:
		term = w.Term
		c.leads(from, w.Leader, w.Term)
	case *raft.Recall:
		term = w.Term
		c.recalls(from, to, w)
	case *raft.Trust:
		term = w.Term
		c.trusts(from, to, w)
	case *remote.SnapshotChunk:
		term = w.Term
		c.leads(from, w.Leader, w.Term)
		c.history(from, &w.Meta)
	case *remote.SnapshotChunkReply:
		c.chunkReply(from, m, w)
		return
	case *remote.Mismatch:
		if w.Kind != remote.NoGroup {
			c.fail("those founded alike hear each other", "node %d sends %+v", from, w)
		}
	case *raft.Removed:
		c.removes(from, to, w)
		return
	case *remote.Location:
		if w.Node != from && w.Node != to {
			c.fail("nodes speak of themselves and their leader", "node %d tells node %d of node %d", from, to, w.Node)
		}
		return
	default:
		c.fail("every message is known", "node %d sends a %T", from, w)
	}
	c.durable(from, m, term)
}

func (c *checker) durable(node raft.NodeID, m *image, term raft.Term) {
	if m.hard.Term < term {
		c.fail("terms are durable before they are spoken", "node %d speaks in term %d, on its disk is term %d", node, term, m.hard.Term)
	}
}

// asks: a candidate's own vote is on its disk. A prevote asks for a term that is nobody's yet.
func (c *checker) asks(node raft.NodeID, m *image, w *raft.RequestVote) {
	if w.PreVote {
		c.durable(node, m, w.Term-1)
		return
	}
	c.durable(node, m, w.Term)
	if m.hard.Term == w.Term && m.hard.Vote != w.Candidate {
		c.fail("votes are durable before they are spoken", "candidate %d asks in term %d, its own vote on disk is %d", node, w.Term, m.hard.Vote)
	}
	c.voted(node, w.Term, w.Candidate)
}

func (c *checker) votesFor(node, to raft.NodeID, m *image, w *raft.RequestVoteReply) {
	c.durable(node, m, w.Term)
	if w.Granted && m.hard.Doubt {
		c.fail("whoever is in doubt has no vote", "node %d votes for %d in term %d, prevote %v", node, to, w.Asked, w.PreVote)
	}
	if !w.Granted || w.PreVote {
		return
	}
	if m.hard.Term < w.Asked || m.hard.Term == w.Asked && m.hard.Vote != to {
		c.fail("votes are durable before they are spoken", "node %d grants term %d to %d, on its disk are term %d and vote %d", node, w.Asked, to, m.hard.Term, m.hard.Vote)
	}
	c.voted(node, w.Asked, to)
}

// voted: nobody votes twice in a term, crashes or not.
func (c *checker) voted(voter raft.NodeID, term raft.Term, candidate raft.NodeID) {
	if r := c.sim.returned; r != nil && r.leader == nil && r.node.id == voter { // it does not know yet that it has no vote; all others do
		c.sim.count(votesInVain)
		return
	}
	b := ballot{voter, len(c.sim.nodes[voter].lost), term}
	if had, ok := c.votes[b]; ok && had != candidate {
		c.fail("one vote per term", "node %d votes for %d and for %d in term %d", voter, had, candidate, term)
	}
	c.votes[b] = candidate
}

// leads: whoever speaks as the leader of a term is the only one who does.
func (c *checker) leads(node, leader raft.NodeID, term raft.Term) {
	if who, ok := c.leaders[term]; leader != node || ok && who != node {
		c.fail("election safety", "node %d speaks as leader %d of term %d, whose leader is %d", node, leader, term, who)
	}
}

// holds: an acknowledged log is on disk, and equals the leader's. An old acknowledgement that is still on its way after a newer term
// overwrote the log says nothing any more.
func (c *checker) holds(node raft.NodeID, m *image, term raft.Term, match raft.Index) {
	if m.hard.Term != term || match == 0 {
		return
	}
	t, ok := c.ledTerm(term, match)
	if !ok {
		c.fail("acknowledgements are to a leader", "node %d acknowledges %d in term %d, which nobody leads", node, match, term)
		return
	}
	if !c.holding(m, raft.EntryID{Index: match, Term: t}) {
		c.fail("acknowledgements are durable before they are spoken", "node %d acknowledges %d in term %d, which is of term %d; its disk ends at %v", node, match, term, t, m.last())
	}
}

// sends: a leader sends its own log, and no commit index that nobody reached.
func (c *checker) sends(node raft.NodeID, w *remote.AppendBlocks) {
	check := func(id raft.EntryID) {
		if t, ok := c.ledTerm(w.Term, id.Index); !ok || t != id.Term {
			c.fail("leaders send their log", "node %d sends entry %d of term %d in term %d, its own is of term %d", node, id.Index, id.Term, w.Term, t)
		}
	}
	check(w.Prev)
	for _, b := range w.Blocks {
		check(raft.EntryID{Index: b.First(), Term: b.Term()})
		check(raft.EntryID{Index: b.Last(), Term: b.Term()})
	}
	if w.Commit > raft.Index(len(c.log)) {
		c.fail("only what is committed is said to be", "node %d says that %d is committed, %d is", node, w.Commit, len(c.log))
	}
}

// committed: an entry that a heartbeat names is committed.
func (c *checker) committed(node raft.NodeID, id raft.EntryID) {
	if id.Index > 0 && (id.Index > raft.Index(len(c.log)) || c.log[id.Index-1].term != id.Term) {
		c.fail("only what is committed is said to be", "node %d says that entry %d of term %d is committed, %d are", node, id.Index, id.Term, len(c.log))
	}
}

// chunkReply: who says that a snapshot has arrived has it, or a newer one. Its term may be the asking leader's.
func (c *checker) chunkReply(node raft.NodeID, m *image, w *remote.SnapshotChunkReply) {
	if _, led := c.leaders[w.Term]; !led {
		c.durable(node, m, w.Term)
	}
	if w.Done {
		c.arrived(node, w.Index)
	}
}

// removes: whoever is told that it is no member is none by a committed membership.
func (c *checker) removes(from, to raft.NodeID, w *raft.Removed) {
	if w.Index > raft.Index(len(c.log)) {
		c.fail("who is told of its removal is removed", "node %d tells node %d of a membership at %d, the log is committed up to %d", from, to, w.Index, len(c.log))
		return
	}
	for i := w.Index; i > 0; i-- {
		if m := c.log[i-1].members; m != nil {
			if m.Has(to) {
				c.fail("who is told of its removal is removed", "node %d tells node %d of the membership at %d, which has it", from, to, w.Index)
			}
			break
		}
	}
	c.sim.count("told of its removal")
}
